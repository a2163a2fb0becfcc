//! Faults on request: which calls go wrong, how, and how often.

use serde::{Deserialize, Serialize};

use crate::{aws::model::Injected, ci::contract::PlatformKind};

/// A fault: `POST /_lightsout/faults`. It stays until its count is used up or the faults are cleared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which service has it.
    pub target: Target,
    /// Only this action (AWS), route (platform, such as `POST /jobs/request` or `jobs/request`) or path (metadata service,
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
    /// Calls, or for the target cloud describes and launches.
    pub hits: u64,
}

/// The services that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "String")]
pub enum Target {
    /// The AWS APIs.
    Aws,
    /// The CI platform's API; by the name of a platform too.
    Platform,
    /// The instances' metadata services.
    Imds,
    /// The cloud behind the AWS APIs, for `stale-describes` and `launch-failures`.
    Cloud,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "aws" => Ok(Self::Aws),
            "imds" => Ok(Self::Imds),
            "cloud" => Ok(Self::Cloud),
            "platform" => Ok(Self::Platform),
            _ if name.parse::<PlatformKind>().is_ok() => Ok(Self::Platform),
            _ => Err(format!("target is {name:?}: it is one of aws, platform, imds, cloud")),
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
    pub fn new(seed: u64) -> Self {
        Self { active: Vec::new(), seed }
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// What does not make sense about it.
    pub fn add(&mut self, fault: Fault) -> Result<(), String> {
        if !(fault.probability > 0.0 && fault.probability <= 1.0) {
            return Err(format!("probability is {}: it must be above 0 and at most 1", fault.probability));
        }
        if fault.count == Some(0) {
            return Err("count is 0: leave it out for a fault without end".into());
        }
        match (&fault.effect, fault.target) {
            (FaultEffect::Status { code }, _) if !(400..600).contains(code) => {
                return Err(format!("code is {code}: it must be from 400 to 599"));
            }
            (FaultEffect::StaleDescribes { .. } | FaultEffect::LaunchFailures { .. }, Target::Cloud) => {}
            (FaultEffect::StaleDescribes { .. } | FaultEffect::LaunchFailures { .. }, _) => {
                return Err("stale-describes and launch-failures need the target cloud".into());
            }
            (_, Target::Cloud) => return Err("the target cloud takes stale-describes and launch-failures only".into()),
            (FaultEffect::Expire, Target::Platform) => return Err("expire is for the targets aws and imds".into()),
            (_, Target::Aws | Target::Platform | Target::Imds) => {}
        }
        self.active.push(ActiveFault { fault, hits: 0 });
        Ok(())
    }

    /// The faults in force.
    pub fn list(&self) -> &[ActiveFault] {
        &self.active
    }

    /// Ends all faults.
    pub fn clear(&mut self) {
        self.active.clear();
    }

    /// What goes wrong with this call. The first fault that hits it counts, after any latency, which adds up.
    pub fn hit(&mut self, call: Call<'_>) -> Hit {
        let mut hit = Hit::default();
        for index in 0..self.active.len() {
            let fault = &self.active[index].fault;
            let (matches, probability) = (fault.matches(call), fault.probability);
            if !matches || !self.draw(probability) {
                continue;
            }
            let ActiveFault { fault, hits } = &mut self.active[index];
            *hits += 1;
            if let Some(left) = &mut fault.count {
                *left -= 1;
            }
            if let FaultEffect::Latency { ms } = &fault.effect {
                hit.delay_ms = hit.delay_ms.saturating_add(*ms);
            } else {
                hit.effect = Some(fault.effect.clone());
                break;
            }
        }
        self.active.retain(|active| active.fault.count != Some(0));
        hit
    }

    /// Counts what the cloud did wrong on request; of two faults of one kind the newer is in force.
    pub fn count(&mut self, injected: Injected) {
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
    fn matches(&self, call: Call<'_>) -> bool {
        let named = |action: &String| {
            let rest = call.name.strip_suffix(action.trim_start_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        self.target == call.target
            && self.action.as_ref().is_none_or(named)
            && self.instance.as_deref().is_none_or(|instance| Some(instance) == call.instance)
    }
}

fn always() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).expect("a fault")
    }

    fn call<'a>(target: Target, name: &'a str, instance: Option<&'a str>) -> Call<'a> {
        Call { target, name, instance }
    }

    #[test]
    fn a_fault_hits_only_what_it_names() {
        let mut faults = Faults::new(1);
        faults
            .add(fault(r#"{"target":"aws","action":"SetDesiredCapacity","instance":"i-1","effect":"throttle"}"#))
            .expect("valid");
        assert_eq!(faults.hit(call(Target::Aws, "SetDesiredCapacity", None)).effect, None);
        assert_eq!(faults.hit(call(Target::Aws, "TerminateInstances", Some("i-1"))).effect, None);
        assert_eq!(faults.hit(call(Target::Platform, "SetDesiredCapacity", Some("i-1"))).effect, None);
        let hit = faults.hit(call(Target::Aws, "SetDesiredCapacity", Some("i-1")));
        assert_eq!(hit.effect, Some(FaultEffect::Throttle));
    }

    #[test]
    fn routes_and_paths_match_by_their_end() {
        let mut faults = Faults::new(1);
        faults
            .add(fault(&format!(
                r#"{{"target":"{}","action":"jobs/request","effect":"drop"}}"#,
                PlatformKind::default()
            )))
            .expect("valid");
        faults.add(fault(r#"{"target":"imds","action":"spot/instance-action","effect":"hang"}"#)).expect("valid");
        assert!(faults.hit(call(Target::Platform, "POST /jobs/request", None)).effect.is_some());
        assert!(faults.hit(call(Target::Platform, "GET /projects/:id/jobs", None)).effect.is_none());
        assert!(faults.hit(call(Target::Imds, "/latest/meta-data/spot/instance-action", None)).effect.is_some());
        assert!(faults.hit(call(Target::Imds, "/latest/meta-data/instance-action", None)).effect.is_none());
    }

    #[test]
    fn a_count_is_used_up_and_latency_adds_to_what_follows() {
        let mut faults = Faults::new(1);
        faults.add(fault(r#"{"target":"aws","effect":{"latency":{"ms":20}},"count":2}"#)).expect("valid");
        faults.add(fault(r#"{"target":"aws","effect":{"status":{"code":503}},"count":1}"#)).expect("valid");
        let describe = call(Target::Aws, "DescribeAutoScalingGroups", None);
        assert_eq!(faults.hit(describe), Hit { delay_ms: 20, effect: Some(FaultEffect::Status { code: 503 }) });
        assert_eq!(faults.hit(describe), Hit { delay_ms: 20, effect: None });
        assert_eq!(faults.hit(describe), Hit::default());
        assert!(faults.list().is_empty());
    }

    #[test]
    fn hits_are_counted_for_each_fault() {
        let mut faults = Faults::new(1);
        faults.add(fault(r#"{"target":"aws","effect":{"latency":{"ms":20}}}"#)).expect("valid");
        faults.add(fault(r#"{"target":"aws","action":"X","effect":"throttle"}"#)).expect("valid");
        faults.add(fault(r#"{"target":"aws","effect":"drop"}"#)).expect("valid");
        faults.add(fault(r#"{"target":"cloud","effect":{"stale-describes":{"ms":9}}}"#)).expect("valid");
        faults.add(fault(r#"{"target":"cloud","effect":{"launch-failures":{"message":"full"}}}"#)).expect("valid");
        faults.hit(call(Target::Aws, "X", None));
        faults.hit(call(Target::Aws, "Y", None));
        faults.hit(call(Target::Imds, "X", None));
        faults.count(Injected { stale_describes: 4, failed_launches: 5 });
        let hits: Vec<u64> = faults.list().iter().map(|active| active.hits).collect();
        assert_eq!(hits, [2, 1, 1, 4, 5]);
        let shown = serde_json::to_value(&faults.list()[1]).expect("JSON");
        let expected = serde_json::json!({
            "target": "aws", "action": "X", "effect": "throttle", "probability": 1.0, "hits": 1,
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_probability_comes_from_the_seed() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(fault(r#"{"target":"aws","effect":"throttle","probability":0.5}"#)).expect("valid");
            (0..64).map(|_| faults.hit(call(Target::Aws, "X", None)).effect.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let hits = run(7).iter().filter(|hit| **hit).count();
        assert!((16..=48).contains(&hits), "{hits} of 64");
    }

    #[test]
    fn nonsense_is_refused_with_the_remedy() {
        let mut faults = Faults::new(1);
        for (json, remedy) in [
            (r#"{"target":"aws","effect":"throttle","probability":1.5}"#, "at most 1"),
            (r#"{"target":"aws","effect":"throttle","count":0}"#, "leave it out"),
            (r#"{"target":"aws","effect":{"status":{"code":200}}}"#, "from 400 to 599"),
            (r#"{"target":"aws","effect":{"stale-describes":{"ms":5}}}"#, "target cloud"),
            (r#"{"target":"cloud","effect":"drop"}"#, "only"),
            (r#"{"target":"platform","effect":"expire"}"#, "aws and imds"),
        ] {
            let refusal = faults.add(fault(json)).expect_err(json);
            assert!(refusal.contains(remedy), "{refusal}");
        }
        assert!(serde_json::from_str::<Fault>(r#"{"target":"aws","effect":"throttle","oops":1}"#).is_err());
    }
}
