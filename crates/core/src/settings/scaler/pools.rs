//! The scaler's `[[pool]]` tables, read into what a pool needs; two pools with one name or one group are a problem.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{POOL_KEYS, PoolSettings, Shared, WEBHOOK_KEYS, WebhookSettings, ZoneFiles};
use crate::{
    platform::KINDS,
    scaling::{Entry, ScalerPolicy, Schedule, Zone},
    settings::{
        CloudName, Problem, SCALE_SET_EXAMPLE, ScaleSetId, Side,
        keys::names,
        reader::{Layer, Section, wrong},
        tree::{Node, Table, Value},
    },
};

pub(super) fn pools<'a>(root: &Section<'a>, shared: &Shared<'a>, used: &mut BTreeSet<&'a str>) -> Vec<PoolSettings> {
    let mut pools = Vec::new();
    let mut names = BTreeMap::new();
    let mut groups = BTreeMap::new();
    for (number, (node, table)) in root.tables("pool").into_iter().enumerate() {
        let group =
            || text_of(table, "group").map(|group| group.parse().map_or(group.to_owned(), |id: ScaleSetId| id.name));
        let title = text_of(table, "name").map(str::to_owned).or_else(group);
        let title = title.unwrap_or_else(|| format!("#{}", number + 1));
        let path = format!("pool[{title}]");
        let twin = |what: &str, place: &Node, remedy: &str| {
            let wrong_name = format!("has the same {what} as the pool at {}", place.place);
            shared.report.problem(Problem { value: None, ..wrong(&path, node, wrong_name, remedy) });
        };
        if let Some(first) = names.insert(title.clone(), node) {
            twin("name", first, "give each pool a name of its own: name = \"...\"");
        } else if let Some(group) = text_of(table, "group")
            && let Some(first) = groups.insert((program_of(table), place_of(text_of(table, "region"), group)), node)
        {
            twin(
                "group",
                first,
                "give each pool a group of its own, or join the two pools: they would not see each other's jobs",
            );
        }
        let layer = Layer { path: path.clone(), table: Some(table), place: Some(node.place.clone()) };
        pools.extend(pool(layer, shared, used));
    }
    pools
}

fn pool<'a>(own: Layer<'a>, shared: &Shared<'a>, used: &mut BTreeSet<&'a str>) -> Option<PoolSettings> {
    let platform = shared.platform(&own, used);
    let identity = Section::new(shared.report, vec![own.clone()], []);
    if !identity.has("group") {
        identity.missing(
            "group",
            "the name of the Auto Scaling group, the resource id of the scale set, or the name that your own program knows",
            "add group = \"my-group\"",
        );
    }
    let s = Section::new(shared.report, vec![own, shared.defaults.clone()], names(POOL_KEYS, Side::Scaler));
    let program = s.program("cloud").map(Vec::from).unwrap_or_default();
    let (cloud, group, usual) = match identity.text("group") {
        group if s.has("cloud") => (CloudName::Program, group.clone(), group),
        Some(text) if ScaleSetId::is_meant(&text) => match text.parse::<ScaleSetId>() {
            Ok(id) => (CloudName::Azure, Some(id.to_string()), Some(id.name)),
            Err(why) => {
                identity.contradiction("group", why, format!("write group = {SCALE_SET_EXAMPLE:?}"));
                return None;
            }
        },
        group => (CloudName::Aws, group.clone(), group),
    };
    let name = identity.text("name");
    if cloud == CloudName::Azure && identity.has("region") {
        identity.contradiction("region", "a scale set's resource id says where it is", "remove region");
    }
    if cloud == CloudName::Program && identity.has("region") {
        let remedy = "remove region, and hand it to the program as an argument";
        identity.contradiction("region", "a cloud of your own program has no regions", remedy);
    }
    let region = s.text("region");
    let policy = policy(&s);
    let schedule = schedule(&s, policy.max, shared.zones);
    let webhook = s
        .has("webhook")
        .then(|| webhook(s.child("webhook", names(WEBHOOK_KEYS, Side::Scaler)), name.as_ref().or(usual.as_ref())));
    s.finish();
    let group = group?;
    let name = name.or(usual)?;
    // A default is for the pools that have use for one.
    let region = region.filter(|_| cloud == CloudName::Aws);
    Some(PoolSettings {
        name,
        cloud,
        program,
        group,
        region,
        policy,
        schedule,
        platform: platform?,
        webhook: webhook.flatten(),
    })
}

