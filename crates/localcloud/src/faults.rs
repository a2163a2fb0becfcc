//! Faults on request: which calls go wrong, how, and how often.

use serde::{Deserialize, Serialize};

use crate::{aws::model::Injected, ci::contract::PlatformKind};

/// A fault: `POST /_lightsout/faults`. It stays until its count is used up or the faults are cleared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Who has it.
    pub target: Target,
    /// Only this action (AWS), operation (Azure, such as `VirtualMachineScaleSets_Update`), route (platform, such as `POST /jobs/request` or `jobs/request`) or path (metadata service,
    /// such as `spot/instance-action`); all of them when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only calls of this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What goes wrong.
    pub effect: FaultEffect,
    /// How many calls it hits before it ends by itself; any number when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How likely it hits a call, above 0 and up to 1; drawn from the seed.
    #[serde(default = "always")]
    pub probability: f64,
}

/// A fault in force, and how often it hit: `GET /_lightsout/faults`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ActiveFault {
    #[serde(flatten)]
    pub fault: Fault,
    /// Calls; for the target cloud describes and launches, for the target runner whatever the effect says.
    pub hits: u64,
}

/// Who can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "String")]
pub enum Target {
    /// The AWS APIs.
    Aws,
    /// Azure's: Resource Manager, Key Vault, login.
    Azure,
    /// The CI platform's API; by the name of a platform too.
    Platform,
    /// The instances' metadata services.
    Imds,
    /// The clouds behind the APIs, for `stale-describes` and `launch-failures`.
    Cloud,
    /// The built-in runners, for what the vendors' own do at the worst moment.
    Runner,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "aws" => Ok(Self::Aws),
            "azure" => Ok(Self::Azure),
            "imds" => Ok(Self::Imds),
            "cloud" => Ok(Self::Cloud),
            "runner" => Ok(Self::Runner),
            "platform" => Ok(Self::Platform),
            _ if name.parse::<PlatformKind>().is_ok() => Ok(Self::Platform),
            _ => Err(format!("target is {name:?}: it is one of aws, azure, platform, imds, cloud, runner")),
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultEffect {
    /// The call is carried out this much later, in milliseconds.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// The call is carried out, and its answer comes this much later, in milliseconds.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// The call is not carried out and gets this status, in the vendor's error shape.
    Status {
        /// 400 to 599.
        code: u16,
    },
    /// The call is not carried out: too many requests, as the vendor says it.
    Throttle,
    /// The call is not carried out: the connection is reset before any answer.
    Drop,
    /// The call is carried out, and the connection is reset in the middle of the answer.
    Reset,
    /// The call is carried out, and its answer ends in the middle, though it looks complete.
    Truncate,
    /// The call is carried out, and its answer never comes.
    Hang,
    /// AWS: the caller's credentials have expired. Metadata service: every session token has.
    Expire,
    /// Describes answer with the state of some time ago; 0 ends it.
    StaleDescribes {
        /// Milliseconds.
        ms: u64,
    },
    /// Launches fail with this message in the activity history.
    LaunchFailures {
        /// The status message of the failed activity.
        message: String,
    },
    /// A runner that is told to stop drops the request for a job that is under way, and never hears of the job that its
    /// answer may bring. Hits when there was such a request.
    CancelRequest,
    /// A runner never hears the answer that brings it a job. Hits when there is a job in the answer.
    LoseClaim,
    /// A runner that is told to end its jobs asks them to end and waits for as long as they take; it kills none.
    PatientAbort,
    /// A runner begins by replacing its environment, so that `/proc/PID/environ` no longer says who started it.
    RewriteEnvironment,
    /// A job leaves a process behind that lives on for ten minutes.
    LeaveChild,
    /// A runner is told by its platform that its version gets no jobs: it says so, and exits.
    RunnerTooOld,
}

impl FaultEffect {
    /// Whether it is a runner's, and no call's.
    fn is_runners(&self) -> bool {
        match self {
            Self::CancelRequest
            | Self::LoseClaim
            | Self::PatientAbort
            | Self::RewriteEnvironment
            | Self::LeaveChild
            | Self::RunnerTooOld => true,
            Self::Latency { .. }
            | Self::Late { .. }
            | Self::Status { .. }
            | Self::Throttle
            | Self::Drop
            | Self::Reset
            | Self::Truncate
            | Self::Hang
            | Self::Expire
            | Self::StaleDescribes { .. }
            | Self::LaunchFailures { .. } => false,
        }
    }
}

/// A built-in runner's question whether it has a fault now: `POST /_lightsout/faults/runner`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerFault {
    /// One that is a runner's.
    pub effect: FaultEffect,
    /// The instance that it runs on, when known.
    #[serde(default)]
    pub instance: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerFaultHit {
    /// It has, and this was counted.
    pub hit: bool,
}

/// One call, as faults see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub target: Target,
    /// The action, route or path.
    pub name: &'a str,
    /// The instance that makes it, when known.
    pub instance: Option<&'a str>,
}

