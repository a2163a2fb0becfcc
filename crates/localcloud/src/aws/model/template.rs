//! Launch templates and their versions.

use std::collections::BTreeMap;

use super::{MetadataOptions, Timestamp};

/// A launch template with all its versions, oldest first.
#[derive(Clone, Debug)]
pub struct LaunchTemplate {
    /// `lt-` and 17 hexadecimal digits.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The version that `$Default` means.
    pub default_version: u64,
    /// Version 1 comes first; never empty.
    pub versions: Vec<TemplateVersion>,
    /// Tags of the template itself.
    pub tags: BTreeMap<String, String>,
}

impl LaunchTemplate {
    /// The newest version number.
    pub fn latest(&self) -> u64 {
        self.versions.last().map_or(1, |version| version.number)
    }

    /// The version that `$Default`, `$Latest` or a number means.
    pub fn version(&self, wanted: &str) -> Option<&TemplateVersion> {
        let number = match wanted {
            "$Default" | "" => self.default_version,
            "$Latest" => self.latest(),
            number => number.parse().ok()?,
        };
        self.versions.iter().find(|version| version.number == number)
    }
}

/// One version of a launch template.
#[derive(Clone, Debug)]
pub struct TemplateVersion {
    /// Counted from 1.
    pub number: u64,
    /// Free text.
    pub description: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// What it says.
    pub data: TemplateData,
}

/// The part of `LaunchTemplateData` that this model acts on or gives back.
#[derive(Clone, Debug, Default)]
pub struct TemplateData {
    /// AMI id.
    pub image: Option<String>,
    /// Such as `m7i.large`.
    pub instance_type: Option<String>,
    /// User data, base64 as it came.
    pub user_data: Option<String>,
    /// What an operating system shutdown does; EC2's default is `stop`.
    pub shutdown: Option<ShutdownBehavior>,
    /// The metadata service.
    pub metadata: Option<MetadataOptions>,
    /// Instance profile, by name.
    pub profile_name: Option<String>,
    /// Instance profile, by ARN.
    pub profile_arn: Option<String>,
    /// Key pair name.
    pub key_name: Option<String>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Whether `InstanceMarketOptions.MarketType` is `spot`.
    pub spot: bool,
    pub volumes: Vec<TemplateVolume>,
    /// Tags for each resource type, such as `instance` and `volume`.
    pub tags: Vec<(String, BTreeMap<String, String>)>,
}

impl TemplateData {
    /// What this version says, and what `source` says where this one is silent.
    pub(crate) fn or(self, source: Self) -> Self {
        let own_profile = self.profile().is_some();
        Self {
            image: self.image.or(source.image),
            instance_type: self.instance_type.or(source.instance_type),
            user_data: self.user_data.or(source.user_data),
            shutdown: self.shutdown.or(source.shutdown),
            metadata: self.metadata.or(source.metadata),
            profile_name: self.profile_name.or(source.profile_name.filter(|_| !own_profile)),
            profile_arn: self.profile_arn.or(source.profile_arn.filter(|_| !own_profile)),
            key_name: self.key_name.or(source.key_name),
            security_groups: if self.security_groups.is_empty() {
                source.security_groups
            } else {
                self.security_groups
            },
            spot: self.spot || source.spot,
            volumes: if self.volumes.is_empty() { source.volumes } else { self.volumes },
            tags: if self.tags.is_empty() { source.tags } else { self.tags },
        }
    }

    /// The name of the instance profile, if there is one.
    pub fn profile(&self) -> Option<&str> {
        let from_arn = || self.profile_arn.as_deref().and_then(|arn| arn.rsplit('/').next());
        self.profile_name.as_deref().or_else(from_arn)
    }
}

/// A block device mapping of a volume, as far as it tells how that is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateVolume {
    /// Such as `/dev/xvda`.
    pub device: String,
    /// Whether it says that the volume is encrypted.
    pub encrypted: Option<bool>,
    pub key: Option<String>,
}

/// `InstanceInitiatedShutdownBehavior`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShutdownBehavior {
    /// The machine can be started again; EC2's default.
    #[default]
    Stop,
    /// The machine is gone.
    Terminate,
}

impl ShutdownBehavior {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}
