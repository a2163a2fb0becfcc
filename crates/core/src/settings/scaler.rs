//! The scaler's settings: its pools, what they share, and their webhooks.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    CloudName, Fragment, Key, Location, METRICS_KEYS, MetricsSettings, Problem, Problems, SCALE_SET_EXAMPLE,
    ScaleSetId, SecretSource, Side,
    keys::names,
    platform,
    reader::{Layer, Report, Section, wrong},
    tree::{Node, Table, Value, merged},
};
use crate::{
    platform::{KINDS, QueueConfig, webhook::Webhook},
    scaling::{Entry, ScalerPolicy, Schedule, Zone},
};

/// The variable with the address of the object in which a function's settings are.
pub const OBJECT_VARIABLE: &str = "LIGHTSOUT_SCALER_CONFIG_S3";
/// The variable with the name of the parameter in which a function's settings are.
pub const PARAMETER_VARIABLE: &str = "LIGHTSOUT_SCALER_CONFIG_SSM";

/// The keys at the top of the file.
pub const SCALER_KEYS: &[Key] = &[
    Key::optional("tick", Side::Scaler, "1 s to 1 h", "`\"10s\"`", "the pause between two ticks of `watch`"),
    Key::optional(
        "deadline",
        Side::Scaler,
        "100 ms to 5 min",
        "`\"8s\"`",
        "how long one pool may be read, and how long its raise may take once it has its turn, before its tick counts as failed",
    ),
];

/// The keys below `[[pool]]`; all but `group` and `name` may stand below `[defaults]`.
pub const POOL_KEYS: &[Key] = &[
    Key::required(
        "group",
        Side::Scaler,
        "text",
        "the Auto Scaling group, by its name; the Azure scale set, by its resource id; or what your own program calls it",
    ),
    Key::optional(
        "cloud",
        Side::Scaler,
        "program",
        "told by the group's name",
        "your own program that stands for the cloud: docs/clouds.md",
    ),
    Key::optional("name", Side::Scaler, "text", "the group's", "the name in records; unique"),
    Key::optional("region", Side::Scaler, "text", "the environment's", "the group's region; a resource id says it"),
    Key::optional("slots", Side::Scaler, "1 to 1000", "`1`", "jobs that one instance takes at once; as on the agents"),
    Key::optional("spare", Side::Scaler, "number", "`0`", "instances kept ready beyond the demand"),
    Key::optional(
        "schedule",
        Side::Scaler,
        "list of texts",
        "none",
        "`spare` by the clock, as `\"mon-fri 07:30-18:00 spare 4\"`: days or none for each, hours or none for the whole day; the last entry in \
         force overrides `spare` and those before it",
    ),
    Key::optional(
        "zone",
        Side::Scaler,
        "text",
        "none",
        "whose clock the schedule goes by: `\"UTC\"`, a POSIX rule such as `\"CET-1CEST,M3.5.0,M10.5.0/3\"`, or a name such as \
         `\"Europe/Berlin\"` where the system has zones (Lambda has none)",
    ),
    Key::optional("min", Side::Scaler, "number", "the group's", "a higher lower bound than the group's"),
    Key::optional("max", Side::Scaler, "number", "the group's", "a lower upper bound than the group's"),
    Key::optional("utilisation", Side::Scaler, "1 to 100", "`100`", "how full the slots are planned, in percent"),
    Key::optional("threshold", Side::Scaler, "number", "`1`", "fewer waiting jobs than this count as none"),
    Key::optional("max_step", Side::Scaler, "number", "none", "the most instances that one tick adds"),
    Key::optional(
        "cooldown",
        Side::Scaler,
        "duration",
        "`\"0s\"`",
        "how long nothing is raised after a raise (`watch` only)",
    ),
    Key::optional(
        "silent_after",
        Side::Scaler,
        "1 s to 1 day",
        "`\"25m\"`",
        "how long instances may neither take a waiting job nor leave until one is raised past them (`watch` only); more than the agents' \
         `boot_deadline` and `idle_timeout` together",
    ),
    Key::optional(
        "count_running",
        Side::Scaler,
        "true, false",
        "`true`",
        "false if the platform's running jobs are not this pool's alone",
    ),
    Key::required(
        "platform",
        Side::Scaler,
        "table, or a name",
        "the CI platform; a name, or `platform.from = \"NAME\"`, refers to `[platforms.NAME.KIND]`, and the pool's own keys go first",
    ),
    Key::optional(
        "webhook",
        Side::Scaler,
        "table",
        "none",
        "a webhook that makes the scaler look at once; its keys are below",
    ),
];

