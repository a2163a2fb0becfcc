//! Resources that are kept as they were written, with what is counted of them: the images and networks that scale sets name, and what the subscription
//! may run. Nothing here acts on them, and machines start from any image.

use serde_json::{Value, json};

use super::{
    Azure,
    kinds::{self, Kind},
    not_allowed,
    reply::{absent, here, json_of, must_be_objects},
    show::{self, Written},
    sites,
};
use crate::{
    azure::model::{Refused, ScaleSet, overlay},
    http::{Request, Response},
    time::Timestamp,
};

/// The sizes of machines that are offered, each with so many processors (Azure, "Sizes for virtual machines"): series and what follows the number.
const SERIES: [(&str, &str); 4] = [("D", "s_v5"), ("D", "as_v5"), ("E", "s_v5"), ("F", "s_v2")];
const CORES: [u32; 4] = [2, 4, 8, 16];
const ZONES: [&str; 3] = ["1", "2", "3"];
/// The processors that a new subscription may run, of each family, in all, and as Spot.
const QUOTA: u32 = 100;
/// The addresses of each subnet that Azure keeps for itself.
const RESERVED: u32 = 5;

/// The operation that a call about what has this path is.
pub(super) fn operation_id(method: &str, path: &str) -> &'static str {
    let Some(Kind { operations, .. }) = kinds::of_path(path) else { return kinds::UNKNOWN };
    match (method, is_list(path)) {
        ("GET", true) if group_of(path).is_none() => operations.list_all,
        ("GET", true) => operations.list,
        ("GET", false) => operations.get,
        ("PUT", false) => operations.put,
        ("PATCH", false) => operations.patch,
        ("DELETE", false) => operations.delete,
        _ => kinds::UNKNOWN,
    }
}

/// Whether a path is that of all of a kind, below a resource, a resource group or the subscription.
fn is_list(path: &str) -> bool {
    show::below(path).count().is_multiple_of(2)
}

fn group_of(path: &str) -> Option<&str> {
    path.split('/').nth(3).filter(|part| part.eq_ignore_ascii_case("resourceGroups"))
}

/// Answers a call about a resource, or about all of a kind, by its path.
pub(super) fn answer(azure: &mut Azure, request: &Request, path: &str, now: Timestamp) -> Result<Response, Refused> {
    if operation_id(&request.method, path) == kinds::UNKNOWN {
        return Err(not_allowed(request));
    }
    let kind = kinds::of_path(path).ok_or_else(|| absent(path))?;
    let key = path.to_lowercase();
    if is_list(path) {
        return list(azure, kind, path);
    }
    match request.method.as_str() {
        "GET" => azure.resources.get(&key).map(|resource| Response::json(200, resource)).ok_or_else(|| absent(path)),
        "DELETE" => {
            let there = azure.resources.remove(&key).is_some();
            let below = format!("{key}/");
            azure.resources.retain(|id, _| !id.starts_with(&below));
            Ok(Response::empty(if there && !kind.is_part { 200 } else { 204 }))
        }
        _ => write(azure, request, kind, path, now),
    }
}

/// All of a kind: of a resource group or of the whole subscription, or the parts of a resource, which is there.
fn list(azure: &Azure, kind: &Kind, path: &str) -> Result<Response, Refused> {
    let folder = format!("{}/", path.to_lowercase());
    if kind.is_part {
        whole_of(azure, path)?;
    }
    let everywhere = group_of(path).is_none();
    let is_wanted = |id: &str| {
        let direct = id.strip_prefix(&folder).is_some_and(|name| !name.contains('/'));
        direct || everywhere && !is_list(id) && kinds::of_path(id).is_some_and(|other| other.name == kind.name)
    };
    let found = azure.resources.iter().filter(|(id, _)| is_wanted(id)).map(|(_, resource)| resource);
    Ok(Response::json(200, &json!({"value": found.collect::<Vec<_>>()})))
}

/// Writes a resource, or a part of what it says.
fn write(azure: &mut Azure, request: &Request, kind: &Kind, path: &str, now: Timestamp) -> Result<Response, Refused> {
    let (key, body) = (path.to_lowercase(), json_of(request)?);
    must_be_objects(&body, "subnets")?;
    if kind.is_part {
        whole_of(azure, path.rsplit_once('/').map_or(path, |(folder, _)| folder))?;
    }
    let before = azure.resources.get(&key);
    let mut resource = match (before, request.method.as_str()) {
        (None, "PATCH") => return Err(absent(path)),
        (Some(before), "PATCH") => {
            let mut changed = before.clone();
            overlay(&mut changed, &body);
            changed
        }
        _ => body.clone(),
    };
    if !kind.is_part && !resource["location"].is_string() {
        let message = "The location property is required for this definition.";
        return Err(Refused::new(400, "LocationRequired", message));
    }
    if let Some(missing) = kind.needs.iter().find(|part| resource.pointer(part).is_none_or(Value::is_null)) {
        let message = format!("The resource needs {}.", missing[1..].replace('/', "."));
        return Err(Refused::new(400, "BadRequest", message));
    }
    resource["id"] = json!(path);
    resource["name"] = json!(show::name_of(path));
    resource["type"] = json!(kind.name);
    if !kind.is_part {
        resource["properties"]["provisioningState"] = json!("Succeeded");
    }
    let here = here(request);
    let tenant = azure.options().tenant.clone();
    (kind.complete)(&Written { path, tenant: &tenant, here: &here, now, before }, &mut resource);
    let status = if before.is_none() || kind.is_part { 201 } else { 200 };
    azure.resources.insert(key, resource.clone());
    if kind.name == sites::KIND {
        sites::take_settings(azure, path, &body);
    }
    Ok(Response::json(status, &resource))
}

