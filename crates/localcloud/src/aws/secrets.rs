//! SSM Parameter Store and Secrets Manager, as far as an agent or a scaler reads them (AWS JSON 1.1).

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// The secrets that both services hold, by name. In SSM each is a `SecureString`.
pub(crate) struct Secrets {
    values: BTreeMap<String, String>,
    region: String,
    account: String,
    since: Timestamp,
}

impl Secrets {
    pub fn new(values: BTreeMap<String, String>, region: &str, account: &str, since: Timestamp) -> Self {
        Self { values, region: region.to_owned(), account: account.to_owned(), since }
    }

    /// Answers the call that `X-Amz-Target` names.
    pub fn handle(&self, target: &str, request: &Request) -> Response {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return error("SerializationException", "the body is not JSON");
        };
        match target {
            "AmazonSSM.GetParameter" => self.parameter(&body),
            "AmazonSSM.GetParameters" => self.parameters(&body),
            "secretsmanager.GetSecretValue" => self.secret(&body),
            _ => error("UnknownOperationException", ""),
        }
    }

    fn parameter(&self, body: &Value) -> Response {
        let Some(name) = body["Name"].as_str() else {
            return error(
                "ValidationException",
                "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null",
            );
        };
        match self.show(name, decrypts(body)) {
            Some(parameter) => respond(&json!({"Parameter": parameter})),
            None => error("ParameterNotFound", ""),
        }
    }

    fn parameters(&self, body: &Value) -> Response {
        let names: Vec<&str> = body["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() || names.len() > 10 {
            return error(
                "ValidationException",
                "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length less than or equal to 10",
            );
        }
        let (found, missing): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| self.key(name).is_some());
        let found: Vec<Value> = found.iter().filter_map(|name| self.show(name, decrypts(body))).collect();
        respond(&json!({"Parameters": found, "InvalidParameters": missing}))
    }

    fn show(&self, name: &str, decrypt: bool) -> Option<Value> {
        let (key, value) = self.key(name)?;
        let path = key.trim_start_matches('/');
        Some(json!({
            "Name": key,
            "Type": "SecureString",
            "Value": if decrypt { value.to_owned() } else { ciphertext(value) },
            "Version": 1,
            "LastModifiedDate": seconds(self.since),
            "ARN": format!("arn:aws:ssm:{}:{}:parameter/{path}", self.region, self.account),
            "DataType": "text",
        }))
    }

    /// A parameter by its name or its ARN.
    fn key(&self, name: &str) -> Option<(&str, &str)> {
        let name = match name.split_once(":parameter/") {
            Some((_, path)) if name.starts_with("arn:") => path,
            _ => name,
        };
        let same = |key: &str| key == name || key.strip_prefix('/') == Some(name);
        self.values.iter().find(|(key, _)| same(key)).map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn secret(&self, body: &Value) -> Response {
        let Some(id) = body["SecretId"].as_str() else {
            return error("InvalidParameterException", "You must provide a value for the SecretId parameter.");
        };
        let stage = body["VersionStage"].as_str().unwrap_or("AWSCURRENT");
        let found = self.values.iter().find(|(name, _)| *name == id || self.secret_arn(name) == id);
        match found {
            Some((name, value)) if stage == "AWSCURRENT" => respond(&json!({
                "ARN": self.secret_arn(name),
                "Name": name,
                "VersionId": "00000000-0000-4000-8000-000000000001",
                "SecretString": value,
                "VersionStages": ["AWSCURRENT"],
                "CreatedDate": seconds(self.since),
            })),
            Some(_) => error(
                "ResourceNotFoundException",
                &format!("Secrets Manager can't find the specified secret value for staging label: {stage}"),
            ),
            None => error("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        }
    }

    fn secret_arn(&self, name: &str) -> String {
        format!("arn:aws:secretsmanager:{}:{}:secret:{name}-LgtOut", self.region, self.account)
    }
}

fn decrypts(body: &Value) -> bool {
    body["WithDecryption"].as_bool() == Some(true)
}

/// What a `SecureString` looks like to one who does not ask for decryption.
fn ciphertext(value: &str) -> String {
    let mut blob = vec![1, 2, 2, 0];
    blob.extend(Sha256::digest(value.as_bytes()));
    STANDARD.encode(blob)
}

fn seconds(at: Timestamp) -> f64 {
    std::time::Duration::from_millis(u64::try_from(at.0).unwrap_or(0)).as_secs_f64()
}

fn respond(body: &Value) -> Response {
    Response::new(200, "application/x-amz-json-1.1", body.to_string())
}

/// An error as both services send it: 400, with its name in `__type`.
pub(crate) fn error(code: &str, message: &str) -> Response {
    fault(400, code, message)
}

/// An error with a status of its own.
pub(crate) fn fault(status: u16, code: &str, message: &str) -> Response {
    let mut body = json!({"__type": code});
    if !message.is_empty() {
        body["message"] = json!(message);
    }
    Response::new(status, "application/x-amz-json-1.1", body.to_string()).header("x-amzn-errortype", code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(target: &str, body: &Value) -> (u16, Value) {
        let values = BTreeMap::from([("/ci/token".to_owned(), "s3cret".to_owned())]);
        let secrets = Secrets::new(values, "eu-central-1", "123456789012", Timestamp(0));
        let request = Request { body: body.to_string().into(), ..Request::default() };
        let response = secrets.handle(target, &request);
        (response.status, serde_json::from_slice(&response.body).expect("JSON"))
    }

    #[test]
    fn a_parameter_is_decrypted_only_when_asked() {
        let (status, body) = ask("AmazonSSM.GetParameter", &json!({"Name": "/ci/token", "WithDecryption": true}));
        assert_eq!((status, &body["Parameter"]["Value"]), (200, &json!("s3cret")));
        let (status, body) = ask("AmazonSSM.GetParameter", &json!({"Name": "/ci/token"}));
        assert_eq!((status, &body["Parameter"]["Type"]), (200, &json!("SecureString")));
        assert_ne!(body["Parameter"]["Value"], json!("s3cret"));
    }

    #[test]
    fn a_parameter_may_be_named_by_its_arn() {
        let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/ci/token";
        let (status, body) = ask("AmazonSSM.GetParameter", &json!({"Name": arn, "WithDecryption": true}));
        assert_eq!((status, &body["Parameter"]["Value"]), (200, &json!("s3cret")));
    }

    #[test]
    fn what_is_missing_is_an_error_or_listed() {
        let (status, body) = ask("AmazonSSM.GetParameter", &json!({"Name": "/none"}));
        assert_eq!((status, &body["__type"]), (400, &json!("ParameterNotFound")));
        let (status, body) = ask("AmazonSSM.GetParameters", &json!({"Names": ["/none", "/ci/token"]}));
        assert_eq!((status, &body["InvalidParameters"]), (200, &json!(["/none"])));
        assert_eq!(body["Parameters"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_secret_goes_by_name_or_arn() {
        let (status, body) = ask("secretsmanager.GetSecretValue", &json!({"SecretId": "/ci/token"}));
        assert_eq!((status, &body["SecretString"]), (200, &json!("s3cret")));
        let (status, again) = ask("secretsmanager.GetSecretValue", &json!({"SecretId": body["ARN"]}));
        assert_eq!((status, &again["Name"]), (200, &json!("/ci/token")));
        let (status, body) = ask("secretsmanager.GetSecretValue", &json!({"SecretId": "none"}));
        assert_eq!((status, &body["__type"]), (400, &json!("ResourceNotFoundException")));
    }
}
