//! The keys with which volumes of new instances are encrypted, and what Auto Scaling's own role may do with them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types as ec2;
use lightsout_core::doctor::facts::{Fact, KeyFacts};
use serde_json::{Value, json};

use super::{super::Calls, said};
use crate::aws::{
    AwsError, AwsErrorKind,
    request::{Call, Service, element},
};

const EC2: &str = "2016-11-15";
/// Pages of grants that are read, of a hundred each: a key has 50,000 at most.
const MOST_PAGES: usize = 20;

/// A volume that new instances get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    /// The key that the launch template names.
    key: Option<String>,
    /// The snapshot from which it is made, where that may be encrypted.
    snapshot: Option<String>,
    /// Whether template or image say that it is encrypted; else the account decides.
    encrypted: bool,
}

/// The volumes of an image, changed and added to as the launch template says (EC2 User Guide, "Block device mappings").
pub(super) fn volumes(
    image: &[ec2::BlockDeviceMapping],
    template: &[ec2::LaunchTemplateBlockDeviceMapping],
) -> Vec<Volume> {
    let mut volumes: BTreeMap<&str, Volume> = BTreeMap::new();
    for device in image {
        let Some((name, ebs)) = device.device_name().zip(device.ebs()) else { continue };
        let encrypted = ebs.encrypted().unwrap_or_default();
        // Another's snapshot cannot be seen, as those of the vendors' images, which are not encrypted.
        let volume = Volume { key: None, snapshot: ebs.snapshot_id.clone().filter(|_| encrypted), encrypted };
        volumes.insert(name, volume);
    }
    for device in template {
        let Some(name) = device.device_name() else { continue };
        let Some(ebs) = device.ebs() else {
            volumes.remove(name);
            continue;
        };
        let volume = volumes.entry(name).or_default();
        volume.key.clone_from(&ebs.kms_key_id);
        volume.encrypted |= ebs.encrypted().unwrap_or_default();
        if let Some(snapshot) = &ebs.snapshot_id {
            volume.snapshot = Some(snapshot.clone());
        }
    }
    // Each machine has a root volume, told or not.
    if volumes.is_empty() { vec![Volume::default()] } else { volumes.into_values().collect() }
}

impl Calls {
    /// The keys of these volumes, each with the template and the image that it is of, and what this role may do with them.
    pub(super) async fn keys(
        &self,
        volumes: &[(String, String, Volume)],
        role: &str,
    ) -> Result<Vec<KeyFacts>, AwsError> {
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        let mut by_default = None;
        for (template, image, volume) in volumes {
            let mut encrypted = volume.encrypted;
            if let Some(key) = &volume.key {
                named.entry(key.clone()).or_insert_with(|| format!("the launch template {template}"));
            }
            if let Some(snapshot) = &volume.snapshot {
                // It is read with its own key, also where the volume gets another: from one that another account shares, this account's default (EBS User
                // Guide, "Amazon EBS encryption").
                if let Some((key, owner)) = self.key_of_snapshot(snapshot).await? {
                    named.entry(key).or_insert_with(|| format!("the image {image}"));
                    encrypted = true;
                    let own = owner.is_none() || role.split(':').nth(4) == owner.as_deref();
                    if own {
                        continue;
                    }
                }
            }
            if volume.key.is_some() {
                continue;
            }
            if !encrypted {
                encrypted = match by_default {
                    Some(by_default) => by_default,
                    None => *by_default.insert(self.encrypts_by_default().await?),
                };
            }
            if encrypted {
                named.entry(self.default_key().await?).or_insert_with(|| "the account's default".to_owned());
            }
        }
        let mut keys = Vec::new();
        for (key, by) in named {
            keys.push(self.key(key, by, role).await?);
        }
        Ok(keys)
    }

    /// `None`: it is not encrypted.
    /// The key of an encrypted snapshot, and the account whose it is.
    async fn key_of_snapshot(&self, id: &str) -> Result<Option<(String, Option<String>)>, AwsError> {
        let fields = [("SnapshotId.1".to_owned(), id)];
        let answer = self.ask_ec2("ec2:DescribeSnapshots", fields).await?;
        let key = element(&answer, "kmsKeyId").filter(|_| element(&answer, "encrypted").as_deref() == Some("true"));
        Ok(key.map(|key| (key, element(&answer, "ownerId"))))
    }

    async fn encrypts_by_default(&self) -> Result<bool, AwsError> {
        let answer = self.ask_ec2("ec2:GetEbsEncryptionByDefault", []).await?;
        Ok(element(&answer, "ebsEncryptionByDefault").as_deref() == Some("true"))
    }

    async fn default_key(&self) -> Result<String, AwsError> {
        const ACTION: &str = "ec2:GetEbsDefaultKmsKeyId";
        let answer = self.ask_ec2(ACTION, []).await?;
        element(&answer, "kmsKeyId")
            .ok_or_else(|| AwsError::without_code(AwsErrorKind::Other, ACTION, "the answer names no key".to_owned()))
    }

