//! From what new machines of a scale set start, in which networks, and whether the subscription lets as many run as may be asked for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    doctor::facts::{Fact, NextImage, NotOffered, QuotaFacts, Subnet},
};
use serde_json::Value;

use super::other;
use crate::azure::{call, client::Azure, reply};

/// The versions of the APIs that are spoken: of galleries ("Gallery Image Versions - List By Gallery Image"), of networks ("Virtual Networks - List
/// Usage"), and of sizes ("Resource Skus - List"); usages and images are Compute's.
const GALLERIES: &str = "2023-07-03";
const NETWORKS: &str = "2024-05-01";
const SIZES: &str = "2021-07-01";

/// The quotas towards which machines count beside that of their family ("Usage - List"): all regular ones, and all Spot ones of whichever family.
const REGULAR: &str = "cores";
const SPOT: &str = "lowPriorityCores";

/// The right to read a version of a gallery's image.
const VERSION: &str = "Microsoft.Compute/galleries/images/versions/read";

/// What is told of it.
pub(super) struct Starting {
    pub(super) image: Option<Fact<NextImage>>,
    pub(super) subnets: Option<Fact<Vec<Subnet>>>,
    pub(super) quotas: Option<Fact<Vec<QuotaFacts>>>,
    pub(super) not_offered: Option<Fact<NotOffered>>,
}

/// Looks at all of it for a scale set, as it was read, of which a pool may have so many machines.
pub(super) async fn look(azure: &Azure, subscription: &str, set: &Value, most: u32) -> Starting {
    let sizes = sizes(set);
    let (image, subnets, offered) = tokio::join!(
        Box::pin(image(azure, set)),
        Box::pin(subnets(azure, set)),
        Box::pin(offered(azure, subscription, set, &sizes))
    );
    let told = |error: CloudError| error.to_string();
    let not_offered = offered.as_ref().map(|offered| not_offered(set, &sizes, offered)).map_err(ToString::to_string);
    let quotas = match &offered {
        Ok(offered) => Box::pin(quotas(azure, subscription, set, offered, most)).await.map_err(told),
        Err(error) => Err(error.to_string()),
    };
    Starting {
        image: image.map_err(told).transpose(),
        subnets: Some(subnets.map_err(told)),
        quotas: Some(quotas),
        not_offered: Some(not_offered),
    }
}

