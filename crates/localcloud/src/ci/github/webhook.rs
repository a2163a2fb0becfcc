//! The webhook `workflow_job`, which is signed.

use serde_json::json;

use super::GitHub;
use crate::{
    ci::contract::CiState,
    ci::jobs::{JobEvent, JobEventKind},
    ci::webhook::{Webhook, WebhookDelivery, delivery_id},
};

impl GitHub {
    pub(super) fn workflow_job(&self, job_event: &JobEvent, state: &CiState, to: &Webhook) -> Option<WebhookDelivery> {
        let job = state.jobs.get(job_event.job)?;
        let action = match job_event.kind {
            JobEventKind::Queued => "queued",
            JobEventKind::Picked => "in_progress",
            JobEventKind::Ended(_) => "completed",
        };
        let document = json!({
            "action": action,
            "workflow_job": self.show_job(job, state),
            "repository": {"id": 1, "name": self.options.repository, "full_name": self.full_name()},
            "organization": {"id": 1, "login": self.options.organization},
            "sender": {"id": 1, "login": "lightsout"},
        });
        let delivery = WebhookDelivery::new(to, &document);
        let signature = format!("sha256={}", delivery.signature(&to.secret, ""));
        Some(
            delivery
                .header("user-agent", "GitHub-Hookshot/lightsout")
                .header("x-github-event", "workflow_job")
                .header("x-github-delivery", delivery_id(job.id, action, job_event.at))
                .header("x-github-hook-id", "1")
                .header("x-hub-signature-256", signature),
        )
    }
}
