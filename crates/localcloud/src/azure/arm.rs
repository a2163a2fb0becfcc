//! The Resource Manager's wire in front of the model: what is asked, whether it may be, and the answer.

mod autoscale;
mod kinds;
mod limits;
mod reply;
mod resources;
mod roles;
mod route;
mod show;
mod sites;
mod tags;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::{
    reply::{accepted, json_of},
    route::{Action, Place, Route},
};
pub(crate) use self::{
    reply::{error, refused},
    route::{is_for, operation_id},
};
use super::model::{Accepted, Azure, Orchestration, Protection, Provisioning, Refused};
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// Answers a call whose caller is known.
pub(crate) fn handle(azure: &mut Azure, request: &Request, now: Timestamp) -> Response {
    azure.advance(now);
    let mut headers = Vec::new();
    let answer = answer(azure, request, &mut headers, now);
    let mut response = answer.unwrap_or_else(|refusal| refused(&refusal));
    response.headers.append(&mut headers);
    let id = azure.request_id();
    response.header("x-ms-request-id", id.clone()).header("x-ms-correlation-request-id", id)
}

type Headers = Vec<(&'static str, String)>;

fn answer(azure: &mut Azure, request: &Request, headers: &mut Headers, now: Timestamp) -> Result<Response, Refused> {
    let version = api_version(request)?;
    let route = Route::of(request).ok_or_else(|| {
        let message = format!("No HTTP resource was found that matches the request URI '{}'.", request.path);
        Refused::new(404, "ResourceNotFound", message)
    })?;
    if route.subscription != azure.options().subscription {
        let message = format!("The subscription '{}' could not be found.", route.subscription);
        return Err(Refused::new(404, "SubscriptionNotFound", message));
    }
    if let Err(throttled) = limits::take(azure, request, &route, headers, now) {
        return Ok(throttled);
    }
    match &route.place {
        Place::Operation { id } => operation(azure, request, id),
        Place::Sets { group } => {
            let sets = azure
                .scale_sets
                .values()
                .filter(|set| group.as_ref().is_none_or(|group| set.resource_group.eq_ignore_ascii_case(group)));
            let sets: Vec<Value> = sets.map(|set| show::set(azure, set)).collect();
            Ok(Response::json(200, &json!({"value": sets})))
        }
        Place::Machines { group } => machines(azure, request, group),
        Place::Tags { resource } => tags::answer(azure, request, resource, now),
        Place::AllAutoscale => autoscale::all(azure, request),
        Place::Kept { path } => resources::answer(azure, request, path, now),
        Place::Addresses { network } => resources::addresses(azure, request, network),
        Place::Sizes => resources::offered(azure, request),
        Place::Processors { location } => resources::processors(azure, request, location),
        Place::Settings { site, is_list } => sites::settings(azure, request, site, *is_list),
        Place::Switch { site, on } => sites::switch(azure, request, site, *on),
        Place::RoleAssignments { scope } => roles::assigned(azure, request, scope),
        Place::RoleAssignment { scope, name } => roles::assignment(azure, request, scope, name, now),
        Place::RoleDefinition { name } => roles::defined(azure, request, name),
        Place::Autoscale { group, name } => autoscale::answer(azure, request, group, name.as_deref()),
        Place::Permissions { resource } => permissions(azure, request, resource, now),
        Place::Set { group, name, action } => set(azure, request, group, name, *action, now),
        Place::Members { group, set } => {
            azure.set_in(group, set)?;
            Ok(show::page(azure, request, set))
        }
        Place::Member { group, set, id, action } => {
            let found = azure.set_in(group, set)?;
            let call =
                Call { request, set: found.name.clone(), name: found.machine_name(id), action: *action, version };
            call.member(azure, id, now)
        }
        Place::Machine { group, name, action } => {
            let set = azure.machine(name).map(|machine| machine.set.clone()).unwrap_or_default();
            let flexible = azure.set_in(group, &set).is_ok_and(|set| set.orchestration() == Orchestration::Flexible);
            let call = Call {
                request,
                set,
                name: if flexible { name.clone() } else { String::new() },
                action: *action,
                version,
            };
            call.machine(azure, name, group, now)
        }
    }
}

fn set(
    azure: &mut Azure,
    request: &Request,
    group: &str,
    name: &str,
    action: Action,
    now: Timestamp,
) -> Result<Response, Refused> {
    let if_match = request.header("if-match");
    match (request.method.as_str(), action) {
        ("GET", Action::None) => {
            let set = azure.set_in(group, name)?;
            Ok(Response::json(200, &show::set(azure, set)).header("etag", set.etag()))
        }
        ("PUT" | "PATCH", Action::None) => {
            let body = json_of(request)?;
            let written = if request.method == "PUT" {
                azure.put_set(group, name, &body, if_match, now)?
            } else {
                azure.update_set(group, name, &body, if_match, now)?
            };
            let set = azure.set_in(group, name)?;
            let status = if written.created { 201 } else { 200 };
            let response = Response::json(status, &show::set(azure, set)).header("etag", set.etag());
            Ok(accepted(azure, request, response, &written))
        }
        ("GET", Action::InstanceView) => {
            azure.set_in(group, name)?;
            Ok(Response::json(200, &show::set_view(azure, name)))
        }
        ("POST", Action::Delete) => {
            let set = azure.set_in(group, name)?;
            let body = json_of(request)?;
            let ids: Vec<&str> =
                body["instanceIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if ids.is_empty() {
                let message = "The value of parameter instanceIds is invalid: at least one instance is named.";
                return Err(Refused::invalid("instanceIds", message));
            }
            let names: Vec<String> = ids.into_iter().map(|id| set.machine_name(id)).collect();
            let begun = azure.delete_machines(name, &names, now)?;
            Ok(accepted(azure, request, Response::empty(202), &begun))
        }
        ("POST", Action::Upgrade) => {
            azure.set_in(group, name)?;
            let begun = azure.rolling_upgrade(name, now)?;
            Ok(accepted(azure, request, Response::empty(202), &begun))
        }
        _ => Err(not_allowed(request)),
    }
}

/// A call about one machine.
struct Call<'a> {
    request: &'a Request,
    /// The name of its set.
    set: String,
    name: String,
    action: Action,
    version: &'a str,
}