fn profile(set: &Value) -> &Value {
    &set["properties"]["virtualMachineProfile"]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Locations are named in several ways: `westeurope`, `West Europe`.
fn is_location(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.to_ascii_lowercase().replace(' ', "");
    plain(one) == plain(other)
}

/// The sizes of which its machines may be; with an instance mix there are several.
fn sizes(set: &Value) -> BTreeSet<String> {
    let mix = each(&set["properties"]["skuProfile"]["vmSizes"]).map(|size| text(&size["name"]).to_owned());
    let mix: BTreeSet<String> = mix.collect();
    let own = set["sku"]["name"].as_str().map(str::to_owned);
    if mix.is_empty() { own.into_iter().collect() } else { mix }
}

async fn get(azure: &Azure, right: &'static str, path: &str, version: &str) -> Result<Value, CloudError> {
    reply::parse(&azure.call(call::look(&azure.manager(), right, path, version)).await?).map_err(other)
}

/// The id of the image, where it is one of one's own.
pub(super) fn image_id(set: &Value) -> Option<&str> {
    Some(profile(set)["storageProfile"]["imageReference"]["id"].as_str()?.trim_end_matches('/'))
}

/// Where an image is.
pub(super) enum ImageId<'a> {
    /// In a gallery, of which one version may be named.
    Gallery { image: &'a str, version: Option<&'a str> },
    /// By itself.
    Managed(&'a str),
}

impl<'a> ImageId<'a> {
    pub(super) fn of(id: &'a str) -> Self {
        const VERSIONS: &str = "/versions/";
        let lower = id.to_ascii_lowercase();
        if !lower.contains("/galleries/") {
            return Self::Managed(id);
        }
        let (image, version) =
            lower.find(VERSIONS).map_or((id, None), |at| (&id[..at], Some(&id[at + VERSIONS.len()..])));
        Self::Gallery { image, version: version.filter(|name| !name.eq_ignore_ascii_case("latest")) }
    }
}

/// The image, where it is one of one's own; what others publish has no age that says something.
async fn image(azure: &Azure, set: &Value) -> Result<Option<NextImage>, CloudError> {
    let Some(id) = image_id(set) else { return Ok(None) };
    let place = text(&set["location"]);
    let mut passed_over = Vec::new();
    let found = match ImageId::of(id) {
        ImageId::Gallery { version: Some(_), .. } => get(azure, VERSION, id, GALLERIES).await.map(Some),
        ImageId::Gallery { image, version: None } => latest(azure, image, place, &mut passed_over).await,
        ImageId::Managed(id) => get(azure, "Microsoft.Compute/images/read", id, call::COMPUTE).await.map(Some),
    };
    let found = match found {
        Err(error) if error.kind == CloudErrorKind::NotFound => None,
        found => found?,
    };
    let published = |key: &str| {
        let found = found.as_ref()?;
        found["properties"]["publishingProfile"][key].as_str()?.parse::<Timestamp>().ok()
    };
    let usable = found.as_ref().is_some_and(|found| {
        let mut copies = each(&found["properties"]["publishingProfile"]["targetRegions"]).peekable();
        let here = if copies.peek().is_some() {
            copies.any(|copy| is_location(text(&copy["name"]), place))
        } else {
            is_location(text(&found["location"]), place)
        };
        here && text(&found["properties"]["provisioningState"]) == "Succeeded"
    });
    let name = found.as_ref().and_then(|found| found["id"].as_str()).unwrap_or(id);
    Ok(Some(NextImage {
        id: name.rsplit("/Microsoft.Compute/").next().unwrap_or(name).to_owned(),
        usable,
        created: published("publishedDate"),
        deprecated: published("endOfLifeDate"),
        passed_over,
        now: Timestamp::now(),
    }))
}

/// The version of a gallery's image that is taken where none is named: the highest that is left out neither everywhere nor where the scale set is (Azure
/// Compute Gallery, "Image versions"). One that is not whole is passed over, as long as there is a lower one.
async fn latest(
    azure: &Azure,
    image: &str,
    place: &str,
    passed_over: &mut Vec<String>,
) -> Result<Option<Value>, CloudError> {
    let call = call::look(&azure.manager(), VERSION, &format!("{image}/versions"), GALLERIES);
    let mut versions: Vec<Value> = azure.list(call).await?;
    versions.retain(|version| {
        let profile = &version["properties"]["publishingProfile"];
        let mut here = each(&profile["targetRegions"]).filter(|region| is_location(text(&region["name"]), place));
        profile["excludeFromLatest"] != true && !here.any(|region| region["excludeFromLatest"] == true)
    });
    versions.sort_by_key(|version| {
        let parts = text(&version["name"]).split('.').map(|part| part.parse::<u64>().unwrap_or_default());
        Reverse(parts.collect::<Vec<_>>())
    });
    let state = |version: &Value| text(&version["properties"]["provisioningState"]).to_owned();
    let Some(at) = versions.iter().position(|version| state(version) == "Succeeded") else {
        return Ok(versions.into_iter().next());
    };
    let taken = versions.swap_remove(at);
    passed_over.extend(versions[..at].iter().map(|it| format!("{}, which is {}", text(&it["name"]), state(it))));
    Ok(Some(taken))
}

/// The subnets of the interfaces of new machines.
pub(super) fn subnet_ids(set: &Value) -> BTreeSet<&str> {
    let interfaces = each(&profile(set)["networkProfile"]["networkInterfaceConfigurations"]);
    let addresses = interfaces.flat_map(|interface| each(&interface["properties"]["ipConfigurations"]));
    addresses.filter_map(|address| address["properties"]["subnet"]["id"].as_str()).collect()
}

/// How many addresses are left in each.
async fn subnets(azure: &Azure, set: &Value) -> Result<Vec<Subnet>, CloudError> {
    let mut found = Vec::new();
    for id in subnet_ids(set) {
        let Some((network, name)) = id.rsplit_once("/subnets/") else {
            return Err(other(format!("{id} is no resource id of a subnet")));
        };
        let path = format!("{network}/usages");
        let call = call::look(&azure.manager(), "Microsoft.Network/virtualNetworks/usages/read", &path, NETWORKS);
        let usages: Vec<Value> = match azure.list(call).await {
            Err(error) if error.kind == CloudErrorKind::NotFound => Vec::new(),
            usages => usages?,
        };
        let usage = usages.iter().find(|usage| text(&usage["id"]).eq_ignore_ascii_case(id));
        let free = usage.map(|usage| {
            let number = |key: &str| usage[key].as_f64().filter(|number| *number >= 0.0);
            // -1 where it is not counted.
            let (limit, used) = number("limit")
                .zip(number("currentValue"))
                .ok_or_else(|| other(format!("Azure does not count the addresses of {name}")))?;
            Ok::<u32, CloudError>(whole(limit - used))
        });
        let zone = network.rsplit('/').next().unwrap_or_default().to_owned();
        found.push(Subnet { id: name.to_owned(), zone, free: free.transpose()? });
    }
    Ok(found)
}

/// Azure tells some counts as floating numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to what there is")]
fn whole(number: f64) -> u32 {
    number.clamp(0.0, f64::from(u32::MAX)) as u32
}

/// What is offered to this subscription where the scale set is, of these sizes.
async fn offered(
    azure: &Azure,
    subscription: &str,
    set: &Value,
    sizes: &BTreeSet<String>,
) -> Result<BTreeMap<String, Value>, CloudError> {
    let path = format!(
        "/subscriptions/{subscription}/providers/Microsoft.Compute/skus?$filter=location%20eq%20'{}'",
        text(&set["location"]).replace(' ', "").to_ascii_lowercase()
    );
    let call = call::look(&azure.manager(), "Microsoft.Compute/skus/read", &path, SIZES);
    let all: Vec<Value> = azure.list(call).await?;
    let is_wanted = |size: &Value| sizes.iter().any(|name| name.eq_ignore_ascii_case(text(&size["name"])));
    let wanted = all.into_iter().filter(|size| size["resourceType"] == "virtualMachines" && is_wanted(size));
    Ok(wanted.map(|size| (text(&size["name"]).to_ascii_lowercase(), size)).collect())
}

/// Which of the sizes some zone of the scale set does not have, or is not to be had by this subscription.
fn not_offered(set: &Value, sizes: &BTreeSet<String>, offered: &BTreeMap<String, Value>) -> NotOffered {
    let place = text(&set["location"]);
    let mut missing = Vec::new();
    let mut had = sizes.is_empty();
    for name in sizes {
        let Some(size) = offered.get(&name.to_ascii_lowercase()) else {
            missing.push(format!("{name} in {place}"));
            continue;
        };
        let barred = |kind: &'static str| each(&size["restrictions"]).filter(move |it| text(&it["type"]) == kind);
        if barred("Location").next().is_some() {
            missing.push(format!("{name} in {place}, to this subscription"));
            continue;
        }
        let zones: BTreeSet<&str> = each(&size["locationInfo"]).flat_map(|it| each(&it["zones"])).map(text).collect();
        let closed: BTreeSet<&str> =
            barred("Zone").flat_map(|it| each(&it["restrictionInfo"]["zones"])).map(text).collect();
        let (open, shut): (Vec<&str>, Vec<&str>) =
            each(&set["zones"]).map(text).partition(|zone| zones.contains(zone) && !closed.contains(zone));
        had |= !open.is_empty() || shut.is_empty();
        missing.extend(shut.iter().map(|zone| format!("{name} in zone {zone} of {place}")));
    }
    NotOffered { missing, all: !had }
}

/// The quotas towards which its machines count, and what others use of each.
async fn quotas(
    azure: &Azure,
    subscription: &str,
    set: &Value,
    offered: &BTreeMap<String, Value>,
    most: u32,
) -> Result<Vec<QuotaFacts>, CloudError> {
    let path = format!(
        "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{}/usages",
        text(&set["location"]).replace(' ', "").to_ascii_lowercase()
    );
    let call = call::look(&azure.manager(), "Microsoft.Compute/locations/usages/read", &path, call::COMPUTE);
    let usages: Vec<Value> = azure.list(call).await?;
    let spot = profile(set)["priority"] == "Spot";
    // Some of its machines are regular ones all the same ("Spot Priority Mix").
    let mixed = set["properties"]["priorityMixPolicy"].is_object();
    let mut counted: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for size in offered.values() {
        let cores = each(&size["capabilities"]).find(|it| text(&it["name"]) == "vCPUs");
        let Some(cores) = cores.and_then(|cores| text(&cores["value"]).parse().ok()) else { continue };
        let regular = [text(&size["family"]), REGULAR].into_iter().filter(|_| !spot || mixed);
        for quota in spot.then_some(SPOT).into_iter().chain(regular) {
            counted.entry(quota).or_default().push(cores);
        }
    }
    let capacity = set["sku"]["capacity"].as_u64().unwrap_or_default();
    let mut quotas = Vec::new();
    for (name, cores) in counted {
        let Some(usage) = usages.iter().find(|usage| text(&usage["name"]["value"]).eq_ignore_ascii_case(name)) else {
            continue;
        };
        let (Some(smallest), Some(largest)) = (cores.iter().min(), cores.iter().max()) else { continue };
        let number = |key: &str| usage[key].as_f64().map(whole);
        let Some(limit) = number("limit") else { continue };
        // Its own machines are at least of the smallest size.
        let own = u32::try_from(capacity * u64::from(*smallest)).unwrap_or(u32::MAX);
        quotas.push(QuotaFacts {
            name: usage["name"]["localizedValue"].as_str().unwrap_or(name).to_owned(),
            limit,
            smallest: *smallest,
            most: u64::from(most) * u64::from(*largest),
            others: number("currentValue").map(|used| used.saturating_sub(own)),
            of_all: cores.len() == offered.len() && !mixed,
        });
    }
    Ok(quotas)
}
