//! What was found, in no vendor's words.

mod group;

use std::{path::PathBuf, time::Duration};

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::Deserialize;

pub use self::group::{GroupFacts, HookFacts, NextImage, NotOffered, RefreshFacts};
use super::Place;
pub use super::{
    account::{FunctionFacts, RoleFacts, Schedule},
    key::KeyFacts,
    program::{ProgramFacts, ProgramGroup},
    quota::QuotaFacts,
    scale_set::{MemberModels, ScaleSetFacts, ScaleSetModel, SpotModel},
    template::{Subnet, TemplateFacts, secrets_in},
};
use crate::{
    cloud::Membership, platform::RunnerVersion, record::FailedLaunch, settings::AgentSettings, space::FileSystem,
};

/// Something that was looked for, or why it cannot be told, for an operator.
pub type Fact<T> = Result<T, String>;

/// Everything that was found. What is `None`, or an empty list, was not there to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// From where it was looked at.
    pub place: Place,
    /// What this instance and its group are called.
    pub names: Names,
    pub settings: SettingsFacts,
    /// What is installed.
    pub software: Software,
    /// The state of the machine.
    pub machine: Machine,
    /// What must not be in a machine image, and is: by kind, and where.
    pub left_in_image: Option<Leftovers>,
    /// What the cloud says.
    pub cloud: Option<CloudFacts>,
    /// What the CI platform says.
    pub platform: PlatformFacts,
    /// The roles that do the work, and whether they may.
    pub roles: Vec<RoleFacts>,
    /// The function that is the scaler; `Ok(None)`: there is none of the name.
    pub function: Option<Fact<Option<FunctionFacts>>>,
}

impl Facts {
    /// Whether this is a machine image while it is built.
    pub fn in_image(&self) -> bool {
        self.place == Place::Image
    }
}

/// The names that remedies hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The cloud's id of this instance.
    pub instance: Option<String>,
    /// The name of its group.
    pub group: Option<String>,
    /// Where it is, such as `eu-north-1`.
    pub location: Option<String>,
}

impl Names {
    /// A remedy with the names that are known.
    pub(super) fn filled(&self, remedy: &str) -> String {
        let names = [("{instance}", &self.instance), ("{group}", &self.group), ("{region}", &self.location)];
        names.into_iter().fold(remedy.to_owned(), |text, (word, name)| match name {
            Some(name) => text.replace(word, name),
            None => text,
        })
    }
}

/// What was made of the settings.
#[derive(Clone, Debug, Default)]
pub struct SettingsFacts {
    /// The files, in their order.
    pub files: Vec<String>,
    /// What cannot work.
    pub problems: Vec<String>,
    /// What is not there: in an image it may still come, with the user data.
    pub missing: Vec<String>,
    /// What is allowed and yet doubtful.
    pub doubts: Vec<String>,
    /// The settings, when nothing is wrong and nothing missing.
    pub settings: Option<AgentSettings>,
    /// Whether a secret of the platform stands in them.
    pub inline_secret: bool,
    /// The files among them that everybody on this machine may read.
    pub readable: Vec<String>,
    /// What of its secrets can do more than one instance needs, and the narrower way.
    pub broad_secret: Option<String>,
}

/// What is installed.
#[derive(Clone, Debug, Default)]
pub struct Software {
    /// As whom the runner will run; an error when that cannot be.
    pub runner_user: Option<Fact<RunsAs>>,
    /// Whether it may use the container engine, where it is a user of its own.
    pub engine_access: Option<EngineAccess>,
    /// Where the runner's program is; an error when it is not there, or cannot be run.
    pub runner: Option<Fact<PathBuf>>,
    /// What it says of its version.
    pub runner_version: Option<Fact<RunnerVersion>>,
    /// What the image says of itself, and when it was read.
    pub baked: Option<Fact<ImageManifest>>,
    /// The unit with which the vendor's package starts the runner.
    pub runner_unit: Option<Unit>,
    pub agent_unit: Option<Unit>,
    /// The timer of the dead-man's switch.
    pub dead_man: Option<Unit>,
    /// The container engine's unit.
    pub engine_unit: Option<Unit>,
    /// The engine's configuration.
    pub engine_settings: Option<Fact<EngineSettings>>,
    /// What installs packages by itself here.
    pub automatic_updates: Option<Vec<String>>,
    /// Whether what restarts services after an update leaves ours alone; `None`: nothing here restarts services.
    pub restarts_excluded: Option<Fact<bool>>,
}

