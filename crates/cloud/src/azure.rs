//! Azure: virtual machine scale sets, instance metadata with its scheduled events, managed identities and Key Vault.
//!
//! Azure speaks HTTP and JSON, so that it needs no SDK: [`call`] says what is asked, [`reply`] what was answered, [`error`] what a refusal
//! means and [`token`] who asks, all without I/O. [`client`] carries them, over the driver that the platforms use.

#[cfg(feature = "host")]
mod archive;
mod call;
mod client;
mod error;
mod groups;
#[cfg(feature = "host")]
mod host;
#[cfg(feature = "host")]
mod metadata;
#[cfg(feature = "host")]
mod notices;
mod reply;
mod secrets;
#[cfg(feature = "host")]
mod survey;
mod token;

use std::time::Duration;

use lightsout_core::{
    cloud::{Capabilities, CloudError, CloudErrorKind, HookRules, ProtectionSupport},
    settings::CloudName,
};

use crate::Provider;
#[cfg(feature = "host")]
use crate::{Diagnosis, FunctionSurvey, GroupSurvey, InstanceProvider};

/// How Azure is reached.
pub(crate) const PROVIDER: Provider = Provider {
    cloud: CloudName::Azure,
    groups: |_| Box::new(groups::AzureGroups::new()),
    secrets: |_| Box::new(secrets::AzureSecrets::new()),
    object: |_, address| {
        Box::pin(async move {
            let why = format!(
                "{address}: settings are read from no store of Azure's; put them in a file, or in LIGHTSOUT_SCALER_CONFIG_TOML"
            );
            Err(CloudError::new(CloudErrorKind::Other, why))
        })
    },
};

/// How it is reached from its instances.
#[cfg(feature = "host")]
pub(crate) const INSTANCE: InstanceProvider = InstanceProvider {
    provider: &PROVIDER,
    is_program: false,
    notices: |_| Ok(notices::open()),
    host: |identity, _| Box::new(host::AzureHost::new(identity.group.clone())),
    archives: |_, settings| archive::open(settings),
};

/// How it is looked at.
#[cfg(feature = "host")]
pub(crate) const DIAGNOSIS: Diagnosis = Diagnosis {
    metadata: || Box::pin(host::metadata()),
    instance: |identity, _| Box::pin(async move { host::AzureHost::new(identity.group).diagnose().await }),
};

/// How a scale set is looked at from a workstation.
#[cfg(feature = "host")]
pub(crate) const GROUP_SURVEY: GroupSurvey = |wanted| {
    Box::pin(async move {
        Box::pin(survey::look(
            &client::Azure::on_workstation(survey::cli::AZ),
            &wanted.name,
            wanted.most,
            &wanted.secrets,
        ))
        .await
    })
};

/// How a function app that is the scaler is looked at from there.
#[cfg(feature = "host")]
pub(crate) const FUNCTION_SURVEY: FunctionSurvey = |wanted| {
    Box::pin(async move { Box::pin(survey::app::look(&client::Azure::on_workstation(survey::cli::AZ), &wanted)).await })
};

/// The vaults that a person may read.
#[cfg(feature = "host")]
pub(crate) fn secrets_on_workstation() -> Box<dyn crate::Secrets> {
    Box::new(secrets::AzureSecrets::on_workstation())
}

/// What scale sets can do (Azure, "Instance protection for Azure Virtual Machine Scale Set instances"; "Terminate notification": 5 to 15
/// minutes, which cannot be extended; "Scheduled Events": an eviction is announced 30 seconds before, a termination by that profile).
const CAPABILITIES: Capabilities = Capabilities {
    protection: ProtectionSupport::OnDemand,
    termination_hook: Some(HookRules { time_outs: 1, longest: Duration::from_secs(15 * 60) }),
    leaving_lowers_capacity: true,
    replaces_unhealthy: false,
    power_off_ends_billing: false,
    conditional_raise: true,
    longest_notice: Duration::from_secs(15 * 60),
};

/// The tag on a machine that says when its agent was first ready in this boot.
const READY_TAG: &str = "lightsout:ready";

/// The tag on a scale set that holds the scaler's floor: idle agents leave only while the capacity is above it.
const FLOOR_TAG: &str = "lightsout:floor";

#[cfg(test)]
mod tests;
