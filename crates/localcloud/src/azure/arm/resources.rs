//! Resources that are kept as they were written, with what is counted of them: the images and networks that scale sets name, and what the subscription
//! may run. Nothing here acts on them, and machines start from any image.

use serde_json::json;

use super::{Azure, not_allowed, reply::json_of};
use crate::{
    azure::model::{Refused, ScaleSet},
    http::{Request, Response},
    time::Timestamp,
};

/// What is kept, by type, with the operations that read one of them and all.
const KINDS: &[(&str, &str, &str)] = &[
    ("microsoft.compute/images", "Images_Get", "Images_ListByResourceGroup"),
    (
        "microsoft.compute/galleries/images/versions",
        "GalleryImageVersions_Get",
        "GalleryImageVersions_ListByGalleryImage",
    ),
    ("microsoft.network/virtualnetworks", "VirtualNetworks_Get", "VirtualNetworks_List"),
];

/// The sizes of machines that are offered, each with so many processors (Azure, "Sizes for virtual machines"): series and what follows the number.
const SERIES: [(&str, &str); 4] = [("D", "s_v5"), ("D", "as_v5"), ("E", "s_v5"), ("F", "s_v2")];
const CORES: [u32; 4] = [2, 4, 8, 16];
const ZONES: [&str; 3] = ["1", "2", "3"];
/// The processors that a new subscription may run, of each family, in all, and as Spot.
const QUOTA: u32 = 100;
/// The addresses of each subnet that Azure keeps for itself.
const RESERVED: u32 = 5;

/// The operations of the kind of resource, or of the list of them, that has this path below `providers`; `None`: such are not kept.
fn kind(below: &[&str]) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let (provider, rest) = below.split_first()?;
    let kind = [*provider].into_iter().chain(rest.iter().step_by(2).copied()).collect::<Vec<_>>().join("/");
    KINDS.iter().find(|(known, ..)| *known == kind)
}

/// Whether what has this path is kept.
pub(super) fn is_kept(below: &[&str]) -> bool {
    kind(below).is_some()
}

/// The operation that reads it.
pub(super) fn operation_id(path: &str) -> &'static str {
    let lower = path.to_lowercase();
    let below: Vec<&str> = lower.split('/').skip_while(|part| *part != "providers").skip(1).collect();
    kind(&below).map_or("Unknown", |(_, one, all)| if below.len().is_multiple_of(2) { all } else { one })
}

/// Answers a call about a resource, or about all of a kind, by its path.
pub(super) fn answer(azure: &mut Azure, request: &Request, path: &str, now: Timestamp) -> Result<Response, Refused> {
    let key = path.to_lowercase();
    let below = key.split('/').skip_while(|part| *part != "providers").skip(1).count();
    if below.is_multiple_of(2) {
        if request.method != "GET" {
            return Err(not_allowed(request));
        }
        let folder = format!("{key}/");
        let is_direct = |id: &str| id.strip_prefix(&folder).is_some_and(|name| !name.contains('/'));
        let found = azure.resources.iter().filter(|(id, _)| is_direct(id)).map(|(_, resource)| resource);
        return Ok(Response::json(200, &json!({"value": found.collect::<Vec<_>>()})));
    }
    match request.method.as_str() {
        "GET" => match azure.resources.get(&key) {
            Some(resource) => Ok(Response::json(200, resource)),
            None => Err(absent(path)),
        },
        "PUT" => {
            let mut resource = json_of(request)?;
            if resource["location"].as_str().is_none() {
                let message = "The location property is required for this definition.";
                return Err(Refused::new(400, "LocationRequired", message));
            }
            resource["id"] = json!(path);
            resource["name"] = json!(path.rsplit('/').next());
            resource["properties"]["provisioningState"] = json!("Succeeded");
            let published = &mut resource["properties"]["publishingProfile"];
            if published.is_object() && published["publishedDate"].is_null() {
                published["publishedDate"] = json!(now.to_string());
            }
            if let Some(subnets) = resource["properties"]["subnets"].as_array_mut() {
                for subnet in subnets {
                    subnet["id"] = json!(format!("{path}/subnets/{}", subnet["name"].as_str().unwrap_or_default()));
                }
            }
            let created = azure.resources.insert(key, resource.clone()).is_none();
            Ok(Response::json(if created { 201 } else { 200 }, &resource))
        }
        "DELETE" => Ok(Response::empty(if azure.resources.remove(&key).is_some() { 200 } else { 204 })),
        _ => Err(not_allowed(request)),
    }
}

fn absent(path: &str) -> Refused {
    Refused::new(404, "ResourceNotFound", format!("The Resource '{path}' was not found."))
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
