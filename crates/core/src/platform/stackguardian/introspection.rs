//! The activity that the ECS agent's introspection shows.

use std::collections::BTreeSet;

use secrecy::SecretString;

use crate::{
    activity::{Activity, JobId},
    exchange::{Call, Effect, EffectResult, ExchangeError, Request},
    platform::answer::{self, Remedies, RequestContext},
    settings::BaseUrl,
};

/// Asks the ECS agent for its tasks; it knows one before its containers run.
pub(super) fn probe(address: &BaseUrl) -> Call<Activity> {
    let none = "check that this is the address of the ECS agent's introspection";
    let context = RequestContext {
        platform: format!("the ECS agent at {address}"),
        what: "tell its tasks".to_owned(),
        remedies: Remedies { unauthorized: none, forbidden: none, not_found: none },
        secret: SecretString::default(),
    };
    let url = format!("{address}/v1/tasks");
    answer::once(Effect::Http(Request::get(url).header("accept", "application/json")), move |result| {
        Ok(tasks(&context, result).unwrap_or_else(|error| Activity::Unknown(error.message)))
    })
}

fn tasks(context: &RequestContext, result: EffectResult) -> Result<Activity, ExchangeError> {
    let reply = context.reply(result)?;
    if reply.status != 200 {
        return Err(context.refusal(&reply));
    }
    let document = context.json(&reply)?;
    let mut jobs = BTreeSet::new();
    for task in document.root().key("Tasks")?.list()? {
        // Stopped tasks stay listed until they are cleaned up (Amazon ECS, agent introspection).
        if task.key("KnownStatus")?.text()? != "STOPPED" {
            jobs.insert(JobId(task.key("Arn")?.text()?.to_owned()));
        }
    }
    Ok(if jobs.is_empty() { Activity::Quiet } else { Activity::Busy(jobs) })
}
