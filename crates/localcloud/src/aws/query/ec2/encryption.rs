//! What the account says of the encryption of volumes. There are no volumes here: it is kept and told.

use crate::{
    aws::model::Cloud,
    aws::query::{error::CallResult, form::Form, xml::Xml},
};

/// `EnableEbsEncryptionByDefault` and `DisableEbsEncryptionByDefault`.
pub(crate) fn switch(cloud: &mut Cloud, on: bool) -> Xml {
    cloud.inventory.encrypts_volumes = on;
    by_default(cloud)
}

/// `GetEbsEncryptionByDefault`.
pub(crate) fn by_default(cloud: &Cloud) -> Xml {
    let mut xml = Xml::default();
    xml.text("ebsEncryptionByDefault", cloud.inventory.encrypts_volumes);
    xml
}

/// `ModifyEbsDefaultKmsKeyId`. Whether there is such a key is not asked.
pub(crate) fn set_key(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    cloud.inventory.key_of_volumes = Some(form.need("KmsKeyId")?.to_owned());
    Ok(Some(key(cloud)))
}

/// `ResetEbsDefaultKmsKeyId`.
pub(crate) fn reset_key(cloud: &mut Cloud) -> Xml {
    cloud.inventory.key_of_volumes = None;
    key(cloud)
}

/// `GetEbsDefaultKmsKeyId`.
pub(crate) fn key(cloud: &Cloud) -> Xml {
    let mut xml = Xml::default();
    xml.text("kmsKeyId", cloud.inventory.key_of_volumes.as_deref().unwrap_or("alias/aws/ebs"));
    xml
}
