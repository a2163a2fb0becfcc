//! Service Quotas, as far as it tells how many vCPUs may run (AWS JSON 1.1). Nothing here is held to them.

use serde_json::{Value, json};

use super::secrets::error;
use crate::http::{Request, Response};

/// Code, name and value: an account that was given more of the usual kinds, and none of the others, as a new one has.
const QUOTAS: [(&str, &str, f64); 8] = [
    ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5120.0),
    ("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5120.0),
    ("L-DB2E81BA", "Running On-Demand G and VT instances", 0.0),
    ("L-3819A6DF", "All G and VT Spot Instance Requests", 0.0),
    ("L-417A185B", "Running On-Demand P instances", 0.0),
    ("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", 0.0),
    ("L-7295265B", "Running On-Demand X instances", 0.0),
    ("L-E3A00192", "All X Spot Instance Requests", 0.0),
];

/// Whether a call is one of Service Quotas.
pub(crate) fn is_for(target: &str) -> bool {
    target.starts_with("ServiceQuotasV20190624.")
}

/// Answers the call that `X-Amz-Target` names.
pub(crate) fn handle(target: &str, request: &Request) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return error("SerializationException", "the body is not JSON");
    };
    if !target.ends_with(".GetServiceQuota") {
        return error("UnknownOperationException", "");
    }
    let known = QUOTAS.iter().find(|(code, ..)| body["ServiceCode"] == "ec2" && body["QuotaCode"] == *code);
    let Some((code, name, value)) = known else {
        return error("NoSuchResourceException", "The request failed because the specified service does not exist.");
    };
    let quota = json!({"ServiceCode": "ec2", "QuotaCode": code, "QuotaName": name, "Value": value, "Unit": "None", "Adjustable": true});
    Response::new(200, "application/x-amz-json-1.1", json!({ "Quota": quota }).to_string())
}
