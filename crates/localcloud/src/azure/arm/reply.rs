//! The shapes of answers and errors.

use serde_json::{Value, json};

use super::{Accepted, Azure, Refused, show};
use crate::http::{Request, Response};

/// The envelope of an error.
pub(crate) fn error(status: u16, code: &str, message: &str, target: Option<&str>) -> Response {
    let mut error = json!({"code": code, "message": message});
    if let Some(target) = target {
        error["target"] = json!(target);
    }
    Response::json(status, &json!({"error": error}))
}

/// The same for what the model refuses.
pub(crate) fn refused(refusal: &Refused) -> Response {
    error(refusal.status, refusal.code, &refusal.message, refusal.target)
}

/// The body of a write.
pub(super) fn json_of(request: &Request) -> Result<Value, Refused> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| {
        let message = format!("The request content was invalid and could not be deserialized: '{error}'.");
        Refused::new(400, "InvalidRequestContent", message)
    })?;
    if !body.is_object() {
        return Err(Refused::new(400, "InvalidRequestContent", "The request content is not a JSON object."));
    }
    // What is added to them expects as much.
    match ["properties", "sku"].into_iter().find(|key| !body[key].is_null() && !body[key].is_object()) {
        Some(key) => Err(no_object(key)),
        None => Ok(body),
    }
}

/// Refuses a list in which something else is than objects; that it is there is not asked.
pub(super) fn must_be_objects(body: &Value, list: &'static str) -> Result<(), Refused> {
    let found = body["properties"][list].as_array().into_iter().flatten().all(Value::is_object);
    if found { Ok(()) } else { Err(no_object(list)) }
}

fn no_object(key: &str) -> Refused {
    let message =
        format!("The request content was invalid and could not be deserialized: '{key}' holds what is no object.");
    Refused::new(400, "InvalidRequestContent", message)
}

/// Says where the operation that a call began is asked about.
pub(super) fn accepted(azure: &Azure, request: &Request, response: Response, begun: &Accepted) -> Response {
    let Some(id) = &begun.operation else { return response };
    let options = azure.options();
    let url = format!(
        "{}/subscriptions/{}/providers/Microsoft.Compute/locations/{}/operations/{id}?api-version={}",
        here(request),
        options.subscription,
        options.location,
        request.query("api-version").unwrap_or_default()
    );
    let monitor = format!("{url}&monitor=true");
    response.header("azure-asyncoperation", url).header("location", monitor).header("retry-after", "1")
}

/// Where this request went.
pub(super) fn location(request: &Request) -> String {
    let version = request.query("api-version").unwrap_or_default();
    format!("{}{}?api-version={version}&monitor=true", here(request), request.path)
}

/// Where the embedded cloud is, for who sent this request.
pub(super) fn here(request: &Request) -> String {
    format!("http://{}", request.header("host").unwrap_or("127.0.0.1"))
}

pub(super) fn absent(path: &str) -> Refused {
    let below: Vec<&str> = show::below(path).collect();
    let (kind, name) = (below.get(..2).map(|parts| parts.join("/")), below.get(2).copied());
    let message = format!(
        "The Resource '{}/{}' under resource group '{}' was not found. For more details please go to \
         https://aka.ms/ARMResourceNotFoundFix",
        kind.unwrap_or_default(),
        name.unwrap_or_default(),
        path.split('/').nth(4).unwrap_or_default()
    );
    Refused::new(404, "ResourceNotFound", message)
}