/// As whom the runner runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsAs {
    /// A user of its own.
    Own(String),
    /// The agent's own user, which is not root.
    Agents,
    /// Root.
    Root {
        /// Whether the settings say so.
        by_name: bool,
    },
}

/// Whether a runner's own user may use the container engine, with which it is as good as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineAccess {
    /// It may not.
    No,
    /// The settings say so.
    ByName,
    /// The platform's jobs are containers.
    Needed,
    /// The settings say no, and the machine lets it all the same.
    InSpite,
}

/// What an image says of itself, in `/usr/share/lightsout/image.json` (packer/README.md); other keys are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ImageManifest {
    /// When it was built.
    #[serde(default)]
    pub built: Option<Timestamp>,
    /// The CI platform for which it was built.
    #[serde(default)]
    pub platform: Option<String>,
    #[serde(default)]
    pub runner: Option<ImageRunner>,
    /// The time at which it was read.
    #[serde(skip)]
    pub now: Timestamp,
}

/// The runner in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ImageRunner {
    #[serde(default)]
    pub version: Option<String>,
    /// Its program and what comes with it.
    #[serde(default)]
    pub program: Vec<String>,
    /// From which day on the platform may refuse it.
    #[serde(default)]
    pub expires: Option<Date>,
}

/// A systemd unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// Whether there is such a unit.
    pub installed: bool,
    /// Whether it is started at boot.
    pub enabled: bool,
    /// Whether it is masked.
    pub masked: bool,
    /// Whether it is active; `None` where systemd does not run.
    pub active: Option<bool>,
}

/// How the container engine is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Where the output of containers goes.
    pub log_driver: String,
    /// Whether that has a largest size, where it is on this disk.
    pub log_limit: bool,
    /// Whether containers outlive a restart of the engine.
    pub live_restore: bool,
    /// Below which control group its containers are, where it was told.
    pub cgroup_parent: Option<String>,
}

/// The state of the machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// What the container engine says of itself.
    pub engine: Option<Fact<String>>,
    /// Whether jobs may need it.
    pub engine_needed: bool,
    /// The file systems that the agent and jobs write to.
    pub disks: Vec<Fact<FileSystem>>,
    /// The ways out of this machine.
    pub ways_out: Option<Fact<WaysOut>>,
    /// Why the runner needs IPv4.
    pub needs_ipv4: Option<&'static str>,
    /// For how long the machine has run.
    pub up_for: Option<Duration>,
    /// Who is kept from the metadata service, where it is at its own address.
    pub guard: Option<Fact<GuardFacts>>,
    /// What the agent that runs says; an error when none does.
    pub agent: Option<Fact<AgentAnswer>>,
    /// This program's version.
    pub version: &'static str,
}

/// Whether there is a default route, by family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaysOut {
    /// Over IPv4.
    pub ipv4: bool,
    /// Over IPv6.
    pub ipv6: bool,
}

/// The control group below which the engine is to put containers, so that a rule can name all of them.
pub const CONTAINERS: &str = "docker.slice";

/// Who is kept from the metadata service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardFacts {
    /// Nobody, as the settings have it.
    Off,
    /// In an image: what puts the rules up is installed.
    Ready,
    /// Whoever is to be: containers, and the runner's user where it is not let through.
    Up {
        /// The runner's user, when it is refused.
        user: Option<String>,
        /// The control groups that are refused, whoever is in them.
        groups: Vec<String>,
    },
    /// What is open and must not be.
    Open(Vec<String>),
}

/// What a running agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAnswer {
    pub version: String,
    /// What it is doing.
    pub phase: String,
    /// What stands in its way.
    pub note: Option<String>,
}

