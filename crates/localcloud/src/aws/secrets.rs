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
    pub(crate) fn new(values: BTreeMap<String, String>, region: &str, account: &str, since: Timestamp) -> Self {
        Self { values, region: region.to_owned(), account: account.to_owned(), since }
    }

    /// Answers the call that `X-Amz-Target` names.
    pub(crate) fn handle(&mut self, target: &str, request: &Request) -> Response {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return error("SerializationException", "the body is not JSON");
        };
        match target {
            "AmazonSSM.GetParameter" => self.parameter(&body),
            "AmazonSSM.GetParameters" => self.parameters(&body),
            "AmazonSSM.GetParametersByPath" => self.parameters_below(&body),
            "AmazonSSM.PutParameter" => self.put(&body),
            "secretsmanager.GetSecretValue" => self.secret(&body),
            "secretsmanager.CreateSecret" => self.create(&body),
            "secretsmanager.DescribeSecret" => self.describe(&body),
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

    /// The parameters below a path, all of them on one page: there are few.
    fn parameters_below(&self, body: &Value) -> Response {
        let Some(path) = body["Path"].as_str().filter(|path| path.starts_with('/')) else {
            return error(
                "ValidationException",
                "The parameter doesn't meet the parameter name requirements: it begins with /.",
            );
        };
        let below = format!("{}/", path.trim_end_matches('/'));
        let deep = body["Recursive"].as_bool() == Some(true);
        let here = |name: &&String| {
            name.strip_prefix(&below).is_some_and(|rest| !rest.is_empty() && (deep || !rest.contains('/')))
        };
        let found: Vec<Value> =
            self.values.keys().filter(here).filter_map(|name| self.show(name, decrypts(body))).collect();
        respond(&json!({"Parameters": found}))
    }

    fn put(&mut self, body: &Value) -> Response {
        let (Some(name), Some(value)) = (body["Name"].as_str(), body["Value"].as_str()) else {
            return error("ValidationException", "Name and Value are needed");
        };
        let old = self.key(name).map(|(key, _)| key.to_owned());
        if old.is_some() && body["Overwrite"].as_bool() != Some(true) {
            return error(
                "ParameterAlreadyExists",
                "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
            );
        }
        self.values.insert(old.unwrap_or_else(|| name.to_owned()), value.to_owned());
        respond(&json!({"Version": 1, "Tier": "Standard"}))
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

    fn create(&mut self, body: &Value) -> Response {
        let (Some(name), Some(value)) = (body["Name"].as_str(), body["SecretString"].as_str()) else {
            return error("InvalidParameterException", "You must provide a value for Name and for SecretString.");
        };
        if self.values.contains_key(name) {
            let message = format!("The operation failed because the secret {name} already exists.");
            return error("ResourceExistsException", &message);
        }
        self.values.insert(name.to_owned(), value.to_owned());
        respond(&json!({
            "ARN": self.secret_arn(name),
            "Name": name,
            "VersionId": "00000000-0000-4000-8000-000000000001",
        }))
    }

    /// Everything about a secret but its value.
    fn describe(&self, body: &Value) -> Response {
        let Some(id) = body["SecretId"].as_str() else {
            return error("InvalidParameterException", "You must provide a value for the SecretId parameter.");
        };
        match self.values.keys().find(|name| *name == id || self.secret_arn(name) == id) {
            Some(name) => respond(&json!({
                "ARN": self.secret_arn(name),
                "Name": name,
                "CreatedDate": seconds(self.since),
                "LastChangedDate": seconds(self.since),
                "VersionIdsToStages": {"00000000-0000-4000-8000-000000000001": ["AWSCURRENT"]},
            })),
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

/// A time as both services send it.
pub(crate) fn seconds(at: Timestamp) -> f64 {
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
        let mut secrets = Secrets::new(values, "eu-central-1", "123456789012", Timestamp(0));
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
    fn parameters_are_listed_below_a_path_and_can_be_put() {
        let values = BTreeMap::from(["/ci/a", "/ci/deep/b", "/other"].map(|name| (name.to_owned(), "v".to_owned())));
        let mut secrets = Secrets::new(values, "eu-central-1", "123456789012", Timestamp(0));
        let mut ask = |target: &str, body: Value| {
            let request = Request { body: body.to_string().into(), ..Request::default() };
            let response = secrets.handle(target, &request);
            (response.status, serde_json::from_slice::<Value>(&response.body).expect("JSON"))
        };
        let mut below = |body: Value| {
            let (_, body) = ask("AmazonSSM.GetParametersByPath", body);
            let found = body["Parameters"].as_array().expect("a list").clone();
            found.iter().map(|it| it["Name"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(below(json!({"Path": "/ci"})), ["/ci/a"]);
        assert_eq!(below(json!({"Path": "/ci/", "Recursive": true})), ["/ci/a", "/ci/deep/b"]);
        let put = |more: Value| {
            let mut body = json!({"Name": "/ci/a", "Value": "new"});
            body["Overwrite"] = more;
            body
        };
        let (status, body) = ask("AmazonSSM.PutParameter", put(json!(false)));
        assert_eq!((status, &body["__type"]), (400, &json!("ParameterAlreadyExists")));
        assert_eq!(ask("AmazonSSM.PutParameter", put(json!(true))).0, 200);
        let (_, body) = ask("AmazonSSM.GetParameter", json!({"Name": "/ci/a", "WithDecryption": true}));
        assert_eq!(body["Parameter"]["Value"], "new");
        let (_, body) = ask("secretsmanager.DescribeSecret", json!({"SecretId": "/ci/a"}));
        assert!(body["Name"] == "/ci/a" && body.get("SecretString").is_none(), "{body}");
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
