//! How each of the facts on which all is well goes wrong.

mod parts;

use std::time::Duration;

use jiff::SignedDuration;
use lightsout_core::{
    cloud::{Membership, ProtectionSupport},
    doctor::{
        Facts, Place, Verdict,
        facts::{
            CloudFacts, EngineAccess, GuardFacts, HookFacts, MemberModels, ProgramGroup, RefreshFacts, Refusal, RunsAs,
            ScaleSetFacts, SpotModel, WaysOut,
        },
    },
    record::LaunchTrouble,
    space::MinimumFree,
};
pub(crate) use parts::models;
use parts::*;

pub(crate) const SERVICE_ROLE: &str =
    "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";

/// A fact that goes wrong.
pub(crate) struct Break {
    /// The row that says so.
    pub(crate) id: &'static str,
    pub(crate) verdict: Verdict,
    /// From where it is seen.
    pub(crate) place: Place,
    pub(crate) change: fn(&mut Facts),
}

const fn wrong(id: &'static str, change: fn(&mut Facts)) -> Break {
    Break { id, verdict: Verdict::Wrong, place: Place::Instance, change }
}

const fn warning(id: &'static str, change: fn(&mut Facts)) -> Break {
    Break { id, verdict: Verdict::Warning, place: Place::Instance, change }
}

const fn in_image(id: &'static str, change: fn(&mut Facts)) -> Break {
    Break { id, verdict: Verdict::Wrong, place: Place::Image, change }
}

const fn wrong_on_workstation(id: &'static str, change: fn(&mut Facts)) -> Break {
    Break { id, verdict: Verdict::Wrong, place: Place::Workstation, change }
}

const fn warning_on_workstation(id: &'static str, change: fn(&mut Facts)) -> Break {
    Break { id, verdict: Verdict::Warning, place: Place::Workstation, change }
}

