//! The variables of the function of Buildkite's own scaler (`buildkite-agent-scaler`).

use crate::settings::{ValueFormat, Variable};

const LEAVE: &str = "instances leave by themselves (`agent.idle_timeout`), and nothing is ever lowered";
const CALLS: &str = "calls have their own time-outs, and the history is read as far as it matters";

pub(super) const VARIABLES: &[Variable] = &[
    Variable::pool("ASG_NAME", "group", ValueFormat::Text),
    Variable::pool("AGENTS_PER_INSTANCE", "slots", ValueFormat::Number),
    Variable::pool("INSTANCE_BUFFER", "spare", ValueFormat::Number),
    Variable::pool("MAX_INSTANCE_CAP", "max", ValueFormat::NumberAbove0),
    Variable::pool("SCALE_OUT_COOLDOWN_PERIOD", "cooldown", ValueFormat::Text),
    Variable::top("LAMBDA_INTERVAL", "tick", ValueFormat::Text),
    Variable::platform("BUILDKITE_QUEUE", "queue", ValueFormat::Text),
    Variable::platform("BUILDKITE_AGENT_ENDPOINT", "url", ValueFormat::AddressWithout("/v3")),
    Variable::platform("BUILDKITE_AGENT_TOKEN", "token", ValueFormat::Text),
    Variable::platform("BUILDKITE_AGENT_TOKEN_SSM_KEY", "token", ValueFormat::Parameter),
    Variable::platform("INCLUDE_WAITING", "include_waiting", ValueFormat::Flag),
    Variable::gone("BUILDKITE_AGENT_TOKEN_SSM_REGION", "the parameter is looked for in the group's region"),
    Variable::gone("LAMBDA_TIMEOUT", "it ticks until the function's own time-out is near"),
    Variable::gone("LAMBDA_STARTUP_JITTER_MAX", "one function ticks all pools"),
    Variable::gone(
        "SCALE_OUT_FACTOR",
        "what the waiting jobs need is raised at once; `pool.max_step` and `pool.spare` bend that",
    ),
    Variable::gone("SCALE_IN_FACTOR", LEAVE),
    Variable::gone("SCALE_IN_COOLDOWN_PERIOD", LEAVE),
    Variable::gone("DISABLE_SCALE_IN", LEAVE),
    Variable::gone("DISABLE_SCALE_OUT", "leave the function out, or switch its schedule off"),
    Variable::gone("SCALE_ONLY_AFTER_ALL_EVENT", "`pool.cooldown` counts from the last raise"),
    Variable::gone("AVAILABILITY_THRESHOLD", "instances without agents are raised past after `pool.silent_after`"),
    Variable::gone("ELASTIC_CI_MODE", "agents end their own instances, and a dead-man's switch those without one"),
    Variable::gone("DANGLING_CHECK_MINIMUM_INSTANCE_UPTIME", "a dead-man's switch ends instances without an agent"),
    Variable::gone("MAX_DANGLING_INSTANCES_TO_CHECK", "a dead-man's switch ends instances without an agent"),
    Variable::gone("CLOUDWATCH_METRICS", "the records tell each decision"),
    Variable::gone("ASG_ACTIVITY_TIMEOUT", CALLS),
    Variable::gone("MAX_DESCRIBE_SCALING_ACTIVITIES_PAGES", CALLS),
];
