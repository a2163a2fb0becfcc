//! How the instance came up: when each part of its boot ended. For people only; nothing is decided from it.

use std::{borrow::Cow, fmt::Write, time::Duration};

use lightsout_core::agent::{
    Output,
    action::Request,
    event::Outcome,
    host::{EffectId, HostEffect, HostResult},
    phase::PhaseName,
};
use rustix::process::{Pid, getppid};
use serde::{Deserialize, Serialize};

use crate::{clock::uptime, input::Input, systemd};

/// One part of the boot, and when it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// `kernel` (until systemd begins with its units), `network` (until it is there), `system` (all else until the agent begins), `metadata` (who
    /// this instance is), `tags`, `before_register`, `in_service`, `secrets`, `registered`, or `ready`. Where systemd does not tell, the first two
    /// are in the third.
    pub part: Cow<'static, str>,
    /// In milliseconds since the kernel started, sleep included.
    pub until_ms: u64,
}

/// What ends the parts before the agent: the first unit of all, and the one for which the agent's unit waits (systemd.special(7)).
const MILESTONES: [(&str, &str); 2] = [("-.slice", "kernel"), ("network-online.target", "network")];
/// How long systemd may take to say when they were reached: nobody waits for it longer than that.
const ANSWER: Duration = Duration::from_secs(2);

/// The parts of a boot until the instance was ready for jobs, in their order. An agent that finds the runner of an earlier one sees no boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boot {
    parts: Vec<Part>,
    over: bool,
    /// The effect whose result says that the platform's secret is there.
    opening: Option<EffectId>,
}

impl Boot {
    /// The agent begins now.
    pub(crate) fn start() -> Self {
        let mut boot = Self::default();
        boot.ended("system", uptime());
        boot
    }

    /// What went before the agent's own parts.
    pub(crate) fn began_with(&mut self, earlier: Vec<Part>) {
        let own = self.parts.first().map_or(0, |first| first.until_ms);
        let before = earlier.into_iter().filter(|part| part.until_ms <= own);
        self.parts.splice(0..0, before);
    }

    /// This part ended now.
    pub(crate) fn now(&mut self, part: &'static str) {
        self.ended(part, uptime());
    }

    /// The runner of an earlier agent was found: what follows is no boot.
    pub(crate) fn none(&mut self) {
        *self = Self { over: true, ..Self::default() };
    }

    /// What the agent is told may end a part.
    pub(crate) fn on_input(&mut self, input: &Input) {
        if let Input::Result(id, result) = input
            && self.opening == Some(*id)
            && matches!(result, HostResult::Platform(Ok(_)))
        {
            self.now("secrets");
        }
    }

    /// What the agent says may begin or end one.
    pub(crate) fn on_output(&mut self, output: &Output) {
        match output {
            Output::Effect { id, effect: HostEffect::OpenPlatform } => self.opening = Some(*id),
            Output::Finished { request: Request::Register, outcome: Outcome::Registered } => self.now("registered"),
            Output::Effect { .. } | Output::Finished { .. } | Output::Reply { .. } | Output::Corrected(_) => {}
        }
    }

