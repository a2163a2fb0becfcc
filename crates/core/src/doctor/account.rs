//! Rows about what the account has for agents and scaler beside the groups: their roles, and the function that is the scaler.

use std::time::Duration;

use crate::{duration::format_duration, iam::Difference};

use super::{Fact, Facts, Judgement, Row, Scope, of, of_each};

/// How many rights a finding names.
const NAMED: usize = 12;

/// A role, and whether it may do what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFacts {
    /// Whether it is the scaler's; else it is the instances'.
    pub of_scaler: bool,
    pub name: String,
    /// By what it was judged: a simulation, or the policies that are attached.
    pub by: &'static str,
    /// What it lacks, and what else differs.
    pub difference: Fact<Difference>,
}

/// A function that is the scaler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionFacts {
    pub name: String,
    /// Why it cannot be invoked now, in the cloud's words; `None`: it can.
    pub inactive: Option<String>,
    /// How long an invocation may take.
    pub timeout: Option<Fact<Duration>>,
    /// How long a tick of a pool may take, and how often one begins, as the settings say.
    pub deadline: Duration,
    /// What its log of the last hour says that failed, a line each, newest last.
    pub errors: Option<Fact<Vec<String>>>,
    /// What invokes it.
    pub schedules: Option<Fact<Vec<Schedule>>>,
    pub log_group: Option<String>,
    /// The address of the object in which its settings are, where they are in one.
    pub settings_object: Option<String>,
    /// The name of the parameter in which its settings are, where they are in one.
    pub settings_parameter: Option<String>,
    /// The version that it said at its last start; `Ok(None)`: it has not started of late.
    pub version: Option<Fact<Option<String>>>,
    /// The version that what made it expects, where that says one.
    pub expected: Option<String>,
}

/// Something that invokes a function again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// When, in the cloud's words, such as `rate(1 minute)`.
    pub when: String,
    /// Whether it does so now.
    pub enabled: bool,
    /// How long from one to the next, where that is the same each time.
    pub every: Option<Duration>,
}

