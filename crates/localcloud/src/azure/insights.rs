//! The queries of Application Insights (Azure REST API reference, "Query - Execute"), as far as there is anything to ask for: no telemetry is taken here,
//! so that of an Application Insights that is there each query finds nothing. Its language is not understood but for the columns that it ends in.

use serde_json::{Value, json};

use super::{arm, model::Azure};
use crate::http::{Request, Response};

/// Whether a request is one of these.
pub(crate) fn is_for(request: &Request) -> bool {
    request.path.starts_with("/v1/apps/") && request.path.ends_with("/query")
}

/// Answers one whose caller is known.
pub(crate) fn handle(azure: &Azure, request: &Request) -> Response {
    let segments = request.segments();
    let application = segments.get(2).map(String::as_str).unwrap_or_default();
    let is_it = |component: &Value| {
        component["properties"]["AppId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(application))
    };
    if !azure.resources.values().any(is_it) {
        return arm::error(404, "PathNotFoundError", "The requested path does not exist", None);
    }
    if request.method != "POST" {
        return arm::error(405, "MethodNotAllowed", "The embedded Application Insights takes queries by POST.", None);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let Some(columns) = body["query"].as_str().and_then(columns) else {
        let message = "The embedded Application Insights takes queries that end in `project`.";
        return arm::error(400, "BadArgumentError", message, None);
    };
    let columns: Vec<Value> = columns.iter().map(|name| json!({"name": name, "type": "string"})).collect();
    Response::json(200, &json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": []}]}))
}

/// The names of the columns at the end of a query.
fn columns(query: &str) -> Option<Vec<&str>> {
    let (_, last) = query.rsplit_once('|')?;
    let names = last.trim().strip_prefix("project ")?.split(',');
    let names = names.map(|column| column.split('=').next().unwrap_or_default().trim());
    Some(names.collect())
}