/// The keys below `pool.webhook`.
pub const WEBHOOK_KEYS: &[Key] = &[
    Key::required("kind", Side::Scaler, "a platform's name", "whose webhook it is"),
    Key::required("secret", Side::Scaler, "secret", "set at the platform, too"),
    Key::optional("path", Side::Scaler, "text", "the pool's name", "the last part of its address"),
];

/// Gives the TZif file of a zone's name, where the system has one.
pub type ZoneFiles<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// The scaler's settings, validated.
#[derive(Clone, Debug)]
pub struct ScalerSettings {
    /// The pause between two ticks of `watch`. Default 10 s.
    pub tick: Duration,
    /// How long one pool may be read, and how long its raise may take once it has its turn. Default 8 s.
    pub deadline: Duration,
    /// Where metrics are shown.
    pub metrics: MetricsSettings,
    /// The pools, in the order of the files; at least one.
    pub pools: Vec<PoolSettings>,
    /// What is allowed and yet doubtful; for the log.
    pub warnings: Vec<Problem>,
}

/// One pool: a group of instances whose runners take the same jobs.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The name in records and messages; unique. Default: the group's.
    pub name: String,
    /// Whose group it is.
    pub cloud: CloudName,
    /// The user's program that stands for the cloud; empty for one that lightsout knows.
    pub program: Vec<String>,
    /// The name of the Auto Scaling group, the resource id of the scale set, or what the user's program calls it.
    pub group: String,
    /// The group's region; `None`: the environment's.
    pub region: Option<String>,
    /// How the pool grows.
    pub policy: ScalerPolicy,
    /// What overrides the policy's `spare`, and when.
    pub schedule: Schedule,
    /// Where its jobs wait.
    pub platform: Arc<dyn QueueConfig>,
    /// Who may hint that jobs wait; for `watch --listen` only.
    pub webhook: Option<WebhookSettings>,
}

impl PoolSettings {
    /// Where its group is.
    pub fn location(&self) -> Location {
        Location { cloud: self.cloud, region: self.region.clone(), program: self.program.clone() }
    }

    /// How it grows at this instant.
    pub fn policy_at(&self, now: Timestamp) -> Cow<'_, ScalerPolicy> {
        self.schedule.apply(&self.policy, now)
    }
}

/// A webhook: a hint that jobs may wait, which makes the scaler look at once.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Whose it is.
    pub kind: &'static Webhook,
    /// The secret that is set at the platform, too.
    pub secret: SecretSource,
    /// The last part of its address, `/hooks/PATH`. Several pools may share one. Default: the pool's name.
    pub path: String,
}

impl ScalerSettings {
    /// Merges and validates fragments, later ones over earlier ones.
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse(fragments: &[Fragment]) -> Result<Self, Problems> {
        Self::parse_with(fragments, &|_| None)
    }

    /// The same on a system that has time zones: `zones` gives the TZif file of a name.
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse_with(fragments: &[Fragment], zones: ZoneFiles<'_>) -> Result<Self, Problems> {
        let table = merged(fragments).map_err(Problems)?;
        let report = Report::default();
        let settings = read(&report, &table, fragments, zones);
        let warnings = report.finish()?;
        Ok(Self { warnings, ..settings })
    }
}