/// How much of an invocation's time is left for its end (docs/lambda.md): the last tick begins the deadline and this long before the time-out.
const END: Duration = Duration::from_secs(3);
/// A longer pause between two invocations leaves jobs waiting.
const LONGEST_INTERVAL: Duration = Duration::from_secs(300);

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "role.instance",
        scope: Scope::Workstation,
        meaning: "the role of new instances has the rights that the agent needs",
        remedy: "allow these actions in the role's policy (`lightsout iam --agent agent.toml` prints the least one)",
        judge: |facts| role(facts, false),
    },
    Row {
        id: "role.scaler",
        scope: Scope::Workstation,
        meaning: "the role of the scaler's function has the rights that these pools need",
        remedy: "allow these actions in the role's policy (`lightsout iam --config scaler.toml --log-group /aws/lambda/NAME` prints the least one; with \
                 --settings PLACE where they are stored); on Azure give the app's identity a role with them there (docs/azure.md has it; terraform/azure gives it)",
        judge: |facts| role(facts, true),
    },
    Row {
        id: "role.spot",
        scope: Scope::Workstation,
        meaning: "where a group may have Spot instances, the account has the service-linked role with which they start",
        remedy: "make it once for the account, in no module or template, since a second one is refused: aws iam create-service-linked-role \
                 --aws-service-name spot.amazonaws.com",
        judge: |facts| {
            of(facts.cloud.as_ref()?.spot_role.as_ref(), |there| {
                if *there {
                    Judgement::ok("AWSServiceRoleForEC2Spot is there")
                } else {
                    Judgement::warning(
                        "there is no AWSServiceRoleForEC2Spot: Auto Scaling makes it with the first Spot launch, which fails where a policy of the \
                         organisation forbids that",
                    )
                }
            })
        },
    },
    Row {
        id: "function",
        scope: Scope::Workstation,
        meaning: "the scaler's function is there and can be invoked",
        remedy: "see what the cloud says of it: aws lambda get-function-configuration --function-name NAME; docs/lambda.md; on Azure \
                 az functionapp show --ids ID; docs/azure.md",
        judge: |facts| {
            of(facts.function.as_ref(), |function| match function {
                None => Judgement::wrong("there is no such function"),
                Some(FunctionFacts { name, inactive: None, .. }) => Judgement::ok(name.clone()),
                Some(FunctionFacts { name, inactive: Some(why), .. }) => Judgement::wrong(format!("{name}: {why}")),
            })
        },
    },
    Row {
        id: "function.version",
        scope: Scope::Workstation,
        meaning: "the function's program is of the version for which its Terraform module or template was made",
        remedy: "give the module the package of its own version, whose key should hold the version (with package_s3 a new object under the same key needs its \
                 version or hash, too), or pin the module to the function's version",
        judge: |facts| {
            function(facts, |function| {
                // Who made it by hand expects nothing.
                let expected = function.expected.as_ref()?;
                of(function.version.as_ref(), |said| match said {
                    None => Judgement::unknown("its log of the last day holds no start, which says the version"),
                    Some(said) if said == expected => Judgement::ok(said.clone()),
                    Some(said) => Judgement::warning(format!("it is {said}, and what made it expects {expected}")),
                })
            })
        },
    },
    Row {
        id: "function.errors",
        scope: Scope::Workstation,
        meaning: "no invocation of the scaler's function failed in the last hour",
        remedy: "each says what to do (docs/lambda.md, \"What an invocation does\")",
        judge: |facts| {
            function(facts, |function| {
                of(function.errors.as_ref(), |errors| match errors.last() {
                    None => Judgement::ok("none did"),
                    Some(last) => {
                        let count = errors.len();
                        let lines = if count == 1 { "1 line".into() } else { format!("{count} lines") };
                        Judgement::warning(format!("{lines} of its log say so; the last: {last}"))
                    }
                })
            })
        },
    },
    Row {
        id: "function.schedule",
        scope: Scope::Workstation,
        meaning: "something invokes the scaler's function, every five minutes or oftener",
        remedy: "make a schedule of EventBridge Scheduler with rate(1 minute) and the function as its target, or enable the one that is named \
                 (docs/lambda.md); on Azure the package has its timer: take AzureWebJobs.scale.Disabled out of the app's settings",
        judge: |facts| {
            function(facts, |function| {
                of(function.schedules.as_ref(), |schedules| {
                    let enabled: Vec<_> = schedules.iter().filter(|schedule| schedule.enabled).collect();
                    let said = |schedule: &&Schedule| format!("{}: {}", schedule.name, schedule.when);
                    if let Some(off) = schedules.first().filter(|_| enabled.is_empty()) {
                        return Judgement::wrong(format!("{} is disabled: nothing is raised", off.name));
                    }
                    let seen = enabled.iter().map(said).collect::<Vec<_>>().join(", ");
                    match enabled.iter().filter_map(|schedule| schedule.every).min() {
                        None if enabled.is_empty() => Judgement::warning(
                            "no schedule of EventBridge Scheduler does, or on Azure the timer of its package; whether something else does was not looked at",
                        ),
                        Some(every) if every > LONGEST_INTERVAL => Judgement::warning(seen),
                        Some(_) | None => Judgement::ok(seen),
                    }
                })
            })
        },
    },
    Row {
        id: "function.time-out",
        scope: Scope::Workstation,
        meaning: "an invocation has time for a tick (`deadline` and 3 s), and ends before the next two begin",
        remedy: "set the function's time-out to 60 s for a schedule of one minute: aws lambda update-function-configuration --function-name NAME \
                 --timeout 60; on Azure take AzureFunctionsJobHost__functionTimeout out of the app's settings; or lower `deadline`",
        judge: |facts| {
            function(facts, |function| {
                of(function.timeout.as_ref(), |&timeout| {
                    let least = function.deadline + END;
                    let seen =
                        format!("{}; a tick may take {}", format_duration(timeout), format_duration(function.deadline));
                    let schedules = function.schedules.as_ref().and_then(|schedules| schedules.as_ref().ok());
                    let every = schedules.into_iter().flatten().filter(|it| it.enabled).filter_map(|it| it.every).min();
                    if timeout < least {
                        Judgement::wrong(format!("{seen}: a tick that takes long is cut"))
                    } else if let Some(every) = every.filter(|every| timeout >= *every * 2) {
                        let often = format_duration(every);
                        Judgement::warning(format!(
                            "{seen}; one begins every {often}: several run at a time, and each asks the platform"
                        ))
                    } else {
                        Judgement::ok(seen)
                    }
                })
            })
        },
    },
];

/// That it is not there, or could not be looked at, the row `function` says.
fn function(facts: &Facts, judge: impl FnOnce(&FunctionFacts) -> Option<Judgement>) -> Option<Judgement> {
    judge(facts.function.as_ref()?.as_ref().ok()?.as_ref()?)
}

fn role(facts: &Facts, of_scaler: bool) -> Option<Judgement> {
    let roles: Vec<_> = facts.roles.iter().filter(|role| role.of_scaler == of_scaler).collect();
    of_each(&roles, |role| judge_role(role))
}

pub(super) fn judge_role(role: &RoleFacts) -> Option<Judgement> {
    of(Some(&role.difference), |difference| {
        let named = |findings: &[crate::iam::Finding]| {
            let lines =
                findings.iter().take(NAMED).map(|finding| format!("{} on {}", finding.action, finding.resource));
            let more = findings.len().saturating_sub(NAMED);
            lines.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>().join("\n")
        };
        let (name, by) = (&role.name, role.by);
        if !difference.missing.is_empty() {
            return Judgement::wrong(format!("{name} lacks, by {by}:\n{}", named(&difference.missing)));
        }
        if !difference.conditional.is_empty() {
            let seen = format!("{name}: by {by} it cannot be told whether it has\n{}", named(&difference.conditional));
            return Judgement::unknown(seen);
        }
        Judgement::ok(format!("{name}, by {by}"))
    })
}