impl Call<'_> {
    /// As a part of its set.
    fn member(&self, azure: &mut Azure, id: &str, now: Timestamp) -> Result<Response, Refused> {
        let found = azure.machine(&self.name).filter(|it| it.ended_at.is_none());
        let Some(machine) = found.filter(|it| it.set == self.set.to_lowercase()) else {
            return match (self.request.method.as_str(), self.action) {
                // What is gone is deleted.
                ("DELETE", Action::None) => Ok(Response::empty(204)),
                ("GET", _) => {
                    let message =
                        format!("The entity was not found in this Azure location: instance {id} of {}.", self.set);
                    Err(Refused::new(404, "InstanceNotFound", message))
                }
                _ => Err(Refused::not_active(id)),
            };
        };
        match (self.request.method.as_str(), self.action) {
            ("GET", Action::None) => {
                let view = self.request.query("$expand").is_some_and(|it| it.eq_ignore_ascii_case("instanceView"));
                let etag = format!("\"{}\"", machine.generation);
                Ok(Response::json(200, &show::member(azure, machine, view)).header("etag", etag))
            }
            ("PUT", Action::None) => self.update(azure, id, now),
            _ => self.act(azure, id, now),
        }
    }

    /// As a resource of its own, which only those of Flexible sets are.
    fn machine(&self, azure: &mut Azure, name: &str, group: &str, now: Timestamp) -> Result<Response, Refused> {
        let Some(machine) = azure.machine(&self.name).filter(|it| it.ended_at.is_none()) else {
            if self.request.method == "DELETE" {
                return Ok(Response::empty(204));
            }
            let message = format!(
                "The Resource 'Microsoft.Compute/virtualMachines/{name}' under resource group '{group}' was not found. For \
                 more details please go to https://aka.ms/ARMResourceNotFoundFix"
            );
            return Err(Refused::new(404, "ResourceNotFound", message));
        };
        match (self.request.method.as_str(), self.action) {
            ("GET", Action::None) => {
                let view = self.request.query("$expand").is_some_and(|it| it.eq_ignore_ascii_case("instanceView"));
                Ok(Response::json(200, &show::machine(azure, machine, view)))
            }
            _ => self.act(azure, name, now),
        }
    }

    fn act(&self, azure: &mut Azure, id: &str, now: Timestamp) -> Result<Response, Refused> {
        let name = self.name.as_str();
        let begun = match (self.request.method.as_str(), self.action) {
            ("GET", Action::InstanceView) => {
                let machine = azure.machine(name).ok_or_else(|| Refused::not_active(id))?;
                return Ok(Response::json(200, &show::view(machine)));
            }
            ("DELETE", Action::None) => {
                // Asked for again, it is the same delete.
                let deleting = azure.machine(name).is_some_and(|it| it.provisioning == Provisioning::Deleting);
                if deleting {
                    Accepted { operation: azure.delete_of(name), created: false }
                } else {
                    azure.delete_machines(&self.set, &[name.to_owned()], now)?
                }
            }
            ("POST", Action::PowerOff) => azure.switch_off(name, false, now)?,
            ("POST", Action::Deallocate) => azure.switch_off(name, true, now)?,
            ("POST", Action::Start) => azure.switch_on(name, now)?,
            ("POST", Action::Restart) => azure.restart(name, now)?,
            ("POST", Action::SimulateEviction) => {
                azure.simulate_eviction(name, now)?;
                return Ok(Response::empty(204));
            }
            _ => return Err(not_allowed(self.request)),
        };
        Ok(accepted(azure, self.request, Response::empty(202), &begun))
    }

    fn update(&self, azure: &mut Azure, id: &str, now: Timestamp) -> Result<Response, Refused> {
        let body = json_of(self.request)?;
        let machine = azure.machine(&self.name).ok_or_else(|| Refused::not_active(id))?;
        let etag = format!("\"{}\"", machine.generation);
        if self.request.header("if-match").is_some_and(|wanted| wanted != "*" && wanted != etag) {
            let message = "The condition specified using HTTP conditional header(s) is not met.";
            return Err(Refused::new(412, "PreconditionFailed", message));
        }
        let policy = &body["properties"]["protectionPolicy"];
        let flexible = azure.scale_set(&self.set).is_some_and(|set| set.orchestration() == Orchestration::Flexible);
        let since = if flexible { "2023-09-01" } else { "2019-03-01" };
        if policy.is_object() && self.version < since {
            let message = format!(
                "The property 'protectionPolicy' is not known to api-version {}: use {since} or later.",
                self.version
            );
            return Err(Refused::new(400, "BadRequest", message));
        }
        let protection = if policy.is_object() {
            let on = |key: &str| policy[key] == true;
            Protection {
                from_scale_in: on("protectFromScaleIn"),
                from_scale_set_actions: on("protectFromScaleSetActions"),
            }
        } else {
            machine.protection
        };
        let properties = body["properties"].as_object().into_iter().flatten();
        let own = |key: &str| ["hardwareProfile", "storageProfile", "osProfile", "networkProfile"].contains(&key);
        let whole = properties.into_iter().any(|(key, _)| own(key));
        azure
            .protect(&self.name, protection, whole, now)
            .map_err(|refusal| if refusal.code == "InvalidParameter" { Refused::not_active(id) } else { refusal })?;
        let machine = azure.machine(&self.name).ok_or_else(|| Refused::not_active(id))?;
        Ok(Response::json(200, &show::member(azure, machine, false))
            .header("etag", format!("\"{}\"", machine.generation)))
    }
}

