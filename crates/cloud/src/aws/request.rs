//! One signed request, and what its answer means.

use std::{env, fmt::Write, time::SystemTime};

use aws_sdk_autoscaling::config::ProvideCredentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use lightsout_core::exchange::Unreachable;
use lightsout_io::http::{Clients, Limits};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use crate::aws::{
    ATTEMPT_TIMEOUT, Aws, AwsError, AwsErrorKind, CA_BUNDLE, CONNECT_TIMEOUT,
    error::{classify, of_unreachable},
};

/// The longest answer that is read, in bytes: settings and refusals are short.
const ANSWER: usize = 1 << 20;

/// A service of AWS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// Its name in signatures and addresses.
    name: &'static str,
    /// The variable that gives it another address (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
    variable: &'static str,
}

impl Service {
    pub(super) const EC2: Self = Self { name: "ec2", variable: "AWS_ENDPOINT_URL_EC2" };
    pub(super) const LOGS: Self = Self { name: "logs", variable: "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS" };
    pub(super) const S3: Self = Self { name: "s3", variable: "AWS_ENDPOINT_URL_S3" };
    #[cfg(feature = "host")]
    pub(super) const IAM: Self = Self { name: "iam", variable: "AWS_ENDPOINT_URL_IAM" };
    #[cfg(feature = "host")]
    pub(super) const KMS: Self = Self { name: "kms", variable: "AWS_ENDPOINT_URL_KMS" };
    #[cfg(feature = "host")]
    pub(super) const LAMBDA: Self = Self { name: "lambda", variable: "AWS_ENDPOINT_URL_LAMBDA" };
    #[cfg(feature = "host")]
    pub(super) const SCHEDULER: Self = Self { name: "scheduler", variable: "AWS_ENDPOINT_URL_SCHEDULER" };
    #[cfg(feature = "host")]
    pub(super) const QUOTAS: Self = Self { name: "servicequotas", variable: "AWS_ENDPOINT_URL_SERVICE_QUOTAS" };
}

/// A request before it is signed.
pub(super) struct Call {
    /// The IAM action.
    pub(super) action: &'static str,
    pub(super) service: Service,
    pub(super) method: &'static str,
    /// Encoded.
    pub(super) path: String,
    /// The bucket, which stands in the host's name or before the path.
    pub(super) bucket: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Call {
    /// A call of a service that speaks the query protocol and answers in XML.
    pub(super) fn query<'a>(
        action: &'static str,
        service: Service,
        version: &str,
        fields: impl IntoIterator<Item = (String, &'a str)>,
    ) -> Self {
        let (_, name) = action.split_once(':').unwrap_or_default();
        let mut body = format!("Action={name}&Version={version}");
        for (key, value) in fields {
            let _ = write!(body, "&{key}={}", encoded(value));
        }
        let headers = vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".into())];
        Self::post(action, service, headers, body)
    }

    /// A call of a service that speaks JSON 1.1, and is told by its target what to do.
    pub(super) fn json(action: &'static str, service: Service, target: &str, body: &Value) -> Self {
        let headers = vec![("content-type", "application/x-amz-json-1.1".into()), ("x-amz-target", target.to_owned())];
        Self::post(action, service, headers, body.to_string())
    }

    fn post(action: &'static str, service: Service, headers: Vec<(&'static str, String)>, body: String) -> Self {
        Self { action, service, method: "POST", path: "/".into(), bucket: None, headers, body: body.into_bytes() }
    }

    /// Signs and sends it once, and gives the answer's body.
    pub(super) async fn send(&self, aws: &Aws) -> Result<Vec<u8>, AwsError> {
        self.ask(aws, ANSWER).await
    }

