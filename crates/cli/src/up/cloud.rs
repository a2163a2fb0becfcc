//! The vendor whose cloud a fleet is on, and what differs between them for `up`.

use lightsout_localcloud::{AzureOptions, azure};

use super::{fleet::GROUP, toml::quoted};

/// The vendor of the embedded cloud that the fleet uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CloudKind {
    /// An Auto Scaling group of EC2 instances.
    #[default]
    Aws,
    /// A Flexible scale set of Azure's virtual machines.
    Azure,
}

/// The resource group of the fleet's scale set.
pub(super) const RESOURCE_GROUP: &str = "lightsout";

impl CloudKind {
    /// Which group the scaler raises, and within which bounds, as lines of its settings.
    pub(super) fn scaler_settings(self, min: u32, max: u32) -> String {
        match self {
            Self::Aws => format!("group = \"{GROUP}\"\n"),
            // A scale set has no bounds of its own.
            Self::Azure => format!("name = \"{GROUP}\"\ngroup = {}\nmin = {min}\nmax = {max}\n", quoted(&scale_set())),
        }
    }

    /// Settings that say where secrets are, with this cloud's store in the place of AWS's.
    pub(super) fn secrets<'a>(self, settings: &str, url: &str, names: impl Iterator<Item = &'a str>) -> String {
        match self {
            Self::Aws => settings.to_owned(),
            Self::Azure => names.fold(settings.to_owned(), |settings, name| {
                let here = format!("{{ keyvault = \"{url}/secrets/{}\" }}", azure::vault_name(name));
                settings.replace(&format!("{{ ssm = \"{name}\" }}"), &here)
            }),
        }
    }
}

/// The resource id of the fleet's scale set.
pub(super) fn scale_set() -> String {
    let subscription = AzureOptions::default().subscription;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/{GROUP}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_the_store_of_the_cloud() {
        let settings = "token = { ssm = \"/ci/a-token\" }\nother = { ssm = \"/ci/b\" }\n";
        let names = || ["/ci/a-token"].into_iter();
        assert_eq!(CloudKind::Aws.secrets(settings, "http://127.0.0.1:1", names()), settings);
        assert_eq!(
            CloudKind::Azure.secrets(settings, "http://127.0.0.1:1", names()),
            "token = { keyvault = \"http://127.0.0.1:1/secrets/ci-a-token\" }\nother = { ssm = \"/ci/b\" }\n"
        );
    }
}
