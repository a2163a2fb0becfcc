//! A scale set as it is seen from a workstation. It reads, and changes nothing.

pub(super) mod app;
pub(super) mod cli;
mod roles;
mod starting;

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    doctor::facts::{CloudFacts, MemberModels, RoleFacts, ScaleSetFacts},
    settings::{ScaleSetId, SecretSource},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    call,
    client::Azure,
    reply::{self, Autoscale, Member, ScaleSet},
};

/// How many machines are asked at once of which model they are, where their list does not say it.
const AT_ONCE: usize = 8;
/// How many are asked: Azure limits these calls for the whole subscription.
const ASKED: usize = 200;

/// Who machines are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Identified {
    identity: Identities,
}

/// The identities that a scale set gives its machines.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identities {
    principal_id: Option<String>,
    user_assigned_identities: BTreeMap<String, Option<Principal>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Principal {
    principal_id: Option<String>,
}

impl Identities {
    /// Each, by its name, with the principal that has its roles.
    fn each(self) -> Vec<(String, Option<String>)> {
        let own = self.principal_id.map(|principal| ("its own identity".to_owned(), Some(principal)));
        let named = self.user_assigned_identities.into_iter().map(|(id, principal)| {
            let name = id.rsplit('/').next().unwrap_or_default().to_owned();
            (name, principal.and_then(|principal| principal.principal_id))
        });
        own.into_iter().chain(named).collect()
    }
}

/// Everything of a scale set that its agents depend on, and what a pool depends on that may have so many machines; `None`: as many as Azure lets it.
/// The secrets are those that the pool's agents must read, as far as that is known.
pub(super) async fn look(azure: &Azure, name: &str, most: Option<u32>, secrets: &[SecretSource]) -> CloudFacts {
    match read(azure, name).await {
        Ok(Read { set, found, identities, whole }) => {
            let bound = found.view(name, None).ok();
            let most = most.or(bound.as_ref().map(|view| view.max)).unwrap_or_default();
            let room = bound.map(|view| most.saturating_sub(view.desired));
            let (facts, starting) = tokio::join!(
                Box::pin(of_set(azure, &set, &found, (identities.each(), secrets))),
                Box::pin(starting::look(azure, &set.subscription, &whole, most))
            );
            CloudFacts {
                group_name: Some(set.to_string()),
                scale_set: Some(ScaleSetFacts { room, ..facts }),
                next_images: starting.image.into_iter().collect(),
                subnets: starting.subnets,
                quotas: starting.quotas,
                not_offered: starting.not_offered,
                ..CloudFacts::default()
            }
        }
        Err(error) if error.kind == CloudErrorKind::NotFound => CloudFacts::default(),
        Err(error) => CloudFacts { group: Some(Err(error.to_string())), ..CloudFacts::default() },
    }
}

/// A scale set as it was read.
struct Read {
    set: ScaleSetId,
    found: ScaleSet,
    identities: Identities,
    whole: Value,
}

async fn read(azure: &Azure, name: &str) -> Result<Read, CloudError> {
    let set = reply::scale_set(name).map_err(other)?;
    let reply = azure.call(call::read(&azure.manager(), &set)).await?;
    let Identified { identity: identities } = reply::parse(&reply).map_err(other)?;
    let (found, whole) = (reply::parse(&reply).map_err(other)?, reply::parse(&reply).map_err(other)?);
    Ok(Read { set, found, identities, whole })
}

async fn of_set(
    azure: &Azure,
    set: &ScaleSetId,
    found: &ScaleSet,
    (identities, secrets): (Vec<(String, Option<String>)>, &[SecretSource]),
) -> ScaleSetFacts {
    let none = "it gives its machines none".to_owned();
    let identity = if identities.is_empty() { Err(none) } else { Ok(()) };
    let (autoscale, members, roles) = tokio::join!(
        autoscale(azure, set),
        members(azure, set),
        roles_of_agents(azure, set, found.is_flexible(), (identities, secrets))
    );
    ScaleSetFacts {
        identity: Some(identity),
        model: Some(Ok(found.model())),
        autoscale: Some(autoscale.map_err(|error| error.to_string())),
        members: Some(members.map_err(|error| error.to_string())),
        roles,
        ..ScaleSetFacts::default()
    }
}

async fn roles_of_agents(
    azure: &Azure,
    set: &ScaleSetId,
    flexible: bool,
    (identities, secrets): (Vec<(String, Option<String>)>, &[SecretSource]),
) -> Vec<RoleFacts> {
    let mut needs = roles::of_agent(set, flexible);
    match roles::of_vaults(azure, &[set.subscription.clone()].into(), secrets).await {
        Ok(more) => {
            needs.extend(more);
            roles::of_each(azure, &needs, identities, false).await
        }
        Err(error) => {
            let unknown =
                |(name, _)| RoleFacts { of_scaler: false, name, by: roles::BY, difference: Err(error.to_string()) };
            identities.into_iter().map(unknown).collect()
        }
    }
}

async fn autoscale(azure: &Azure, set: &ScaleSetId) -> Result<Vec<String>, CloudError> {
    let settings: Vec<Autoscale> = azure.list(call::all_autoscale(&azure.manager(), set)).await?;
    Ok(settings.into_iter().filter(|setting| setting.acts_on(set)).map(|setting| setting.name).collect())
}

/// Of which model the machines are. Of a Flexible scale set the list has their names alone, and each is asked for.
async fn members(azure: &Azure, set: &ScaleSetId) -> Result<MemberModels, CloudError> {
    let manager = azure.manager();
    let listed: Vec<Member> = azure.list(call::members(&manager, set)).await?;
    let mut models = MemberModels::default();
    let mut count = |id: &str, latest: Option<bool>| {
        models.count += 1;
        match latest {
            Some(true) => {}
            Some(false) => models.others.push(id.to_owned()),
            None => models.untold += 1,
        }
    };
    let (told, untold): (Vec<_>, Vec<_>) =
        listed.into_iter().filter(Member::stays).partition(|member| member.has_latest_model().is_some());
    for member in &told {
        count(member.id(), member.has_latest_model());
    }
    let mut asked = Vec::new();
    for member in untold.iter().take(ASKED) {
        asked.push(Box::pin(ask(azure, set, member.id())));
    }
    let mut answers = stream::iter(asked).buffered(AT_ONCE);
    while let Some((id, answer)) = answers.next().await {
        match answer {
            Ok(member) if member.stays() => count(id, member.has_latest_model()),
            // It has gone since.
            Ok(_) => {}
            Err(error) if error.kind == CloudErrorKind::NotFound => {}
            Err(_) => count(id, None),
        }
    }
    drop(answers);
    for member in untold.iter().skip(ASKED) {
        count(member.id(), None);
    }
    Ok(models)
}

async fn ask<'a>(azure: &Azure, set: &ScaleSetId, id: &'a str) -> (&'a str, Result<Member, CloudError>) {
    let reply = azure.call(call::member(&azure.manager(), set, id)).await;
    (id, reply.and_then(|reply| reply::parse(&reply).map_err(other)))
}

fn other(why: String) -> CloudError {
    CloudError::new(CloudErrorKind::Other, why)
}

#[cfg(test)]
mod tests;
