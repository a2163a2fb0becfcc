//! What a break changes: one part of the facts each.

use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    doctor::{
        Facts,
        facts::{
            AgentAnswer, CloudFacts, EngineSettings, FunctionFacts, GroupFacts, HookFacts, ImageManifest, KeyFacts,
            Leftovers, MemberModels, NextImage, NotOffered, ProgramFacts, QuotaFacts, Refusal, ScaleSetFacts,
            ScaleSetModel, Schedule, Subnet, TemplateFacts, Unit,
        },
    },
    iam::{self, Difference},
    platform::RunnerVersion,
    record::{FailedLaunch, LaunchTrouble},
    settings::AgentSettings,
    space::FileSystem,
};

/// So many machines, and those of another model.
pub(crate) fn models(count: usize, others: Vec<String>) -> MemberModels {
    MemberModels { count, others, untold: 0 }
}

pub(crate) fn program(facts: &mut Facts) -> &mut ProgramFacts {
    cloud(facts).program.as_mut().unwrap()
}

pub(crate) fn scale_set(facts: &mut Facts) -> &mut ScaleSetFacts {
    cloud(facts).scale_set.as_mut().unwrap()
}

pub(crate) fn scale_set_model(facts: &mut Facts) -> &mut ScaleSetModel {
    scale_set(facts).model.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn template(facts: &mut Facts) -> &mut TemplateFacts {
    &mut cloud(facts).templates[0]
}

pub(crate) fn subnets(facts: &mut Facts) -> &mut Vec<Subnet> {
    cloud(facts).subnets.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn not_offered(facts: &mut Facts, all: bool) {
    let missing = vec!["c7i.large in eu-north-1a".into()];
    cloud(facts).not_offered = Some(Ok(NotOffered { missing, all }));
}

pub(crate) fn quotas(facts: &mut Facts) -> &mut Vec<QuotaFacts> {
    cloud(facts).quotas.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn days_ago(facts: &mut Facts, days: i64) -> Timestamp {
    image(facts).now - SignedDuration::from_hours(24 * days)
}

pub(crate) fn lacking(facts: &mut Facts, role: usize) -> &mut Difference {
    facts.roles[role].difference.as_mut().unwrap()
}

pub(crate) fn a_right() -> iam::Finding {
    iam::Finding { action: "ec2:CreateTags".into(), resource: "*".into(), why: "it says why it left".into() }
}

pub(crate) fn function(facts: &mut Facts) -> &mut FunctionFacts {
    facts.function.as_mut().unwrap().as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn schedule(facts: &mut Facts) -> &mut Schedule {
    &mut function(facts).schedules.as_mut().unwrap().as_mut().unwrap()[0]
}

pub(crate) fn version(facts: &mut Facts) -> &mut RunnerVersion {
    facts.software.runner_version.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn baked(facts: &mut Facts) -> &mut ImageManifest {
    facts.software.baked.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn today(facts: &mut Facts, at: &str) {
    baked(facts).now = at.parse().unwrap();
}

pub(crate) fn unit(unit: &mut Option<Unit>) -> &mut Unit {
    unit.as_mut().unwrap()
}

pub(crate) fn engine(facts: &mut Facts) -> &mut EngineSettings {
    facts.software.engine_settings.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn agent(facts: &mut Facts) -> &mut AgentAnswer {
    facts.machine.agent.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn disk(facts: &mut Facts) -> &mut FileSystem {
    facts.machine.disks[0].as_mut().unwrap()
}

pub(crate) fn cloud(facts: &mut Facts) -> &mut CloudFacts {
    facts.cloud.as_mut().unwrap()
}

pub(crate) fn group(facts: &mut Facts) -> &mut GroupFacts {
    cloud(facts).group.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn termination_hooks(facts: &mut Facts) -> &mut Vec<HookFacts> {
    cloud(facts).termination_hooks.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn launch_hooks(facts: &mut Facts) -> &mut Vec<HookFacts> {
    cloud(facts).launch_hooks.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn named(facts: &mut Facts) -> &mut AgentSettings {
    facts.settings.settings.as_mut().unwrap()
}

pub(crate) fn launch_failed(facts: &mut Facts, trouble: LaunchTrouble) {
    let failed = FailedLaunch { time: "2026-11-20T23:00:00.000Z".into(), trouble, message: "it cannot".into() };
    cloud(facts).failed_launch = Some(Ok(Some(failed)));
}

pub(crate) fn keys(facts: &mut Facts) -> &mut Vec<KeyFacts> {
    facts.cloud.as_mut().unwrap().keys.as_mut().unwrap().as_mut().unwrap()
}

pub(crate) fn image(facts: &mut Facts) -> &mut NextImage {
    cloud(facts).next_images[0].as_mut().unwrap()
}

pub(crate) fn refused(facts: &mut Facts, transient: bool) {
    facts.platform.token = Some(Err(Refusal { why: "it refuses the token".into(), transient }));
}

pub(crate) fn left(facts: &mut Facts) -> &mut Leftovers {
    facts.left_in_image.as_mut().unwrap()
}