fn webhook(s: Section<'_>, name: Option<&String>) -> Option<WebhookSettings> {
    let webhooks: Vec<_> = KINDS.iter().filter_map(|kind| Some((kind.name, kind.webhook?))).collect();
    if !s.has("kind") {
        let names: Vec<_> = webhooks.iter().map(|(name, _)| format!("{name:?}")).collect();
        s.missing("kind", "whose webhook it is", format!("add kind = one of {}", names.join(", ")));
    }
    let kind = s.word("kind", &webhooks);
    let secret = s.required_secret("secret", "the secret that is set at the platform, too");
    let path = s.text("path").or_else(|| name.cloned());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if path.as_ref().is_some_and(|path| !path.bytes().all(plain)) {
        let (what, remedy) =
            ("the address of a webhook has letters, digits, -, _ and . only", "write path = \"my-hook\"");
        s.contradiction("path", what, remedy);
    }
    s.finish();
    Some(WebhookSettings { kind: kind?, secret: secret?, path: path? })
}

fn policy(s: &Section<'_>) -> ScalerPolicy {
    let d = ScalerPolicy::default();
    let policy = ScalerPolicy {
        slots: s.integer("slots", 1..=1000).unwrap_or(d.slots),
        spare: s.integer("spare", 0..=10_000).unwrap_or(d.spare),
        entry: None,
        min: s.integer("min", 0..=10_000),
        max: s.integer("max", 1..=10_000),
        count_running: s.flag("count_running").unwrap_or(d.count_running),
        utilisation: s.integer("utilisation", 1..=100).unwrap_or(d.utilisation),
        threshold: s.integer("threshold", 1..=10_000).unwrap_or(d.threshold),
        max_step: s.integer("max_step", 1..=10_000),
        cooldown: s.duration("cooldown", Duration::ZERO..=Duration::from_secs(86_400)).unwrap_or(d.cooldown),
        silent_after: s
            .duration("silent_after", Duration::from_secs(1)..=Duration::from_secs(86_400))
            .unwrap_or(d.silent_after),
    };
    if let (Some(min), Some(max)) = (policy.min, policy.max)
        && min > max
    {
        s.contradiction("min", format!("min is above max, which is {max}"), "lower min or raise max");
    }
    if let Some(max) = policy.max
        && policy.spare > max
    {
        s.contradiction(
            "spare",
            format!("spare is above max, which is {max}: it could never be kept"),
            "lower spare or raise max",
        );
    }
    policy
}

fn schedule(s: &Section<'_>, max: Option<u32>, zones: ZoneFiles<'_>) -> Schedule {
    const EXAMPLE: &str = "write for example schedule = [\"mon-fri 07:30-18:00 spare 4\"]";
    let texts = s.texts("schedule").unwrap_or_default();
    let zone = s.text("zone").and_then(|text| match Zone::parse(&text, zones) {
        Ok(zone) => Some(zone),
        Err((wrong, remedy)) => {
            s.contradiction("zone", wrong, remedy);
            None
        }
    });
    if !texts.is_empty() && !s.has("zone") {
        s.missing(
            "zone",
            "whose clock the schedule goes by",
            "add zone = \"UTC\", or a rule such as zone = \"CET-1CEST,M3.5.0,M10.5.0/3\"",
        );
    }
    let read = |text: &String| match text.parse::<Entry>() {
        Ok(entry) => Some(entry),
        Err(wrong) => {
            s.contradiction("schedule", format!("{text:?} {wrong}"), EXAMPLE);
            None
        }
    };
    let schedule = Schedule::new(texts.iter().filter_map(read).collect(), zone.unwrap_or_else(Zone::utc));
    if let Some(max) = max.filter(|max| schedule.most() > *max) {
        s.contradiction(
            "schedule",
            format!("an entry has spare {}, which is above max, {max}: it could never be kept", schedule.most()),
            "lower it or raise max",
        );
    }
    schedule
}

/// What two pools must not share. Azure compares names without regard to case.
fn place_of(region: Option<&str>, group: &str) -> (Option<String>, String) {
    match group.parse::<ScaleSetId>() {
        Ok(id) => (None, id.to_string().to_ascii_lowercase()),
        Err(_) => (region.map(str::to_owned), group.to_owned()),
    }
}

/// The pool's own program that stands for its cloud: two of them may have groups of one name.
fn program_of(table: &Table) -> Vec<&str> {
    let Some(Node { value: Value::List(parts), .. }) = table.get("cloud") else { return Vec::new() };
    let text = parts.iter().map(|part| match &part.value {
        Value::Text(text) => Some(text.as_str()),
        Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    });
    text.flatten().collect()
}

fn text_of<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    match &table.get(key)?.value {
        Value::Text(text) if !text.trim().is_empty() => Some(text),
        Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => {
            None
        }
    }
}