    /// The same for a body of at most so many bytes.
    pub(super) async fn ask(&self, aws: &Aws, longest: usize) -> Result<Vec<u8>, AwsError> {
        let config = aws.config().await;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let url = self.url(config.endpoint_url(), &region);
        let provider = config.credentials_provider().ok_or_else(|| self.no_credentials("none are configured"))?;
        let credentials =
            provider.provide_credentials().await.map_err(|error| self.no_credentials(&error.to_string()))?;
        let signed = self.signed(&url, &region, &credentials.into())?;

        let limits = Limits { connect: CONNECT_TIMEOUT, request: ATTEMPT_TIMEOUT, body: longest };
        let clients = Clients::new(limits, None).trusting_also(CA_BUNDLE);
        let unreachable = |error: Unreachable| {
            let (kind, message) = of_unreachable(&error);
            AwsError::without_code(kind, self.action, message)
        };
        let malformed = |why: String| AwsError::without_code(AwsErrorKind::Other, self.action, why);
        let address = reqwest::Url::parse(&url).map_err(|error| malformed(format!("{url}: {error}")))?;
        let method = self.method.parse().map_err(|_| malformed("not an HTTP method".into()))?;
        let client = clients.for_url(&address).map_err(unreachable)?;
        let mut request = client.request(method, address).body(self.body.clone());
        for (name, value) in self
            .headers
            .iter()
            .map(|(name, value)| (*name, value))
            .chain(signed.iter().map(|(name, value)| (name.as_str(), value)))
        {
            request = request.header(name, value);
        }
        let response = clients.send(request).await.map_err(unreachable)?;
        let status = response.status();
        // Services that speak REST name the error here alone (AWS REST JSON protocol, "Operation error serialization").
        let kind = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(':').next()).map(str::to_owned);
        let body = clients.body(response, None).await.map_err(unreachable)?;
        if status.is_success() { Ok(body) } else { Err(self.refused(status.as_u16(), kind.as_deref(), &body)) }
    }

    /// The service's address: as the environment says, as the SDKs do, or the usual one.
    pub(super) fn url(&self, endpoint: Option<&str>, region: &str) -> String {
        let endpoint =
            env::var(self.service.variable).ok().filter(|url| !url.is_empty()).or_else(|| endpoint.map(str::to_owned));
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        match (endpoint, &self.bucket) {
            (Some(endpoint), bucket) => {
                let bucket = bucket.as_ref().map_or(String::new(), |bucket| format!("/{bucket}"));
                format!("{}{bucket}{}", endpoint.trim_end_matches('/'), self.path)
            }
            // A name with dots would not match the host's certificate.
            (None, Some(bucket)) if bucket.contains('.') => {
                format!("https://{}.{region}.{domain}/{bucket}{}", self.service.name, self.path)
            }
            (None, Some(bucket)) => format!("https://{bucket}.{}.{region}.{domain}{}", self.service.name, self.path),
            (None, None) if self.service.name == "iam" => format!("https://{}{}", global(region).0, self.path),
            (None, None) => format!("https://{}.{region}.{domain}{}", self.service.name, self.path),
        }
    }

    /// The headers that the signature adds.
    fn signed(&self, url: &str, region: &str, identity: &Identity) -> Result<Vec<(String, String)>, AwsError> {
        let failed = |why: String| AwsError::without_code(AwsErrorKind::Credentials, self.action, why);
        let mut settings = SigningSettings::default();
        if self.service.name == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let params = v4::SigningParams::builder()
            .identity(identity)
            .region(if self.service.name == "iam" { global(region).1 } else { region })
            .name(self.service.name)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| failed(error.to_string()))?
            .into();
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let request = SignableRequest::new(self.method, url, headers, SignableBody::Bytes(&self.body))
            .map_err(|error| failed(error.to_string()))?;
        let (instructions, _) = sign(request, &params).map_err(|error| failed(error.to_string()))?.into_parts();
        let (headers, _) = instructions.into_parts();
        Ok(headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect())
    }

    fn no_credentials(&self, why: &str) -> AwsError {
        AwsError::without_code(AwsErrorKind::Credentials, self.action, why.to_owned())
    }

    /// A refusal in JSON, as CloudWatch Logs sends it, or in XML, as S3 does.
    fn refused(&self, status: u16, kind: Option<&str>, body: &[u8]) -> AwsError {
        let text = String::from_utf8_lossy(body);
        let said: Option<Value> = serde_json::from_str(&text).ok();
        let word = |keys: [&str; 2]| {
            let said = said.as_ref()?;
            keys.iter().find_map(|key| said.get(*key)?.as_str().map(str::to_owned))
        };
        let code = word(["__type", "code"]).map(|kind| kind.rsplit('#').next().unwrap_or_default().to_owned());
        let code = code.or_else(|| kind.map(str::to_owned)).or_else(|| element(&text, "Code"));
        let message = word(["message", "Message"]).or_else(|| element(&text, "Message")).unwrap_or_default();
        let Some(code) = code else {
            let kind = if status >= 500 { AwsErrorKind::Timeout } else { AwsErrorKind::Other };
            return AwsError::without_code(kind, self.action, format!("the answer has the status {status}"));
        };
        AwsError { kind: classify(&code, &message), action: self.action, code: Some(code), message }
    }
}

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

/// The texts of all elements of this name, in their order, whatever they are in.
#[cfg(feature = "host")]
pub(super) fn elements(xml: &str, name: &str) -> Vec<String> {
    let begin = format!("<{name}>");
    let parts = xml.split(begin.as_str()).skip(1);
    parts.filter_map(|part| Some(part.split_once('<')?.0.to_owned())).collect()
}

/// Where IAM is, which has no regions, and the region in signatures for it (AWS General Reference, "IAM endpoints and quotas").
fn global(region: &str) -> (&'static str, &'static str) {
    if region.starts_with("cn-") {
        ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1")
    } else if region.starts_with("us-gov-") {
        ("iam.us-gov.amazonaws.com", "us-gov-west-1")
    } else {
        ("iam.amazonaws.com", "us-east-1")
    }
}

/// What one piece of an address, or of a form, may not hold as it is: all but the unreserved characters (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one piece of an address or a form.
pub(super) fn encoded(piece: &str) -> PercentEncode<'_> {
    utf8_percent_encode(piece, RESERVED)
}

/// An object's name in a path, whose slashes stay (S3 API reference, "Signature Version 4").
pub(super) fn encoded_path(key: &str) -> PercentEncode<'_> {
    const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');
    utf8_percent_encode(key, RESERVED_IN_PATH)
}