/// The machines of a resource group, or those of the one set that a filter names.
fn machines(azure: &Azure, request: &Request, group: &str) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    let filter = request.query("$filter").unwrap_or_default();
    let wanted = filter.split_once(" eq ").filter(|(key, _)| key.trim_matches('\'') == "virtualMachineScaleSet/id");
    let wanted = wanted.map(|(_, id)| id.trim_matches('\''));
    if wanted.is_none() && !filter.is_empty() {
        return Err(Refused::new(400, "BadRequest", format!("The filter '{filter}' is not supported.")));
    }
    let subscription = &azure.options().subscription;
    let sets = azure.scale_sets.values().filter(|set| {
        let asked = wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&set.id(subscription)));
        asked && set.orchestration() == Orchestration::Flexible && set.resource_group.eq_ignore_ascii_case(group)
    });
    let found = sets.flat_map(|set| azure.members(&set.name)).map(|machine| show::machine(azure, machine, false));
    Ok(Response::json(200, &json!({"value": found.collect::<Vec<_>>()})))
}

/// What the caller may do to a resource that is there. No roles are kept here: whoever is let in may do everything.
fn permissions(azure: &mut Azure, request: &Request, resource: &str, now: Timestamp) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    answer(azure, &Request { path: resource.to_owned(), ..request.clone() }, &mut Vec::new(), now)?;
    let all = json!({"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []});
    Ok(Response::json(200, &json!({"value": [all]})))
}

/// The status of an operation, as a document of its own or as the answer to the call that began it.
fn operation(azure: &Azure, request: &Request, id: &str) -> Result<Response, Refused> {
    let found = azure.operations.get(id).ok_or_else(|| {
        Refused::new(404, "NotFound", format!("The entity with id '{id}' was not found: no such operation."))
    })?;
    let retry = |response: Response| {
        if found.ended.is_none() { response.header("retry-after", "1") } else { response }
    };
    if request.query("monitor") != Some("true") {
        return Ok(retry(Response::json(200, &show::operation(found))));
    }
    Ok(match (&found.error, found.ended) {
        (Some((code, message)), _) => error(409, code, message, None),
        (None, None) => retry(Response::empty(202)).header("location", reply::location(request)),
        (None, Some(_)) => Response::empty(200),
    })
}

fn api_version(request: &Request) -> Result<&str, Refused> {
    let version = request.query("api-version").ok_or_else(|| {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        Refused::new(400, "MissingApiVersionParameter", message)
    })?;
    let date = version.get(..10).unwrap_or_default();
    let shape = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if shape && (version.len() == 10 || version.ends_with("-preview")) {
        return Ok(version);
    }
    let message = format!("The api-version '{version}' is invalid. The supported versions have the form 'yyyy-MM-dd'.");
    Err(Refused::new(400, "InvalidApiVersionParameter", message))
}

fn not_allowed(request: &Request) -> Refused {
    let message = format!("The requested resource does not support http method '{}'.", request.method);
    Refused::new(405, "HttpMethodNotAllowed", message)
}
