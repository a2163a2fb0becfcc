//! The name of an Azure scale set: its resource id.

use std::{fmt, str::FromStr};

/// The resource id of a virtual machine scale set, which says everything about where it is (Azure Resource Manager, "Resource ID"). Its
/// names are compared as Azure does: without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScaleSetId {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group's name.
    pub resource_group: String,
    /// The scale set's own name.
    pub name: String,
}

/// What an id looks like, for messages.
pub const SCALE_SET_EXAMPLE: &str =
    "/subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Compute/virtualMachineScaleSets/NAME";

impl ScaleSetId {
    /// Whether this text is meant as one: the names of AWS's groups begin otherwise.
    pub fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with('/')
    }
}

impl fmt::Display for ScaleSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscription, resource_group, name } = self;
        write!(
            f,
            "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
        )
    }
}

impl FromStr for ScaleSetId {
    /// What is wrong with it.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.trim().trim_end_matches('/').split('/').collect();
        let ["", a, subscription, b, resource_group, c, provider, kind, name] = parts[..] else {
            return Err("is no resource id of a scale set".into());
        };
        let fixed = [
            (a, "subscriptions"),
            (b, "resourceGroups"),
            (c, "providers"),
            (provider, "Microsoft.Compute"),
            (kind, "virtualMachineScaleSets"),
        ];
        if let Some((found, wanted)) = fixed.into_iter().find(|(found, wanted)| !found.eq_ignore_ascii_case(wanted)) {
            return Err(format!("is no resource id of a scale set: it has {found:?} where {wanted} belongs"));
        }
        for part in [subscription, resource_group, name] {
            // What Azure allows in these names (Azure, "Naming rules and restrictions for Azure resources"); nothing of it needs to be escaped
            // in a URL but letters of other scripts, which only resource groups may have.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.()".contains(&byte);
            if part.is_empty() || !part.bytes().all(plain) {
                return Err(format!("is no resource id of a scale set: {part:?} is no name"));
            }
        }
        let [subscription, resource_group, name] = [subscription, resource_group, name].map(str::to_owned);
        Ok(Self { subscription, resource_group, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets/runners";

    #[test]
    fn is_read_in_any_case_and_written_as_azure_does() {
        let id: ScaleSetId = ID.parse().unwrap();
        assert_eq!((id.resource_group.as_str(), id.name.as_str()), ("ci", "runners"));
        assert_eq!(id.to_string(), ID);
        assert_eq!(ID.to_ascii_lowercase().parse::<ScaleSetId>().unwrap().to_string(), ID);
        assert_eq!(format!(" {ID}/ ").parse::<ScaleSetId>().unwrap(), id);
    }

    #[test]
    fn what_is_none_is_refused_with_the_part_that_is_wrong() {
        for (text, said) in [
            ("", "no resource id"),
            ("runners", "no resource id"),
            ("/subscriptions/s/resourceGroups/ci", "no resource id"),
            (
                &ID.replace("virtualMachineScaleSets", "virtualMachines"),
                "\"virtualMachines\" where virtualMachineScaleSets",
            ),
            (&ID.replace("resourceGroups", "resourcegroup"), "where resourceGroups belongs"),
            (&ID.replace("/ci/", "//"), "\"\" is no name"),
            (&ID.replace("/ci/", "/c%2f?/"), "is no name"),
            (&format!("{ID}/virtualMachines/3"), "no resource id"),
        ] {
            assert!(text.parse::<ScaleSetId>().unwrap_err().contains(said), "{text}");
        }
    }
}