/// What must not be in a machine image, and is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Private keys by which a machine is known.
    pub host_keys: Vec<String>,
    /// The id of the machine on which it was built.
    pub machine_id: Vec<String>,
    /// What an agent left.
    pub agent: Vec<String>,
    /// Credentials of people and programs.
    pub credentials: Vec<String>,
    /// What was typed.
    pub history: Vec<String>,
    /// What the machine's first boot left, so that it does not happen again.
    pub first_boot: Vec<String>,
}

/// What the cloud says.
#[derive(Clone, Debug, Default)]
pub struct CloudFacts {
    /// What metadata say of themselves.
    pub metadata: MetadataFacts,
    /// How many hops an answer of theirs with a token travels.
    pub hop_limit: Option<Fact<u32>>,
    /// The place in its group.
    pub membership: Option<Fact<Membership>>,
    pub group_name: Option<String>,
    /// Its group; on a workstation `None` where there is none of the name.
    pub group: Option<Fact<GroupFacts>>,
    /// On Azure, its scale set.
    pub scale_set: Option<ScaleSetFacts>,
    /// Of a cloud that a program of the user's stands for, what that says.
    pub program: Option<ProgramFacts>,
    /// What each launch template or configuration says that new instances may start from, the group's own first; one that could not be read is an error among
    /// [`Self::next_images`].
    pub templates: Vec<TemplateFacts>,
    /// From what new instances start that is no launch template, by name.
    pub starts_otherwise: Option<String>,
    /// The keys with which volumes of new instances are encrypted.
    pub keys: Option<Fact<Vec<KeyFacts>>>,
    /// Whether the account has the role with which Spot instances start; `None`: the group may have none of these.
    pub spot_role: Option<Fact<bool>>,
    /// What the account lets run at a time, of the kinds of instances that the group may have.
    pub quotas: Option<Fact<Vec<QuotaFacts>>>,
    /// The networks in which they start.
    pub subnets: Option<Fact<Vec<Subnet>>>,
    /// What holds endings off.
    pub termination_hooks: Option<Fact<Vec<HookFacts>>>,
    /// What holds launches off.
    pub launch_hooks: Option<Fact<Vec<HookFacts>>>,
    /// What else changes the group's capacity by itself, by name.
    pub other_scalers: Option<Fact<Vec<String>>>,
    /// The group's last launch, if it failed.
    pub failed_launch: Option<Fact<Option<FailedLaunch>>>,
    /// A replacement of all instances that is under way.
    pub refresh: Option<Fact<Option<RefreshFacts>>>,
    /// Whether a power-off ends this instance for good.
    pub power_off_ends: Option<Fact<bool>>,
    /// The rights that could be tried, and whether they are there.
    pub rights: Vec<(&'static str, Fact<bool>)>,
    /// The images from which new instances start.
    pub next_images: Vec<Fact<NextImage>>,
    /// The kinds of instances that some zone of the group does not have.
    pub not_offered: Option<Fact<NotOffered>>,
}

/// What the instance's metadata say of themselves.
#[derive(Clone, Debug, Default)]
pub struct MetadataFacts {
    /// Who this instance is.
    pub identity: Option<Fact<String>>,
    /// Whether they are to be had with a session's token only.
    pub tokens_required: Option<Fact<bool>>,
    /// Whether they tell the instance's tags.
    pub tags: Option<Fact<bool>>,
    /// By how much this machine's clock is ahead of the cloud's.
    pub clock_ahead: Option<Fact<SignedDuration>>,
}

/// What the CI platform says.
#[derive(Clone, Debug, Default)]
pub struct PlatformFacts {
    /// Its address, and whether anything answers there.
    pub reachable: Option<Fact<String>>,
    /// Each secret that the settings name: where it is, and whether it can be fetched.
    pub secrets: Vec<(String, Result<(), Refusal>)>,
    /// What it answers to a harmless question with those secrets; an error is its refusal.
    pub token: Option<Result<String, Refusal>>,
    /// By how much this machine's clock is ahead of the platform's.
    pub clock_ahead: Option<Fact<SignedDuration>>,
}

/// Why a harmless question has no good answer, or a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In the codec's words, with the remedy.
    pub why: String,
    /// Whether that says nothing of the thing itself: it may succeed later, or elsewhere, without anyone changing it.
    pub transient: bool,
}
