//! STS: who is calling.

use super::{
    error::{AwsError, CallResult},
    form::Service,
    xml::Xml,
};
use crate::aws::model::Cloud;

pub(crate) fn call(cloud: &Cloud, action: &str, caller: Option<&str>) -> CallResult {
    if action != "GetCallerIdentity" {
        return Err(AwsError::unknown_action(action, Service::Sts.version()));
    }
    let account = &cloud.options().account;
    let (user, arn) = match caller {
        Some(id) => {
            let profile = cloud.instance(id).and_then(|instance| instance.profile.as_deref()).unwrap_or("instance");
            (format!("AROALOCALCLOUD:{id}"), format!("arn:aws:sts::{account}:assumed-role/{profile}/{id}"))
        }
        None => ("AIDALOCALCLOUD".to_owned(), format!("arn:aws:iam::{account}:user/localcloud")),
    };
    let mut xml = Xml::default();
    xml.text("Arn", arn);
    xml.text("UserId", user);
    xml.text("Account", account);
    Ok(Some(xml))
}
