//! Tags of any resource (Azure REST API reference, "Tags"): those of scale sets, and of machines that are resources of their own.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Azure, not_allowed,
    reply::json_of,
    route::{Place, Route},
};
use crate::{
    azure::model::Refused,
    http::{Request, Response},
    time::Timestamp,
};

pub(super) fn answer(
    azure: &mut Azure,
    request: &Request,
    resource: &str,
    now: Timestamp,
) -> Result<Response, Refused> {
    // Whether it is there, as it says itself.
    let itself = Request { path: resource.to_owned(), method: "GET".into(), ..request.clone() };
    super::answer(azure, &itself, &mut Vec::new(), now)?;
    let (tags, generation) = of(azure, &itself).ok_or_else(|| {
        Refused::new(400, "ResourceNotTaggable", format!("The resource '{resource}' does not support tags."))
    })?;
    match request.method.as_str() {
        "GET" => {}
        "PATCH" => {
            let body = json_of(request)?;
            let given: BTreeMap<String, String> =
                serde_json::from_value(body["properties"]["tags"].clone()).map_err(|_| {
                    Refused::invalid("properties.tags", "The value of parameter properties.tags is invalid.")
                })?;
            if let Some((name, _)) =
                given.iter().find(|(name, value)| name.chars().count() > 512 || value.chars().count() > 256)
            {
                let message = format!("The tag '{name}' is too long: a name has 512 characters at most, a value 256.");
                return Err(Refused::new(400, "InvalidTagValueLength", message));
            }
            match body["operation"].as_str() {
                Some("Merge") => tags.extend(given),
                Some("Replace") => *tags = given,
                Some("Delete") => tags.retain(|name, _| !given.contains_key(name)),
                _ => return Err(Refused::invalid("operation", "The value of parameter operation is invalid.")),
            }
            *generation += 1;
        }
        _ => return Err(not_allowed(request)),
    }
    let shown = json!({
        "id": format!("{resource}/providers/Microsoft.Resources/tags/default"),
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": tags},
    });
    Ok(Response::json(200, &shown))
}

/// The tags of the resource that a request reads, and the number of its entity tag; `None`: it has no tags of its own.
fn of<'a>(azure: &'a mut Azure, itself: &Request) -> Option<(&'a mut BTreeMap<String, String>, &'a mut u64)> {
    let place = Route::of(itself)?.place;
    if let Place::Set { name, .. } = &place {
        let set = azure.scale_sets.get_mut(&name.to_lowercase())?;
        return Some((&mut set.tags, &mut set.generation));
    }
    let Place::Machine { name, .. } = place else { return None };
    let machine = azure.machines.get_mut(&name)?;
    Some((&mut machine.tags, &mut machine.generation))
}
