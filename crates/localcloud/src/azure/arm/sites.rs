//! Function apps, as far as one looks how they are set up: the app, its settings, its functions and whether it runs (Azure REST API reference, "Web
//! Apps"). Nothing here is ever invoked.

use serde_json::{Map, Value, json};

use super::{
    Azure, Refused, not_allowed,
    reply::{absent, json_of},
    show::{self, Written},
};
use crate::http::{Request, Response};

/// The type of apps.
pub(super) const KIND: &str = "Microsoft.Web/sites";

/// Where an app's settings are kept.
fn settings_of(site: &str) -> String {
    format!("{}/config/appsettings", site.to_lowercase())
}

/// What Azure says of an app that was written. The configuration in which it was written is not told again.
pub(super) fn complete(written: &Written<'_>, site: &mut Value) {
    let state = written.before.map_or(json!("Running"), |before| before["properties"]["state"].clone());
    let host = format!("{}.azurewebsites.net", show::name_of(written.path).to_lowercase());
    let properties = &mut site["properties"];
    properties["state"] = state;
    properties["enabled"] = json!(true);
    properties["defaultHostName"] = json!(host);
    properties["hostNames"] = json!([host]);
    properties["resourceGroup"] = json!(written.path.split('/').nth(4));
    if let Some(properties) = properties.as_object_mut() {
        properties.remove("siteConfig");
    }
    if site["identity"]["type"].is_string() {
        site["identity"] = show::identity(written.tenant, written.path, &site["identity"]);
    }
}

/// The settings with which an app is written.
pub(super) fn take_settings(azure: &mut Azure, site: &str, body: &Value) {
    let Some(pairs) = body["properties"]["siteConfig"]["appSettings"].as_array() else { return };
    let pair = |pair: &Value| Some((pair["name"].as_str()?.to_owned(), pair["value"].clone()));
    let settings = Value::Object(pairs.iter().filter_map(pair).collect());
    azure.resources.insert(settings_of(site), settings);
}

/// What Azure says of a function: its name is that of its app and its own.
pub(super) fn complete_function(written: &Written<'_>, function: &mut Value) {
    let (app, name) = written.path.rsplit_once("/functions/").unwrap_or_default();
    function["name"] = json!(format!("{}/{name}", show::name_of(app)));
    let properties = &mut function["properties"];
    properties["name"] = json!(name);
    properties["function_app_id"] = json!(app);
    properties["isDisabled"] = json!(properties["isDisabled"] == true || properties["config"]["disabled"] == true);
}

/// An app's settings: all are read by a POST, since they are secrets, and all are written.
pub(super) fn settings(azure: &mut Azure, request: &Request, site: &str, is_list: bool) -> Result<Response, Refused> {
    let known = azure.resources.get(&site.to_lowercase()).ok_or_else(|| absent(site))?;
    let (kind, location) = (known["kind"].clone(), known["location"].clone());
    let key = settings_of(site);
    match (request.method.as_str(), is_list) {
        ("POST", true) => {}
        ("PUT", false) => {
            let body = json_of(request)?;
            let settings = body["properties"].as_object().cloned().unwrap_or_default();
            if let Some((name, _)) = settings.iter().find(|(_, value)| !value.is_string()) {
                return Err(Refused::new(400, "BadRequest", format!("The setting '{name}' is not a string.")));
            }
            azure.resources.insert(key.clone(), Value::Object(settings));
        }
        _ => return Err(not_allowed(request)),
    }
    let settings = azure.resources.get(&key).cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let shown = json!({
        "id": format!("{site}/config/appsettings"),
        "name": "appsettings",
        "type": "Microsoft.Web/sites/config",
        "kind": kind,
        "location": location,
        "properties": settings,
    });
    Ok(Response::json(200, &shown))
}

/// Starts or stops an app.
pub(super) fn switch(azure: &mut Azure, request: &Request, site: &str, on: bool) -> Result<Response, Refused> {
    if request.method != "POST" {
        return Err(not_allowed(request));
    }
    let app = azure.resources.get_mut(&site.to_lowercase()).ok_or_else(|| absent(site))?;
    app["properties"]["state"] = json!(if on { "Running" } else { "Stopped" });
    Ok(Response::empty(200))
}
