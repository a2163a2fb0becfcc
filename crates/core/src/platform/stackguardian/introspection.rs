use std::collections::BTreeSet;

use secrecy::SecretString;

use super::base;
use crate::{
    activity::{Activity, JobId},
    platform::{
        PlatformError, Talk,
        answer::{self, Asked, Remedies},
    },
    wire::{Ask, Request, Told},
};

/// Asks the ECS agent for its tasks; it knows one before its containers run.
pub(super) fn probe(address: &str) -> Talk<Activity> {
    let none = "check that this is the address of the ECS agent's introspection";
    let asked = Asked {
        platform: format!("the ECS agent at {}", base(address)),
        what: "tell its tasks".to_owned(),
        remedies: Remedies { unauthorized: none, forbidden: none, not_found: none },
        secret: SecretString::default(),
    };
    let url = format!("{}/v1/tasks", base(address));
    answer::once(Ask::Http(Request::get(url).header("accept", "application/json")), move |told| {
        Ok(tasks(&asked, told).unwrap_or_else(|error| Activity::Unknown(error.message)))
    })
}

fn tasks(asked: &Asked, told: Told) -> Result<Activity, PlatformError> {
    let reply = asked.reply(told)?;
    if reply.status != 200 {
        return Err(asked.refusal(&reply));
    }
    let document = asked.json(&reply)?;
    let mut jobs = BTreeSet::new();
    for task in document.root().key("Tasks")?.list()? {
        // Stopped tasks stay listed until they are cleaned up (Amazon ECS, agent introspection).
        if task.key("KnownStatus")?.text()? != "STOPPED" {
            jobs.insert(JobId(task.key("Arn")?.text()?.to_owned()));
        }
    }
    Ok(if jobs.is_empty() { Activity::Quiet } else { Activity::Busy(jobs) })
}