/// The resource of which something with this folder is a part.
fn whole_of(azure: &Azure, folder: &str) -> Result<(), Refused> {
    let whole = folder.rsplit_once('/').map_or(folder, |(whole, _)| whole);
    if azure.resources.contains_key(&whole.to_lowercase()) { Ok(()) } else { Err(absent(whole)) }
}

/// How many addresses each subnet of a network has, and how many are in use.
pub(super) fn addresses(azure: &Azure, request: &Request, network: &str) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    let found = azure.resources.get(&network.to_lowercase()).ok_or_else(|| absent(network))?;
    let subnets = found["properties"]["subnets"].as_array().into_iter().flatten();
    let usages = subnets.map(|subnet| {
        let id = subnet["id"].as_str().unwrap_or_default();
        let prefix = subnet["properties"]["addressPrefix"].as_str().and_then(|range| range.rsplit_once('/'));
        let bits = prefix.and_then(|(_, bits)| bits.parse::<u32>().ok()).unwrap_or(24).clamp(8, 29);
        let inside = azure.scale_sets.values().filter(|set| set.subnets().any(|one| one.eq_ignore_ascii_case(id)));
        json!({
            "name": {"value": "SubnetSpace", "localizedValue": "Subnet size and usage"},
            "id": id,
            "unit": "Count",
            "currentValue": inside.map(|set| azure.members(&set.name).len()).sum::<usize>(),
            "limit": (1_u32 << (32 - bits)) - RESERVED,
        })
    });
    Ok(Response::json(200, &json!({"value": usages.collect::<Vec<_>>()})))
}

/// The family of a size, as quotas name it: `Standard_D2as_v5` is of `standardDASv5Family`.
fn family(series: &str, rest: &str) -> String {
    let (letters, version) = rest.split_once('_').unwrap_or((rest, ""));
    format!("standard{series}{}{version}Family", letters.to_uppercase())
}

fn sizes() -> impl Iterator<Item = (String, String, u32)> {
    SERIES.into_iter().flat_map(|(series, rest)| {
        CORES.map(|cores| (format!("Standard_{series}{cores}{rest}"), family(series, rest), cores))
    })
}

/// The sizes of machines that the subscription may have.
pub(super) fn offered(azure: &Azure, request: &Request) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    let place = &azure.options().location;
    let wanted = request.query("$filter").is_none_or(|filter| filter == format!("location eq '{place}'"));
    let found = sizes().filter(|_| wanted).map(|(name, family, cores)| {
        json!({
            "resourceType": "virtualMachines",
            "name": name,
            "tier": "Standard",
            "family": family,
            "locations": [place],
            "locationInfo": [{"location": place, "zones": ZONES}],
            "capabilities": [{"name": "vCPUs", "value": cores.to_string()}],
            "restrictions": [],
        })
    });
    Ok(Response::json(200, &json!({"value": found.collect::<Vec<_>>()})))
}

/// How many processors run, and how many may.
pub(super) fn processors(azure: &Azure, request: &Request, location: &str) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    let known: Vec<_> = sizes().collect();
    let running = |counts: &dyn Fn(&ScaleSet, &str) -> bool| -> usize {
        let here = azure.scale_sets.values().filter(|set| set.location.eq_ignore_ascii_case(location));
        here.filter_map(|set| {
            let (_, family, cores) = known.iter().find(|(name, ..)| set.sku["name"] == name.as_str())?;
            counts(set, family).then(|| azure.members(&set.name).len() * usize::try_from(*cores).unwrap_or_default())
        })
        .sum()
    };
    let usage = |name: &str, said: &str, used: usize| json!({"name": {"value": name, "localizedValue": said}, "unit": "Count", "currentValue": used, "limit": QUOTA});
    let mut found = vec![
        usage("cores", "Total Regional vCPUs", running(&|set, _| !set.is_spot())),
        usage("lowPriorityCores", "Total Regional Spot vCPUs", running(&|set, _| set.is_spot())),
    ];
    for (series, rest) in SERIES {
        let name = family(series, rest);
        let used = running(&|set, family| !set.is_spot() && family == name);
        found.push(usage(&name, &format!("Standard {series}{rest} Family vCPUs"), used));
    }
    Ok(Response::json(200, &json!({"value": found})))
}
