//! A cloud that a program of the user's stands for: OpenStack, Proxmox, Hetzner, a rack of machines.
//!
//! The settings name the program (`cloud` below `[[pool]]` and below `[agent]`); what is asked follows as arguments, and no shell is involved.
//! What it is asked, what it answers and what its exit codes mean is in docs/clouds.md: [`program`] runs it, [`answer`] reads it. It is given
//! [`TIMEOUT`] for each answer; the scaler's `deadline` may end it earlier. Then it is killed with everything that it started, and whether it had
//! an effect is looked at before it is asked again.

mod answer;
#[cfg(feature = "host")]
mod diagnosis;
mod groups;
#[cfg(feature = "host")]
mod host;
#[cfg(feature = "host")]
mod notices;
mod program;
mod raises;

use std::time::Duration;

use lightsout_core::{
    cloud::{Capabilities, CloudError, CloudErrorKind, ProtectionSupport},
    settings::{CloudName, SecretSource},
};
use secrecy::SecretString;

use crate::{CloudFuture, Provider, SecretError, Secrets, local};
#[cfg(feature = "host")]
use crate::{Diagnosis, GroupSurvey, InstanceProvider};
use program::CloudProgram;

/// How a program's cloud is reached.
pub(crate) const PROVIDER: Provider = Provider {
    cloud: CloudName::Program,
    groups: |location| Box::new(groups::CommandGroups::new(CloudProgram::new(&location.program))),
    secrets: |_| Box::new(CommandSecrets),
    object: |_, address| {
        Box::pin(async move {
            let why = format!("{address}: a cloud of your own program has no store for settings; put them in a file");
            Err(CloudError::new(CloudErrorKind::Other, why))
        })
    },
};

/// How it is reached from its instances. Records go nowhere but into the log.
#[cfg(feature = "host")]
pub(crate) const INSTANCE: InstanceProvider = InstanceProvider {
    provider: &PROVIDER,
    is_program: true,
    notices: |program| Ok(Box::new(notices::CommandNotices::new(CloudProgram::new(program)))),
    host: |identity, settings| Box::new(host::CommandHost::new(CloudProgram::new(&settings.program), identity.clone())),
    archives: |_, _| Vec::new(),
};

/// How it is looked at. It has no metadata but what `whoami` says.
#[cfg(feature = "host")]
pub(crate) const DIAGNOSIS: Diagnosis = Diagnosis {
    metadata: || Box::pin(std::future::ready(lightsout_core::doctor::facts::MetadataFacts::default())),
    instance: |identity, settings| Box::pin(diagnosis::instance(identity, settings)),
};

/// How a group is looked at from a workstation, by the program as the pool names it, run as whoever asks.
#[cfg(feature = "host")]
pub(crate) const GROUP_SURVEY: GroupSurvey = |wanted| {
    Box::pin(async move { diagnosis::group(&CloudProgram::new(&wanted.location.program), &wanted.name).await })
};

/// What a program's cloud can do of which it says nothing: as little as possible. An ending that somebody else begins is not held off, it is told
/// with its time by `notice`. That time is believed up to a day after it was first told, and a later one is taken for that.
const CAPABILITIES: Capabilities = Capabilities {
    protection: ProtectionSupport::OnDemand,
    termination_hook: None,
    leaving_lowers_capacity: true,
    replaces_unhealthy: false,
    power_off_ends_billing: false,
    conditional_raise: false,
    longest_notice: Duration::from_secs(24 * 3600),
};

/// How long a program may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Secrets in files and variables: a program's cloud has no store of its own.
#[derive(Clone, Copy, Debug)]
struct CommandSecrets;

impl Secrets for CommandSecrets {
    fn resolve<'a>(&'a self, source: &'a SecretSource) -> CloudFuture<'a, SecretString, SecretError> {
        Box::pin(local(source))
    }

    fn forget(&self) {}
}

#[cfg(test)]
mod tests;