    async fn ask_ec2<const N: usize>(
        &self,
        action: &'static str,
        fields: [(String, &str); N],
    ) -> Result<String, AwsError> {
        let answer = Call::query(action, Service::EC2, EC2, fields).send(self.aws()).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn key(&self, named: String, by: String, role: &str) -> Result<KeyFacts, AwsError> {
        let missing = |why: &str| KeyFacts {
            key: named.clone(),
            by: by.clone(),
            of_cloud: false,
            unusable: Some(why.to_owned()),
            role: role.to_owned(),
            granted: Ok(BTreeSet::new()),
            policy: Ok(String::new()),
        };
        let found = match self.ask_kms("kms:DescribeKey", json!({ "KeyId": named })).await {
            Ok(found) => found,
            Err(error) if error.kind == AwsErrorKind::NotFound => return Ok(missing("there is no such key")),
            Err(error) => return Err(error),
        };
        let metadata = &found["KeyMetadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let of_cloud = text("KeyManager") == "AWS";
        let (key, state) = (text("Arn"), text("KeyState"));
        let (granted, policy) = if of_cloud {
            (Ok(BTreeSet::new()), Ok(String::new()))
        } else {
            (said(self.granted(&key, role).await), said(self.policy_of(&key).await))
        };
        let unusable = (state != "Enabled").then(|| format!("its state is {state}"));
        Ok(KeyFacts { key, by, of_cloud, unusable, role: role.to_owned(), granted, policy })
    }

    /// The operations that grants give the role, whatever is encrypted.
    async fn granted(&self, key: &str, role: &str) -> Result<BTreeSet<String>, AwsError> {
        let mut granted = BTreeSet::new();
        let mut marker = Value::Null;
        for _ in 0..MOST_PAGES {
            let mut body = json!({ "KeyId": key, "GranteePrincipal": role, "Limit": 100 });
            if let Some(marker) = marker.as_str() {
                body["Marker"] = marker.into();
            }
            let page = self.ask_kms("kms:ListGrants", body).await?;
            let grants = page["Grants"].as_array().into_iter().flatten();
            // One with constraints is for a certain volume.
            for grant in grants.filter(|grant| grant["Constraints"].as_object().is_none_or(serde_json::Map::is_empty)) {
                let operations = grant["Operations"].as_array().into_iter().flatten().filter_map(Value::as_str);
                granted.extend(operations.map(str::to_owned));
            }
            marker = page["NextMarker"].clone();
            if page["Truncated"] != true {
                break;
            }
        }
        Ok(granted)
    }

    async fn policy_of(&self, key: &str) -> Result<String, AwsError> {
        let found = self.ask_kms("kms:GetKeyPolicy", json!({ "KeyId": key, "PolicyName": "default" })).await?;
        Ok(found["Policy"].as_str().unwrap_or_default().to_owned())
    }

    async fn ask_kms(&self, action: &'static str, body: Value) -> Result<Value, AwsError> {
        let target = format!("TrentService.{}", action.trim_start_matches("kms:"));
        let answer = Call::json(action, Service::KMS, &target, &body).send(self.aws()).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| AwsError::without_code(AwsErrorKind::Other, action, error.to_string()))
    }
}

/// What of a group's keys can be told.
pub(super) fn told(keys: Result<Vec<KeyFacts>, AwsError>) -> Option<Fact<Vec<KeyFacts>>> {
    Some(said(keys)).filter(|keys| keys.as_ref().is_err() || keys.as_ref().is_ok_and(|keys| !keys.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_changes_an_images_volumes_and_adds_its_own() {
        let of_image = |name: &str, snapshot: &str, encrypted| {
            let ebs = ec2::EbsBlockDevice::builder().snapshot_id(snapshot).encrypted(encrypted).build();
            ec2::BlockDeviceMapping::builder().device_name(name).ebs(ebs).build()
        };
        let of_template = |name: &str, key: Option<&str>, encrypted: Option<bool>| {
            let ebs = ec2::LaunchTemplateEbsBlockDevice::builder()
                .set_kms_key_id(key.map(str::to_owned))
                .set_encrypted(encrypted)
                .build();
            ec2::LaunchTemplateBlockDeviceMapping::builder().device_name(name).ebs(ebs).build()
        };
        let volume = |key: Option<&str>, snapshot: Option<&str>, encrypted| Volume {
            key: key.map(str::to_owned),
            snapshot: snapshot.map(str::to_owned),
            encrypted,
        };
        let image = [of_image("/dev/xvda", "snap-1", false), of_image("/dev/xvdb", "snap-2", true)];
        let gone = ec2::LaunchTemplateBlockDeviceMapping::builder().device_name("/dev/xvdb").no_device("").build();
        let template =
            [of_template("/dev/xvda", Some("key-1"), Some(true)), gone, of_template("/dev/xvdf", None, None)];
        assert_eq!(volumes(&image, &template), [volume(Some("key-1"), None, true), volume(None, None, false)]);
        assert_eq!(volumes(&image, &[])[1], volume(None, Some("snap-2"), true));
        assert_eq!(volumes(&[], &[]), [Volume::default()], "a root volume there is");
    }
}
