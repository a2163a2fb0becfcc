//! Keys of AWS KMS, as far as one looks at who may use them (AWS JSON 1.1). Nothing here is ever encrypted with one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::secrets::error;
use crate::http::{Request, Response};

/// The key that AWS has for volumes where nobody names another.
const OF_AWS: &str = "alias/aws/ebs";

/// The keys of the account, by id.
pub(crate) struct Keys {
    own: BTreeMap<String, Key>,
    region: String,
    account: String,
}

struct Key {
    policy: String,
    enabled: bool,
    grants: Vec<Value>,
}

type Refused = (&'static str, String);

impl Keys {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        Self { own: BTreeMap::new(), region: region.to_owned(), account: account.to_owned() }
    }

    /// Whether a call is one of KMS.
    pub(crate) fn is_for(target: &str) -> bool {
        target.starts_with("TrentService.")
    }

    /// Answers the call that `X-Amz-Target` names.
    pub(crate) fn handle(&mut self, target: &str, request: &Request) -> Response {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return error("SerializationException", "the body is not JSON");
        };
        match self.call(target.trim_start_matches("TrentService."), &body) {
            Ok(answer) => Response::new(200, "application/x-amz-json-1.1", answer.to_string()),
            Err((code, message)) => error(code, &message),
        }
    }

    fn call(&mut self, action: &str, body: &Value) -> Result<Value, Refused> {
        if action == "CreateKey" {
            let id = format!("00000000-0000-4000-8000-{:012}", self.own.len() + 1);
            let all = format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{}:root"}},"Action":"kms:*","Resource":"*"}}}}"#,
                self.account
            );
            let policy = body["Policy"].as_str().map_or(all, str::to_owned);
            self.own.insert(id.clone(), Key { policy, enabled: true, grants: Vec::new() });
            return Ok(json!({ "KeyMetadata": self.describe(&id)? }));
        }
        let named = body["KeyId"].as_str().unwrap_or_default();
        let id = named.rsplit_once(":key/").map_or(named, |(_, id)| id).to_owned();
        if action == "DescribeKey" {
            return Ok(json!({ "KeyMetadata": self.describe(&id)? }));
        }
        let arn = self.arn(&id);
        let key = self.own.get_mut(&id).ok_or_else(|| no_key(&arn))?;
        match action {
            "EnableKey" | "DisableKey" => {
                key.enabled = action == "EnableKey";
                Ok(json!({}))
            }
            "GetKeyPolicy" => Ok(json!({ "Policy": key.policy, "PolicyName": "default" })),
            "PutKeyPolicy" => {
                body["Policy"].as_str().unwrap_or_default().clone_into(&mut key.policy);
                Ok(json!({}))
            }
            "CreateGrant" => {
                let id = format!("{:064}", key.grants.len() + 1);
                let mut grant = json!({ "KeyId": arn, "GrantId": id });
                for field in ["Name", "GranteePrincipal", "Operations", "Constraints"] {
                    grant[field] = body[field].clone();
                }
                key.grants.push(grant);
                Ok(json!({ "GrantId": id, "GrantToken": "none" }))
            }
            "ListGrants" => {
                let whose = &body["GranteePrincipal"];
                let fits = |grant: &&Value| whose.is_null() || grant["GranteePrincipal"] == *whose;
                let grants: Vec<&Value> = key.grants.iter().filter(fits).collect();
                Ok(json!({ "Grants": grants, "Truncated": false }))
            }
            _ => Err(("UnknownOperationException", String::new())),
        }
    }

    fn describe(&self, id: &str) -> Result<Value, Refused> {
        let (manager, enabled) = match self.own.get(id) {
            Some(key) => ("CUSTOMER", key.enabled),
            None if id == OF_AWS => ("AWS", true),
            None => return Err(no_key(&self.arn(id))),
        };
        let id = if id == OF_AWS { "00000000-0000-4000-8000-000000000000" } else { id };
        Ok(json!({
            "AWSAccountId": self.account,
            "Arn": self.arn(id),
            "KeyId": id,
            "Enabled": enabled,
            "KeyState": if enabled { "Enabled" } else { "Disabled" },
            "KeyManager": manager,
            "KeyUsage": "ENCRYPT_DECRYPT",
        }))
    }

    fn arn(&self, id: &str) -> String {
        format!("arn:aws:kms:{}:{}:key/{id}", self.region, self.account)
    }
}

fn no_key(arn: &str) -> Refused {
    ("NotFoundException", format!("Key '{arn}' does not exist"))
}