/// The faults that are in force.
pub(crate) struct Faults {
    active: Vec<ActiveFault>,
    /// A splitmix64 state.
    seed: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { active: Vec::new(), seed }
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// What does not make sense about it.
    pub(crate) fn add(&mut self, fault: Fault) -> Result<(), String> {
        fault.check()?;
        self.active.push(ActiveFault { fault, hits: 0 });
        Ok(())
    }

    /// The faults in force.
    pub(crate) fn list(&self) -> &[ActiveFault] {
        &self.active
    }

    /// Ends all faults.
    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// What goes wrong with this call. The first fault that hits it counts, after any latency, which adds up.
    pub(crate) fn hit(&mut self, call: Call<'_>) -> Hit {
        let mut hit = Hit::default();
        for index in 0..self.active.len() {
            if !self.strikes(index, |fault| fault.matches(call)) {
                continue;
            }
            let effect = &self.active[index].fault.effect;
            if let FaultEffect::Latency { ms } = effect {
                hit.delay_ms = hit.delay_ms.saturating_add(*ms);
            } else {
                hit.effect = Some(effect.clone());
                break;
            }
        }
        self.forget_used();
        hit
    }

    /// Whether the runner of this instance does what the effect says, now.
    pub(crate) fn hit_runner(&mut self, effect: &FaultEffect, instance: Option<&str>) -> bool {
        let matches =
            |fault: &Fault| fault.target == Target::Runner && fault.effect == *effect && fault.concerns(instance);
        let hit = (0..self.active.len()).any(|index| self.strikes(index, matches));
        self.forget_used();
        hit
    }

    /// Whether this fault hits now, when it matches; then it is counted.
    fn strikes(&mut self, index: usize, matches: impl Fn(&Fault) -> bool) -> bool {
        let fault = &self.active[index].fault;
        let (matches, probability) = (matches(fault), fault.probability);
        if !matches || !self.draw(probability) {
            return false;
        }
        let ActiveFault { fault, hits } = &mut self.active[index];
        *hits += 1;
        if let Some(left) = &mut fault.count {
            *left -= 1;
        }
        true
    }

    fn forget_used(&mut self) {
        self.active.retain(|active| active.fault.count != Some(0));
    }

    /// Counts what the cloud did wrong on request; of two faults of one kind the newer is in force.
    pub(crate) fn count(&mut self, injected: Injected) {
        let mut newest = |of: fn(&FaultEffect) -> bool, hits: u64| {
            if let Some(active) = self.active.iter_mut().rev().find(|active| of(&active.fault.effect)) {
                active.hits += hits;
            }
        };
        newest(|effect| matches!(effect, FaultEffect::StaleDescribes { .. }), injected.stale_describes);
        newest(|effect| matches!(effect, FaultEffect::LaunchFailures { .. }), injected.failed_launches);
    }

    fn draw(&mut self, probability: f64) -> bool {
        if probability >= 1.0 {
            return true;
        }
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(high) < probability * (f64::from(u32::MAX) + 1.0)
    }
}

/// What goes wrong with one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hit {
    /// How much later it is carried out.
    pub delay_ms: u64,
    /// What else goes wrong.
    pub effect: Option<FaultEffect>,
}

impl Fault {
    /// What does not make sense about it.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub fn check(&self) -> Result<(), String> {
        if !(self.probability > 0.0 && self.probability <= 1.0) {
            return Err(format!("probability is {}: it must be above 0 and at most 1", self.probability));
        }
        if self.count == Some(0) {
            return Err("count is 0: leave it out for a fault without end".into());
        }
        match (&self.effect, self.target) {
            (FaultEffect::Status { code }, _) if !(400..600).contains(code) => {
                return Err(format!("code is {code}: it must be from 400 to 599"));
            }
            (FaultEffect::StaleDescribes { .. } | FaultEffect::LaunchFailures { .. }, Target::Cloud) => {}
            (FaultEffect::StaleDescribes { .. } | FaultEffect::LaunchFailures { .. }, _) => {
                return Err("stale-describes and launch-failures need the target cloud".into());
            }
            (_, Target::Cloud) => return Err("the target cloud takes stale-describes and launch-failures only".into()),
            (effect, Target::Runner) if effect.is_runners() && self.action.is_some() => {
                return Err("action is no word for the target runner: leave it out".into());
            }
            (effect, target) if effect.is_runners() != (target == Target::Runner) => {
                let runners =
                    "cancel-request, lose-claim, patient-abort, rewrite-environment, leave-child and runner-too-old";
                return Err(format!("{runners} go with the target runner, and it takes nothing else"));
            }
            (FaultEffect::Expire, Target::Platform) => {
                return Err("expire is for the targets aws, azure and imds".into());
            }
            (_, Target::Aws | Target::Azure | Target::Platform | Target::Imds | Target::Runner) => {}
        }
        Ok(())
    }

    fn concerns(&self, instance: Option<&str>) -> bool {
        self.instance.as_deref().is_none_or(|named| Some(named) == instance)
    }

    fn matches(&self, call: Call<'_>) -> bool {
        let named = |action: &String| {
            let rest = call.name.strip_suffix(action.trim_start_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        self.target == call.target && self.action.as_ref().is_none_or(named) && self.concerns(call.instance)
    }
}

fn always() -> f64 {
    1.0
}

#[cfg(test)]
mod tests;