    /// It went from one phase to another. Whether it is ready for the first time.
    pub(crate) fn went(&mut self, from: Option<PhaseName>, to: PhaseName) -> bool {
        if let (Some(PhaseName::Preparing), PhaseName::Booting | PhaseName::Registering) = (from, to) {
            self.now("before_register");
        }
        match (from, to) {
            (Some(PhaseName::Preparing | PhaseName::Booting), PhaseName::Registering) => self.now("in_service"),
            (_, PhaseName::Idle | PhaseName::Busy) if !self.over => {
                self.now("ready");
                self.over = true;
                return true;
            }
            (_, PhaseName::Draining | PhaseName::Retiring | PhaseName::Gone) => self.over = true,
            _ => {}
        }
        false
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn ended(&mut self, part: &'static str, up: Duration) {
        if !self.over && self.parts.iter().all(|known| known.part != part) {
            let until_ms = u64::try_from(up.as_millis()).unwrap_or(u64::MAX);
            self.parts.push(Part { part: part.into(), until_ms });
        }
    }
}

/// What went on before the agent began, where it is a unit of systemd's.
pub(crate) async fn earlier() -> Vec<Part> {
    // Nobody else has started what systemd has.
    if !getppid().is_some_and(Pid::is_init) {
        return Vec::new();
    }
    let options = ["show", "--no-pager", "--property=Id,ActiveEnterTimestampMonotonic", "--"];
    let arguments = options.into_iter().chain(MILESTONES.map(|(unit, _)| unit)).map(str::to_owned).collect();
    systemd::ask("systemctl", arguments, ANSWER).await.map_or_else(
        |why| {
            tracing::debug!(why, "how long the kernel and the network took cannot be told");
            Vec::new()
        },
        |text| milestones(&text),
    )
}

/// Reads a block of `Key=value` for each unit, an empty line between them; a unit that was not reached says 0. Microseconds of the monotonic
/// clock, which until now has gone on as the kernel's time has, for a machine that boots does not sleep.
fn milestones(text: &str) -> Vec<Part> {
    let reached = |unit: &str| {
        let block =
            text.split("\n\n").find(|block| block.lines().any(|line| line.strip_prefix("Id=") == Some(unit)))?;
        let at = block.lines().find_map(|line| line.strip_prefix("ActiveEnterTimestampMonotonic="))?;
        at.parse().ok().filter(|at: &u64| *at > 0)
    };
    let parts = MILESTONES
        .iter()
        .filter_map(|(unit, part)| Some(Part { part: Cow::Borrowed(part), until_ms: reached(unit)? / 1000 }));
    parts.collect()
}

/// As a person reads it: `12.4 s: system 9.10 s, metadata 0.02 s, ...`.
pub(crate) fn in_words(parts: &[Part]) -> Option<String> {
    let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
    let mut line = format!("{:.1} s:", seconds(parts.last()?.until_ms));
    let mut before = 0;
    for Part { part, until_ms } in parts {
        let comma = if before == 0 { "" } else { "," };
        let _ = write!(line, "{comma} {part} {:.2} s", seconds(until_ms.saturating_sub(before)));
        before = *until_ms;
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_ends_once_and_none_after_the_instance_is_ready() {
        let mut boot = Boot::start();
        boot.now("metadata");
        assert!(!boot.went(None, PhaseName::Preparing));
        assert!(!boot.went(Some(PhaseName::Preparing), PhaseName::Booting));
        assert!(!boot.went(Some(PhaseName::Booting), PhaseName::Registering));
        let id = EffectId(7);
        boot.on_output(&Output::Effect { id, effect: HostEffect::OpenPlatform });
        boot.on_input(&Input::Result(id, HostResult::Done(Ok(()))));
        boot.on_output(&Output::Finished { request: Request::Register, outcome: Outcome::Registered });
        assert!(boot.went(Some(PhaseName::Registering), PhaseName::Busy));
        let first = boot.parts().to_owned();
        // The runner of the next job is registered, too, and that is no boot.
        boot.on_output(&Output::Finished { request: Request::Register, outcome: Outcome::Registered });
        assert!(!boot.went(Some(PhaseName::Registering), PhaseName::Idle));
        assert_eq!(boot.parts(), first);
        let names: Vec<&str> = first.iter().map(|part| &*part.part).collect();
        assert_eq!(names, ["system", "metadata", "before_register", "in_service", "registered", "ready"]);
        assert!(first.is_sorted_by_key(|part| part.until_ms));
    }

    #[test]
    fn kernel_and_network_are_apart_where_systemd_tells() {
        let said = "Id=-.slice\nActiveEnterTimestampMonotonic=1200345\n\nId=network-online.target\nActiveEnterTimestampMonotonic=4700000\n";
        let parts = |text: &str| {
            let mut boot = Boot { parts: vec![Part { part: "system".into(), until_ms: 9_100 }], ..Boot::default() };
            boot.began_with(milestones(text));
            in_words(boot.parts()).unwrap()
        };
        assert_eq!(parts(said), "9.1 s: kernel 1.20 s, network 3.50 s, system 4.40 s");
        let without = said.replace("4700000", "0");
        assert_eq!(parts(&without), "9.1 s: kernel 1.20 s, system 7.90 s", "nobody waited for it");
        let late = said.replace("4700000", "9900000");
        assert_eq!(parts(&late), "9.1 s: kernel 1.20 s, system 7.90 s", "the agent did not wait for it");
        assert_eq!(parts("Failed to connect to bus"), "9.1 s: system 9.10 s");
    }

    #[test]
    fn an_agent_that_finds_a_runner_sees_no_boot() {
        let mut boot = Boot::start();
        boot.none();
        assert!(!boot.went(Some(PhaseName::Registering), PhaseName::Idle));
        assert_eq!(in_words(boot.parts()), None);
    }

    #[test]
    fn a_person_reads_how_long_each_part_took() {
        let parts = [("system", 9_100), ("metadata", 9_120), ("in_service", 12_000), ("ready", 12_400)];
        let parts = parts.map(|(part, until_ms)| Part { part: part.into(), until_ms });
        assert_eq!(
            in_words(&parts).unwrap(),
            "12.4 s: system 9.10 s, metadata 0.02 s, in_service 2.88 s, ready 0.40 s"
        );
    }
}
