//! A look at what this machine depends on, for a diagnosis. It reads, and changes nothing.

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind, Membership},
    doctor::facts::{CloudFacts, Fact, MetadataFacts, ScaleSetFacts},
    settings::ScaleSetId,
};

use super::AzureHost;
use crate::azure::{
    call,
    metadata::{Machine, Metadata},
    reply::{self, Autoscale, Member, Permission, ScaleSet},
};

/// What an agent does on a scale set (docs/clouds.md).
pub(in crate::azure) const ON_SCALE_SET: [&str; 4] = [
    "Microsoft.Compute/virtualMachineScaleSets/read",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete",
];
/// And on its own machine, where that is a resource by itself.
pub(in crate::azure) const ON_MACHINE: [&str; 2] =
    ["Microsoft.Compute/virtualMachines/delete", "Microsoft.Resources/tags/write"];

/// What metadata say of themselves.
pub(in crate::azure) async fn metadata() -> MetadataFacts {
    let clock_ahead = said(Metadata::from_env().clock_ahead().await).transpose();
    MetadataFacts { clock_ahead, ..MetadataFacts::default() }
}

impl AzureHost {
    /// Looks at all of it.
    pub(in crate::azure) async fn diagnose(&self) -> CloudFacts {
        // Whoever asks has been told by the same service already who this is.
        let Ok(machine) = self.machine().await else { return CloudFacts::default() };
        let Some(set) = machine.scale_set() else {
            let scale_set = ScaleSetFacts { membership: Some(Ok(Membership::Outside)), ..ScaleSetFacts::default() };
            return CloudFacts { scale_set: Some(scale_set), ..CloudFacts::default() };
        };
        let found = self.azure.call(call::read(&self.azure.manager(), &set)).await;
        if let Err(error) = &found
            && error.kind == CloudErrorKind::Credentials
        {
            let scale_set = ScaleSetFacts { identity: Some(Err(error.to_string())), ..ScaleSetFacts::default() };
            return CloudFacts { scale_set: Some(scale_set), ..CloudFacts::default() };
        }
        let model = found.and_then(|reply| reply::parse::<ScaleSet>(&reply).map_err(other)).map(|set| set.model());
        let (membership, latest_model, autoscale, rights) = tokio::join!(
            self.look(),
            self.latest_model(machine, &set),
            self.autoscale(&set),
            self.rights(machine, &set)
        );
        CloudFacts {
            group_name: Some(set.to_string()),
            scale_set: Some(ScaleSetFacts {
                identity: Some(Ok(())),
                membership: Some(said(membership)),
                latest_model: Some(said(latest_model)),
                model: Some(said(model)),
                autoscale: Some(said(autoscale)),
                ..ScaleSetFacts::default()
            }),
            rights,
            ..CloudFacts::default()
        }
    }

    async fn latest_model(&self, machine: &Machine, set: &ScaleSetId) -> Result<Option<bool>, CloudError> {
        let reply = self.azure.call(call::member(&self.azure.manager(), set, machine.member())).await?;
        reply::parse(&reply).map(|member: Member| member.has_latest_model()).map_err(other)
    }

    async fn autoscale(&self, set: &ScaleSetId) -> Result<Vec<String>, CloudError> {
        let settings: Vec<Autoscale> = self.azure.list(call::autoscale(&self.azure.manager(), set)).await?;
        Ok(settings.into_iter().filter(|setting| setting.acts_on(set)).map(|setting| setting.name).collect())
    }

    /// Its rights as Azure lists them: none is tried.
    async fn rights(&self, machine: &Machine, set: &ScaleSetId) -> Vec<(&'static str, Fact<bool>)> {
        let set = set.to_string();
        let of_set = self.allowed(&set, &ON_SCALE_SET);
        if machine.is_flexible() {
            let (mut rights, of_machine) = tokio::join!(of_set, self.allowed(&machine.resource_id, &ON_MACHINE));
            rights.extend(of_machine);
            rights
        } else {
            of_set.await
        }
    }

    async fn allowed(&self, resource: &str, actions: &[&'static str]) -> Vec<(&'static str, Fact<bool>)> {
        let listed: Fact<Vec<Permission>> =
            said(self.azure.list(call::permissions(&self.azure.manager(), resource)).await);
        match listed {
            Ok(listed) => {
                let allows = |action: &str| listed.iter().any(|permission| permission.allows(action));
                actions.iter().map(|action| (*action, Ok(allows(action)))).collect()
            }
            // The reason is the same for each of them.
            Err(why) => actions.iter().take(1).map(|action| (*action, Err(why.clone()))).collect(),
        }
    }
}

fn said<T>(result: Result<T, CloudError>) -> Fact<T> {
    result.map_err(|error| error.to_string())
}

fn other(why: String) -> CloudError {
    CloudError::new(CloudErrorKind::Other, why)
}

#[cfg(test)]
mod tests;
