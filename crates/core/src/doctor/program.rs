//! Rows about a cloud that a program of the user's stands for: what it promises, and what can be seen of that.

use crate::cloud::{Capabilities, Membership, ProtectionSupport};

use super::{Fact, Facts, Judgement, Row, Scope, of, of_member};

/// What such a cloud says of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// What it can do, as `whoami` told; what was left out is as little as possible.
    pub capabilities: Capabilities,
    /// The instance's place in its group, as `describe` shows it; `None` on a workstation.
    pub membership: Option<Fact<Membership>>,
    /// Its group; `None`: it is in none.
    pub group: Option<Fact<ProgramGroup>>,
}

/// A group as `describe` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramGroup {
    /// The fewest instances that it keeps.
    pub min: u32,
    /// The most instances that it may have.
    pub max: u32,
    /// How many it should have.
    pub desired: u32,
    /// Whether it tells its states apart, so that a raise can be refused by that.
    pub versioned: bool,
}

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "program.group",
        scope: Scope::Group,
        meaning: "`describe` is understood, and the group can grow, and can shrink to nothing",
        remedy: "run `describe GROUP` of the program in agent.cloud, or `cloud` of the pool, by hand, and correct it, or the group's bounds (docs/clouds.md)",
        judge: |facts| {
            of(program(facts)?.group.as_ref(), |group| {
                let seen = format!("{} desired, from {} to {}", group.desired, group.min, group.max);
                match (group.min, group.max) {
                    (_, 0) => Judgement::wrong(format!("{seen}: nothing can ever start")),
                    (0, _) => Judgement::ok(seen),
                    (min, _) => Judgement::warning(format!("{seen}: {min} stay for ever, also without a job")),
                }
            })
        },
    },
    Row {
        id: "program.member",
        scope: Scope::Instance,
        meaning: "`describe` lists the instance among the group's members, and nothing is about to end it",
        remedy: "have `whoami` name its group, and `describe` list it from when it is asked for: one that is not listed leaves",
        judge: |facts| {
            of(program(facts)?.membership.as_ref(), |membership| of_member(*membership, "it is in no group"))
        },
    },
    Row {
        id: "program.protected",
        scope: Scope::Instance,
        meaning: "`describe` shows the instance as protected: what the program says of protection is believed when it is seen, and `never` is its word \
                  alone",
        remedy: "have `protect` keep everybody else from ending the instance, and `describe` say so; leave `protection` out of `whoami`, where your cloud \
                 can do that",
        judge: |facts| {
            let ProgramFacts { capabilities, membership, .. } = program(facts)?;
            let Some(Ok(Membership::InService { protected })) = membership else { return None };
            match (protected, capabilities.protection) {
                (true, _) => Judgement::ok("it is"),
                (false, ProtectionSupport::Never) => {
                    Judgement::warning("it is not (protection = never): whoever ends an instance ends its job")
                }
                (false, ProtectionSupport::AtLaunch | ProtectionSupport::OnDemand) => {
                    Judgement::warning("it is not: until it is, no runner registers here")
                }
            }
        },
    },
    Row {
        id: "program.raise",
        scope: Scope::Group,
        meaning: "`describe` tells the group's states apart (`version`), so that a raise is refused when the group has changed: else it is only as good as \
                  the reading is fresh",
        remedy: "print a `version` that changes with whatever changes the group, and have `raise` exit with 10 for another one than it is given",
        judge: |facts| {
            of(program(facts)?.group.as_ref(), |group| {
                if group.versioned { Judgement::ok("it does") } else { Judgement::warning("it prints no version") }
            })
        },
    },
    Row {
        id: "program.power-off",
        scope: Scope::Instance,
        meaning: "a machine that switches itself off is billed no more: the last way out of agent and dead-man's switch",
        remedy: "say power_off_ends_billing in `whoami` where it is so; else have LIGHTSOUT_DEAD_MAN_ACT in the dead-man's unit end the machine \
                 (docs/clouds.md), and take this for said",
        judge: |facts| {
            if program(facts)?.capabilities.power_off_ends_billing {
                Judgement::ok("so the program says")
            } else {
                Judgement::warning(
                    "the program does not say so: one whose agent is dead would be switched off, and stay",
                )
            }
        },
    },
];

fn program(facts: &Facts) -> Option<&ProgramFacts> {
    facts.cloud.as_ref()?.program.as_ref()
}
