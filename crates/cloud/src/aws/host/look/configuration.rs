//! What new instances of a group start from that is no launch template yet: a launch configuration.

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types::{LaunchTemplateBlockDeviceMapping, LaunchTemplateEbsBlockDevice};
use lightsout_core::doctor::facts::TemplateFacts;

use super::{
    super::Calls,
    template::{Start, profile, secrets},
};
use crate::aws::{AwsError, AwsErrorKind};

impl Calls {
    /// What it says.
    pub(super) async fn configuration(&self, name: &str) -> Result<Start, AwsError> {
        const ACTION: &str = "autoscaling:DescribeLaunchConfigurations";
        let call = self.autoscaling().await.describe_launch_configurations().launch_configuration_names(name);
        let found = call.send().await.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        found.launch_configurations().first().map(read).ok_or_else(|| {
            let message = format!("there is no launch configuration {name}, of which the group's instances start");
            AwsError::without_code(AwsErrorKind::NotFound, ACTION, message)
        })
    }
}

/// It has no word for what a power-off does, nor for tags in metadata (EC2 Auto Scaling API reference, `LaunchConfiguration`).
fn read(it: &scaling::LaunchConfiguration) -> Start {
    let metadata = it.metadata_options();
    let named = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    Start {
        image: named(it.image_id()),
        kind: named(it.instance_type()),
        spot: it.spot_price().is_some(),
        devices: it.block_device_mappings().iter().map(device).collect(),
        facts: TemplateFacts {
            name: format!("launch configuration {}", it.launch_configuration_name().unwrap_or_default()),
            power_off_ends: None,
            tokens_required: metadata.and_then(scaling::InstanceMetadataOptions::http_tokens)
                == Some(&scaling::InstanceMetadataHttpTokensState::Required),
            hop_limit: metadata
                .and_then(scaling::InstanceMetadataOptions::http_put_response_hop_limit)
                .and_then(|limit| u32::try_from(limit).ok()),
            tags_told: None,
            secrets: Some(secrets(it.user_data())),
            profile: named(it.iam_instance_profile()).map(|name| profile(&name)),
        },
    }
}

/// As a template would say it: a configuration names no key, and the account's default is taken.
fn device(of: &scaling::BlockDeviceMapping) -> LaunchTemplateBlockDeviceMapping {
    let ebs = of.ebs().map(|ebs| {
        let volume = LaunchTemplateEbsBlockDevice::builder().set_encrypted(ebs.encrypted());
        volume.set_snapshot_id(ebs.snapshot_id.clone()).build()
    });
    LaunchTemplateBlockDeviceMapping::builder().set_device_name(of.device_name.clone()).set_ebs(ebs).build()
}
