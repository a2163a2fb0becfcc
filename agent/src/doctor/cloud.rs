//! Facts for `doctor` that the instance's cloud gives: who it is, its group, its rights.

use std::time::Duration;

use lightsout_cloud::{DIAGNOSES, HostSettings, INSTANCE_PROVIDERS, Identity, Secrets, find_cloud};
use lightsout_core::{
    doctor::{
        Facts,
        facts::{CloudFacts, MetadataFacts, Names},
    },
    duration::not_within,
};

use crate::settings::{self, Tags};

/// How long metadata may take to say who this instance is: the machine is up, so at once.
const IDENTITY: Duration = Duration::from_secs(5);
/// How long they may take to tell the tags.
const TAGS: Duration = Duration::from_secs(3);
/// How long everything else may take: some twenty calls, of which many go at the same time.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// The instance's tags that hold settings. Without metadata there are none, and that is a finding of its own.
pub(crate) async fn tags(program: &[String]) -> Tags {
    match find_cloud(program, TAGS).await {
        Ok((_, notices)) => settings::tags(&*notices, TAGS).await.unwrap_or_default(),
        Err(_) => Tags::new(),
    }
}

/// Asks it, and says where secrets are to be had.
pub(crate) async fn look(facts: &mut Facts) -> (Option<Identity>, Box<dyn Secrets>) {
    let lost = |why: String| {
        let metadata = MetadataFacts { identity: Some(Err(why)), ..MetadataFacts::default() };
        (Some(CloudFacts { metadata, ..CloudFacts::default() }), None)
    };
    // Where nothing says which cloud it is, its secrets are looked for in the first one's stores.
    let mut place = 0;
    let settings = facts.settings.settings.as_ref().map(HostSettings::of).unwrap_or_default();
    let found = match find_cloud(&settings.program, IDENTITY).await {
        Ok((found, notices)) => {
            place = found;
            match notices.identity(IDENTITY).await {
                Ok(identity) => Ok(((DIAGNOSES[place].metadata)().await, identity)),
                Err(error) => Err(error.to_string()),
            }
        }
        Err(error) => Err(error.to_string()),
    };
    let (provider, diagnosis) = (INSTANCE_PROVIDERS[place], DIAGNOSES[place]);
    let (cloud, identity) = match found {
        Err(why) => lost(why),
        Ok((metadata, identity)) => {
            let looking = (diagnosis.instance)(identity.clone(), settings);
            let seen = within(LOOK_TIMEOUT, looking).await;
            facts.names = Names {
                instance: Some(identity.instance.clone()),
                group: seen.group_name.clone().or_else(|| identity.group.clone()),
                location: Some(identity.location.clone()),
            };
            let who = format!("{} in {}", identity.instance, identity.location);
            let metadata = MetadataFacts { identity: Some(Ok(who)), ..metadata };
            (Some(CloudFacts { metadata, ..seen }), Some(identity))
        }
    };
    facts.cloud = cloud;
    let secrets = (provider.provider.secrets)(identity.as_ref().map(|identity| identity.location.clone()));
    (identity, secrets)
}

/// What the cloud tells in this time. Silence is a finding, or an instance of which nothing is known would pass.
async fn within(limit: Duration, looking: impl Future<Output = CloudFacts>) -> CloudFacts {
    tokio::time::timeout(limit, looking).await.unwrap_or_else(|_| {
        let why = not_within("the cloud did not answer all that was asked", limit, "check the network, and ask again");
        CloudFacts { group: Some(Err(why)), ..CloudFacts::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cloud_that_is_silent_is_a_finding() {
        let seen = within(Duration::from_millis(10), std::future::pending()).await;
        assert!(seen.group.unwrap().unwrap_err().contains("did not answer all that was asked within 10ms; check"));
    }
}