pub(super) fn read(report: &Report, table: &Table, fragments: &[Fragment], zones: ZoneFiles<'_>) -> ScalerSettings {
    let top = names(SCALER_KEYS, Side::Scaler).chain(["defaults", "metrics", "platforms", "pool"]);
    let root = Section::new(report, vec![Layer::root(table, fragments)], top);
    let second = Duration::from_secs(1);
    let tick = root.duration("tick", second..=3600 * second).unwrap_or(10 * second);
    let deadline = root.duration("deadline", second / 10..=300 * second).unwrap_or(8 * second);
    let metrics = MetricsSettings::read(root.child("metrics", names(METRICS_KEYS, Side::Scaler)));
    let shared = Shared {
        report,
        zones,
        defaults: root.children("defaults").remove(0),
        platforms: root.children("platforms").remove(0),
    };
    let mut used = BTreeSet::new();
    let pools = pools(&root, &shared, &mut used);
    shared.check(&used);
    root.finish();
    ScalerSettings { tick, deadline, metrics, pools, warnings: Vec::new() }
}

/// What pools share.
struct Shared<'a> {
    report: &'a Report,
    zones: ZoneFiles<'a>,
    defaults: Layer<'a>,
    platforms: Layer<'a>,
}

fn pools<'a>(root: &Section<'a>, shared: &Shared<'a>, used: &mut BTreeSet<&'a str>) -> Vec<PoolSettings> {
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
            let wrong_name = format!("has the same {what} as the pool at {}:{}", place.place.file, place.place.line);
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
    let program = s.program("cloud").unwrap_or_default();
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

impl<'a> Shared<'a> {
    /// The platform: the pool's own keys first, then those of the platform that it names, then the defaults.
    fn platform(&self, own: &Layer<'a>, used: &mut BTreeSet<&'a str>) -> Option<Arc<dyn QueueConfig>> {
        let mut layers = Vec::new();
        let mut name = None;
        for layer in [own, &self.defaults] {
            let Some(node) = layer.table.and_then(|table| table.get("platform")) else { continue };
            if let Value::Text(text) = &node.value {
                name = name.or(Some((layer, node, text.as_str())));
                continue;
            }
            let child = layer.child(self.report, "platform");
            match child.table.and_then(|table| table.get("from")) {
                Some(from @ Node { value: Value::Text(text), .. }) => {
                    name = name.or(Some((layer, from, text.as_str())));
                }
                Some(from) => {
                    let remedy = "write for example from = \"main\" for a table below [platforms.main]";
                    self.report.problem(wrong(
                        &format!("{}.from", child.path),
                        from,
                        "expected the name of a platform",
                        remedy,
                    ));
                }
                None => {}
            }
            layers.push(child);
        }
        if let Some((layer, node, name)) = name {
            let known = self.platforms.table.is_some_and(|table| table.contains_key(name));
            if !known {
                self.report.problem(wrong(
                    &format!("{}.platform", layer.path),
                    node,
                    "there is no such platform",
                    self.remedy(name),
                ));
                return None;
            }
            used.insert(name);
            let shared = self.platforms.child(self.report, name);
            // A pool's own keys stand above those of the platform that it names; the defaults stand below.
            let at = layers.iter().take_while(|own| !own.path.starts_with("defaults")).count();
            layers.insert(at, shared);
        }
        if layers.is_empty() {
            layers.push(own.child(self.report, "platform"));
        }
        platform::queue(self.report, layers)
    }

    fn remedy(&self, name: &str) -> String {
        let names: Vec<_> = self.platforms.table.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() {
            format!("add a table such as [platforms.{name}.{}]", KINDS[0].name)
        } else {
            format!("add a table such as [platforms.{name}.{}], or name one of: {}", KINDS[0].name, names.join(", "))
        }
    }

    /// What nobody reads is checked here: keys that only a pool may have, and platforms that no pool names.
    fn check(&self, used: &BTreeSet<&str>) {
        for key in ["name", "group"] {
            if let Some(node) = self.defaults.table.and_then(|table| table.get(key)) {
                let what = "each pool has a different one, so that there can be no default";
                self.report.problem(wrong(&format!("defaults.{key}"), node, what, "write it below [[pool]]"));
            }
        }
        for (name, node) in self.platforms.table.into_iter().flatten() {
            if !used.contains(name.as_str()) {
                let path = format!("platforms.{name}");
                let remedy = format!("write platform = {name:?} below a [[pool]], or remove it");
                self.report.warning(Problem { value: None, ..wrong(&path, node, "is used by no pool", remedy) });
            }
        }
    }
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
