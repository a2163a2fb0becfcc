//! Azure Monitor's Autoscale settings, as they were written: they are kept and listed, and nothing here acts on them.

use serde_json::{Value, json};

use super::{Azure, not_allowed, reply::json_of};
use crate::{
    azure::model::Refused,
    http::{Request, Response},
};

/// Every setting of the subscription.
pub(super) fn all(azure: &Azure, request: &Request) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    Ok(Response::json(200, &json!({"value": azure.autoscale.values().collect::<Vec<_>>()})))
}

/// Answers a call about one setting of a resource group, or about all.
pub(super) fn answer(
    azure: &mut Azure,
    request: &Request,
    group: &str,
    name: Option<&str>,
) -> Result<Response, Refused> {
    let subscription = azure.options().subscription.clone();
    let folder =
        format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/autoscaleSettings");
    let below = format!("{}/", folder.to_lowercase());
    let Some(name) = name else {
        if request.method != "GET" {
            return Err(not_allowed(request));
        }
        let found = azure.autoscale.iter().filter(|(key, _)| key.starts_with(&below));
        let found: Vec<&Value> = found.map(|(_, setting)| setting).collect();
        return Ok(Response::json(200, &json!({"value": found})));
    };
    let (id, key) = (format!("{folder}/{name}"), format!("{below}{}", name.to_lowercase()));
    match request.method.as_str() {
        "GET" => match azure.autoscale.get(&key) {
            Some(setting) => Ok(Response::json(200, setting)),
            None => Err(Refused::new(404, "ResourceNotFound", format!("The Resource '{id}' was not found."))),
        },
        "PUT" => {
            let mut setting = json_of(request)?;
            if setting["location"].as_str().is_none() || !setting["properties"]["profiles"].is_array() {
                let message = "An Autoscale setting needs a location and properties.profiles.";
                return Err(Refused::new(400, "InvalidRequestContent", message));
            }
            setting["id"] = json!(id);
            setting["name"] = json!(name);
            setting["type"] = json!("Microsoft.Insights/autoscaleSettings");
            let created = azure.autoscale.insert(key, setting.clone()).is_none();
            Ok(Response::json(if created { 201 } else { 200 }, &setting))
        }
        "DELETE" => {
            let status = if azure.autoscale.remove(&key).is_some() { 200 } else { 204 };
            Ok(Response::empty(status))
        }
        _ => Err(not_allowed(request)),
    }
}