pub(crate) const BREAKS: &[Break] = &[
    wrong("settings", |facts| {
        facts.settings.problems = vec!["agent.toml:1: agent.slots = 0: must be 1 to 1000; write 1".into()];
    }),
    wrong("settings", |facts| facts.settings.missing = vec!["platform.gitlab.token is missing".into()]),
    Break {
        id: "settings",
        verdict: Verdict::Warning,
        place: Place::Image,
        change: |facts| facts.settings.missing = vec!["platform.gitlab.token is missing".into()],
    },
    warning("settings.doubts", |facts| facts.settings.doubts = vec!["agent.idle_timeout is short".into()]),
    wrong("settings.readable", |facts| facts.settings.readable = vec!["/etc/lightsout/agent.toml".into()]),
    warning("settings.broad-secret", |facts| facts.settings.broad_secret = Some("it can do anything".into())),
    warning("runner.user", |facts| facts.software.runner_user = Some(Ok(RunsAs::Root { by_name: false }))),
    wrong("runner.user", |facts| facts.software.runner_user = Some(Err("no such user".into()))),
    warning("runner.engine", |facts| facts.software.engine_access = Some(EngineAccess::InSpite)),
    wrong("runner.program", |facts| facts.software.runner = Some(Err("there is none".into()))),
    warning("runner.version", |facts| version(facts).doubt = Some("it is new".into())),
    wrong("runner.version", |facts| version(facts).refused = Some("it is old".into())),
    wrong("runner.version", |facts| facts.software.runner_version = Some(Err("libicu is missing".into()))),
    // Thirty days after the release of 1 November, which is the first day on which it may be refused.
    warning("runner.expiry", |facts| today(facts, "2026-11-21T12:00:00Z")),
    warning("runner.expiry", |facts| today(facts, "2026-11-30T23:59:59Z")),
    wrong("runner.expiry", |facts| today(facts, "2026-12-01T00:00:00Z")),
    wrong("runner.expiry", |facts| today(facts, "2027-12-01T00:00:00Z")),
    wrong("runner.second", |facts| unit(&mut facts.software.runner_unit).enabled = true),
    wrong("runner.second", |facts| unit(&mut facts.software.runner_unit).active = Some(true)),
    wrong("units.agent", |facts| unit(&mut facts.software.agent_unit).enabled = false),
    wrong("units.agent", |facts| unit(&mut facts.software.agent_unit).active = Some(false)),
    wrong("units.agent", |facts| unit(&mut facts.software.agent_unit).masked = true),
    in_image("units.agent", |facts| unit(&mut facts.software.agent_unit).installed = false),
    wrong("units.dead-man", |facts| unit(&mut facts.software.dead_man).enabled = false),
    in_image("units.dead-man", |facts| unit(&mut facts.software.dead_man).masked = true),
    wrong("docker.unit", |facts| unit(&mut facts.software.engine_unit).enabled = false),
    in_image("docker.unit", |facts| unit(&mut facts.software.engine_unit).installed = false),
    warning("docker.log-limit", |facts| engine(facts).log_limit = false),
    warning("docker.live-restore", |facts| engine(facts).live_restore = false),
    warning("docker.cgroup-parent", |facts| engine(facts).cgroup_parent = None),
    warning("docker.cgroup-parent", |facts| engine(facts).cgroup_parent = Some("jobs.slice".into())),
    wrong("packages.automatic", |facts| facts.software.automatic_updates = Some(vec!["apt-daily.timer".into()])),
    wrong("packages.needrestart", |facts| facts.software.restarts_excluded = Some(Ok(false))),
    wrong("agent", |facts| facts.machine.agent = Some(Err("no agent answers".into()))),
    warning("agent", |facts| agent(facts).note = Some("the platform refuses the token".into())),
    warning("agent.version", |facts| agent(facts).version = "0.0.9".into()),
    wrong("docker", |facts| facts.machine.engine = Some(Err("it does not answer".into()))),
    wrong("metadata.guard", |facts| {
        facts.machine.guard = Some(Ok(GuardFacts::Open(vec!["containers reach it".into()])));
    }),
    in_image("metadata.guard", |facts| facts.machine.guard = Some(Ok(GuardFacts::Open(vec!["no nft".into()])))),
    warning("disk.space", |facts| disk(facts).bytes.free = 600 << 20),
    wrong("disk.space", |facts| disk(facts).bytes.free = 500 << 20),
    wrong("disk.space", |facts| {
        facts.settings.settings.as_mut().unwrap().space.disk = MinimumFree::parse("60GiB", true);
    }),
    warning("disk.inodes", |facts| disk(facts).inodes.free = 15_000),
    wrong("disk.inodes", |facts| disk(facts).inodes.free = 9_000),
    wrong("network.ways-out", |facts| facts.machine.ways_out = Some(Ok(WaysOut { ipv4: false, ipv6: false }))),
    wrong("network.ways-out", |facts| {
        facts.machine.ways_out = Some(Ok(WaysOut { ipv4: false, ipv6: true }));
        facts.machine.needs_ipv4 = Some("its runner is of yesterday");
    }),
    wrong("metadata", |facts| cloud(facts).metadata.identity = Some(Err("it does not answer".into()))),
    wrong("metadata.tokens", |facts| cloud(facts).metadata.tokens_required = Some(Ok(false))),
    warning("metadata.hop-limit", |facts| cloud(facts).hop_limit = Some(Ok(2))),
    warning("metadata.tags", |facts| cloud(facts).metadata.tags = Some(Ok(false))),
    warning("clock.cloud", |facts| cloud(facts).metadata.clock_ahead = Some(Ok(SignedDuration::from_secs(-31)))),
    wrong("clock.cloud", |facts| cloud(facts).metadata.clock_ahead = Some(Ok(SignedDuration::from_secs(3600)))),
    warning("instance.member", |facts| cloud(facts).membership = Some(Ok(Membership::Outside))),
    warning("instance.protected", |facts| {
        cloud(facts).membership = Some(Ok(Membership::InService { protected: false }));
    }),
    wrong("instance.power-off", |facts| cloud(facts).power_off_ends = Some(Ok(false))),
    wrong("rights", |facts| cloud(facts).rights[0].1 = Ok(false)),
    Break {
        id: "rights",
        verdict: Verdict::Unknown,
        place: Place::Instance,
        change: |facts| {
            cloud(facts).rights[0].1 = Ok(false);
            // Seconds after the start: the default boot_deadline is 10 min.
            facts.machine.up_for = Some(Duration::from_secs(599));
        },
    },
    warning("group.size", |facts| group(facts).min = 1),
    wrong("group.size", |facts| group(facts).max = 0),
    wrong("group.protection", |facts| group(facts).protects_new = false),
    wrong("group.units", |facts| group(facts).unscalable = Some("it counts vCPUs".into())),
    wrong("group.zones", |facts| group(facts).balances_zones = true),
    wrong("group.processes", |facts| group(facts).suspended = vec![("Launch".into(), "nothing can start")]),
    warning("group.capacity-rebalancing", |facts| group(facts).replaces_at_risk = true),
    warning("group.max-lifetime", |facts| group(facts).longest_life = Some(Duration::from_secs(86_400))),
    warning("group.health-check", |facts| group(facts).health_by = Some("ELB".into())),
    warning("group.warm-pool", |facts| group(facts).warm_pool = Some(vec!["it takes instances back".into()])),
    warning("group.other-scalers", |facts| cloud(facts).other_scalers = Some(Ok(vec!["policy cpu".into()]))),
    warning("group.launches", |facts| launch_failed(facts, LaunchTrouble::Capacity)),
    wrong("group.launches", |facts| launch_failed(facts, LaunchTrouble::Settings)),
    wrong("group.launches", |facts| launch_failed(facts, LaunchTrouble::Key)),
    warning("group.refresh", |facts| cloud(facts).refresh = Some(Ok(Some(RefreshFacts::Waits)))),
    warning("group.refresh", |facts| cloud(facts).refresh = Some(Ok(Some(RefreshFacts::Skips)))),
    wrong("hook", |facts| termination_hooks(facts).clear()),
    warning("hook", |facts| {
        let other = HookFacts { name: "other".into(), ..termination_hooks(facts)[0].clone() };
        termination_hooks(facts).push(other);
    }),
    warning("hook.time-out", |facts| termination_hooks(facts)[0].timeout = Duration::from_secs(599)),
    warning("hook.result", |facts| termination_hooks(facts)[0].abandons = true),
    warning("launch-hook", |facts| named(facts).launch_hook = None),
    warning("launch-hook", |facts| {
        let other = HookFacts { name: "other".into(), ..launch_hooks(facts)[0].clone() };
        launch_hooks(facts).push(other);
    }),
    wrong("launch-hook", |facts| launch_hooks(facts).clear()),
    // That of the endings is no launch hook.
    wrong("launch-hook", |facts| named(facts).launch_hook = Some("drain".into())),
    warning("launch-hook.time-out", |facts| launch_hooks(facts)[0].timeout = Duration::from_secs(59)),
    // The default boot_deadline is 10 min, and nothing runs before it.
    warning("launch-hook.time-out", |facts| launch_hooks(facts)[0].longest = Duration::from_secs(599)),
    warning("launch-hook.result", |facts| launch_hooks(facts)[0].abandons = false),
    wrong("template.image", |facts| image(facts).usable = false),
    wrong("template.image", |facts| cloud(facts).next_images[1].as_mut().unwrap().usable = false),
    wrong("template.image", |facts| {
        image(facts).usable = false;
        cloud(facts).next_images[1] = Err("it is denied".into());
    }),
    warning_on_workstation("template.image", |facts| cloud(facts).next_images[1] = Err("it is denied".into())),
    warning("template.image", |facts| image(facts).deprecated = Some(image(facts).now)),
    warning("template.types", |facts| not_offered(facts, false)),
    wrong("template.types", |facts| not_offered(facts, true)),
    wrong("platform.reachable", |facts| facts.platform.reachable = Some(Err("no answer".into()))),
    wrong("platform.secret", |facts| {
        facts.platform.secrets[0].1 = Err(Refusal { why: "no secret".into(), transient: false });
    }),
    wrong("platform.token", |facts| refused(facts, false)),
    Break {
        id: "platform.token",
        verdict: Verdict::Unknown,
        place: Place::Instance,
        change: |facts| refused(facts, true),
    },
    warning("clock.platform", |facts| facts.platform.clock_ahead = Some(Ok(SignedDuration::from_secs(31)))),
    wrong("clock.platform", |facts| facts.platform.clock_ahead = Some(Ok(SignedDuration::from_secs(-61)))),
    in_image("image.says", |facts| facts.software.baked = Some(Err("it cannot be understood".into()))),
    wrong("image.platform", |facts| baked(facts).platform = Some("another".into())),
    in_image("image.inline-secret", |facts| facts.settings.inline_secret = true),
    in_image("image.host-keys", |facts| left(facts).host_keys = vec!["/etc/ssh/ssh_host_rsa_key".into()]),
    in_image("image.machine-id", |facts| left(facts).machine_id = vec!["/etc/machine-id".into()]),
    in_image("image.agent-state", |facts| left(facts).agent = vec!["/var/lib/lightsout/journal.json".into()]),
    in_image("image.credentials", |facts| left(facts).credentials = vec!["/root/.aws".into()]),
    in_image("image.history", |facts| left(facts).history = vec!["/root/.bash_history".into()]),
    warning_on_workstation("group", |facts| cloud(facts).group = Some(Err("it is denied".into()))),
    wrong_on_workstation("group", |facts| facts.cloud = Some(CloudFacts::default())),
    wrong_on_workstation("group.size", |facts| group(facts).max = 0),
    // What the agent's settings say of it is not known there.
    warning_on_workstation("group.protection", |facts| group(facts).protects_new = false),
    wrong_on_workstation("hook", |facts| termination_hooks(facts).clear()),
    warning_on_workstation("group.other-scalers", |facts| {
        cloud(facts).other_scalers = Some(Err("it is denied".into()));
    }),
    warning_on_workstation("template", |facts| {
        cloud(facts).starts_otherwise = Some("the launch configuration ci".into());
        let it = template(facts);
        (it.power_off_ends, it.tags_told) = (None, None);
    }),
    wrong_on_workstation("template.power-off", |facts| template(facts).power_off_ends = Some(false)),
    wrong_on_workstation("template.power-off", |facts| cloud(facts).templates[1].power_off_ends = Some(false)),
    wrong_on_workstation("template.metadata", |facts| template(facts).tokens_required = false),
    warning_on_workstation("template.metadata", |facts| template(facts).hop_limit = Some(2)),
    warning_on_workstation("template.metadata", |facts| template(facts).hop_limit = None),
    warning_on_workstation("template.metadata", |facts| template(facts).tags_told = Some(false)),
    wrong_on_workstation("template.key", |facts| keys(facts)[1].unusable = Some("its state is Disabled".into())),
    wrong_on_workstation("template.key", |facts| keys(facts)[0].policy = Ok("{\"Statement\": []}".into())),
    warning_on_workstation("template.key", |facts| keys(facts)[0].policy = Err("kms:GetKeyPolicy: denied".into())),
    wrong_on_workstation("template.user-data", |facts| {
        template(facts).secrets = Some(Ok(vec!["line 2: a token".into()]));
    }),
    warning_on_workstation("template.user-data", |facts| {
        template(facts).secrets = Some(Err("it is compressed".into()));
    }),
    warning_on_workstation("template.image-age", |facts| image(facts).created = Some(days_ago(facts, 90))),
    wrong_on_workstation("group.subnets", |facts| subnets(facts)[0].free = None),
    warning_on_workstation("group.subnets", |facts| {
        // Of a scale set: it has no group.
        let cloud = cloud(facts);
        cloud.group = None;
        cloud.scale_set.as_mut().unwrap().room = Some(401);
    }),
    wrong_on_workstation("group.subnets", |facts| subnets(facts).clear()),
    wrong_on_workstation("group.subnets", |facts| subnets(facts).iter_mut().for_each(|subnet| subnet.free = Some(0))),
    warning_on_workstation("group.subnets", |facts| subnets(facts)[0].free = Some(0)),
    warning_on_workstation("group.subnets", |facts| subnets(facts).iter_mut().for_each(|subnet| subnet.free = Some(1))),
    warning_on_workstation("group.quota", |facts| quotas(facts)[0].limit = 9),
    warning_on_workstation("group.quota", |facts| quotas(facts)[1].limit = 0),
    wrong_on_workstation("group.quota", |facts| (quotas(facts)[1].limit, quotas(facts)[1].of_all) = (0, true)),
    warning_on_workstation("group.quota", |facts| (quotas(facts)[1].limit, quotas(facts)[1].of_all) = (9, true)),
    wrong_on_workstation("group.quota", |facts| quotas(facts).iter_mut().for_each(|quota| quota.limit = 1)),
    warning_on_workstation("group.quota", |facts| quotas(facts)[0].others = Some(1)),
    wrong_on_workstation("group.quota", |facts| quotas(facts).iter_mut().for_each(|quota| quota.others = Some(9))),
    warning_on_workstation("group.quota", |facts| cloud(facts).quotas = Some(Err("it is denied".into()))),
    wrong_on_workstation("role.instance", |facts| lacking(facts, 0).missing.push(a_right())),
    warning_on_workstation("role.instance", |facts| lacking(facts, 0).conditional.push(a_right())),
    warning_on_workstation("role.instance", |facts| facts.roles[0].difference = Err("it is denied".into())),
    warning_on_workstation("role.spot", |facts| cloud(facts).spot_role = Some(Ok(false))),
    warning_on_workstation("role.spot", |facts| cloud(facts).spot_role = Some(Err("it is denied".into()))),
    wrong_on_workstation("role.scaler", |facts| lacking(facts, 1).missing.push(a_right())),
    Break {
        id: "function",
        verdict: Verdict::Wrong,
        place: Place::Workstation,
        change: |facts| function(facts).inactive = Some("State is Failed".into()),
    },
    wrong_on_workstation("function", |facts| facts.function = Some(Ok(None))),
    warning_on_workstation("function", |facts| {
        facts.function = Some(Err("it is denied".into()));
    }),
    warning_on_workstation("function.version", |facts| function(facts).expected = Some("0.2.0".into())),
    warning_on_workstation("function.version", |facts| function(facts).version = Some(Ok(None))),
    warning_on_workstation("function.version", |facts| function(facts).version = Some(Err("it is denied".into()))),
    warning_on_workstation("function.errors", |facts| {
        function(facts).errors = Some(Ok(vec!["PoolsFailed: ci".into()]));
    }),
    warning_on_workstation("function.schedule", |facts| function(facts).schedules = Some(Ok(Vec::new()))),
    wrong_on_workstation("function.schedule", |facts| schedule(facts).enabled = false),
    warning_on_workstation("function.schedule", |facts| schedule(facts).every = Some(Duration::from_secs(301))),
    wrong_on_workstation("function.time-out", |facts| function(facts).timeout = Some(Ok(Duration::from_secs(12)))),
    warning_on_workstation("function.time-out", |facts| function(facts).timeout = Some(Ok(Duration::from_secs(120)))),
    warning_on_workstation("function.time-out", |facts| function(facts).timeout = Some(Err("it is denied".into()))),
    warning_on_workstation("platform.secret", |facts| {
        facts.platform.secrets[0].1 = Err(Refusal { why: "it is a file of another machine".into(), transient: true });
    }),
    wrong_on_workstation("platform.token", |facts| refused(facts, false)),
    wrong("scale-set.identity", |facts| {
        let why = "no access token of Azure: Identity not found";
        cloud(facts).scale_set = Some(ScaleSetFacts { identity: Some(Err(why.into())), ..ScaleSetFacts::default() });
    }),
    warning("scale-set.member", |facts| {
        scale_set(facts).membership = Some(Ok(Membership::Outside));
    }),
    warning("scale-set.protected", |facts| {
        scale_set(facts).membership = Some(Ok(Membership::InService { protected: false }));
    }),
    warning("scale-set.model", |facts| scale_set(facts).latest_model = Some(Ok(Some(false)))),
    wrong("scale-set.overprovisioning", |facts| scale_set_model(facts).overprovisions = true),
    warning("scale-set.autoscale", |facts| scale_set(facts).autoscale = Some(Ok(vec!["by-cpu".into()]))),
    Break {
        id: "scale-set.autoscale",
        verdict: Verdict::Unknown,
        place: Place::Instance,
        change: |facts| scale_set(facts).autoscale = Some(Err("a right is missing".into())),
    },
    warning("scale-set.repairs", |facts| scale_set_model(facts).repairs = true),
    warning("scale-set.upgrades", |facts| scale_set_model(facts).upgrade_mode = "Rolling".into()),
    warning("scale-set.upgrades", |facts| scale_set_model(facts).upgrades_images = true),
    wrong("scale-set.eviction", |facts| {
        scale_set_model(facts).spot = Some(SpotModel { deletes: false, restores: false });
    }),
    warning("scale-set.eviction", |facts| {
        scale_set_model(facts).spot = Some(SpotModel { deletes: true, restores: true });
    }),
    wrong("scale-set.notification", |facts| scale_set_model(facts).terminate_notice = None),
    warning("scale-set.notification", |facts| {
        scale_set_model(facts).terminate_notice = Some(Duration::from_secs(14 * 60));
    }),
    wrong_on_workstation("scale-set.identity", |facts| scale_set(facts).identity = Some(Err("it has none".into()))),
    wrong_on_workstation("scale-set.overprovisioning", |facts| scale_set_model(facts).overprovisions = true),
    warning_on_workstation("scale-set.autoscale", |facts| scale_set(facts).autoscale = Some(Ok(vec!["by-cpu".into()]))),
    warning_on_workstation("scale-set.repairs", |facts| scale_set_model(facts).repairs = true),
    warning_on_workstation("scale-set.upgrades", |facts| scale_set_model(facts).upgrade_mode = "Rolling".into()),
    wrong_on_workstation("scale-set.eviction", |facts| {
        scale_set_model(facts).spot = Some(SpotModel { deletes: false, restores: false });
    }),
    wrong_on_workstation("scale-set.notification", |facts| scale_set_model(facts).terminate_notice = None),
    warning_on_workstation("scale-set.members", |facts| {
        scale_set(facts).members = Some(Ok(models(20, vec!["ci_1".into()])));
    }),
    warning_on_workstation("scale-set.members", |facts| {
        scale_set(facts).members = Some(Ok(MemberModels { count: 3, untold: 1, ..MemberModels::default() }));
    }),
    // One identity that has all is enough; of none, the one that lacks what can be told.
    wrong_on_workstation("scale-set.role", |facts| {
        scale_set(facts).roles.iter_mut().for_each(|role| role.difference.as_mut().unwrap().missing.push(a_right()));
    }),
    warning_on_workstation("scale-set.role", |facts| {
        let roles = &mut scale_set(facts).roles;
        roles[0].difference.as_mut().unwrap().missing.push(a_right());
        roles[1].difference = Err("it is denied".into());
    }),
    wrong("program.group", |facts| {
        program(facts).group = Some(Ok(ProgramGroup { versioned: true, ..ProgramGroup::default() }));
    }),
    warning("program.group", |facts| {
        program(facts).group = Some(Ok(ProgramGroup { min: 1, max: 2, desired: 1, versioned: true }));
    }),
    warning("program.raise", |facts| {
        program(facts).group = Some(Ok(ProgramGroup { min: 0, max: 5, desired: 1, versioned: false }));
    }),
    wrong_on_workstation("program.group", |facts| {
        program(facts).group = Some(Ok(ProgramGroup { versioned: true, ..ProgramGroup::default() }));
    }),
    warning_on_workstation("program.group", |facts| {
        program(facts).group = Some(Ok(ProgramGroup { min: 1, max: 2, desired: 1, versioned: true }));
    }),
    warning_on_workstation("program.raise", |facts| {
        program(facts).group = Some(Ok(ProgramGroup { min: 0, max: 5, desired: 1, versioned: false }));
    }),
    warning("program.power-off", |facts| program(facts).capabilities.power_off_ends_billing = false),
    warning("program.member", |facts| program(facts).membership = Some(Ok(Membership::Outside))),
    warning("program.protected", |facts| {
        program(facts).membership = Some(Ok(Membership::InService { protected: false }));
    }),
    warning("program.protected", |facts| {
        program(facts).membership = Some(Ok(Membership::InService { protected: false }));
        program(facts).capabilities.protection = ProtectionSupport::Never;
    }),
    in_image("image.first-boot", |facts| left(facts).first_boot = vec!["/var/lib/cloud/instance".into()]),
];
