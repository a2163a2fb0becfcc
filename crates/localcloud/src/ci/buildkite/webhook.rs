//! The webhooks `job.*`, which carry the secret itself or a signature, as one likes.

use serde_json::json;

use super::{Buildkite, job_uuid};
use crate::{
    ci::{
        contract::{CiState, Platform},
        jobs::{JobEvent, JobEventKind},
        webhook::{Webhook, WebhookAuth, WebhookDelivery, delivery_id},
    },
    time::Timestamp,
};

impl Buildkite {
    pub(super) fn job_webhook(
        &self,
        job_event: &JobEvent,
        state: &CiState,
        to: &Webhook,
        now: Timestamp,
    ) -> Option<WebhookDelivery> {
        let job = state.jobs.get(job_event.job)?;
        let event = match job_event.kind {
            JobEventKind::Queued => "job.scheduled",
            JobEventKind::Picked => "job.started",
            JobEventKind::Ended(_) => "job.finished",
        };
        let document = json!({
            "event": event,
            "job": {
                "id": job_uuid(job.id),
                "type": "script",
                "name": job.name(),
                "agent_query_rules": self.tags_of(job),
                "state": match job_event.kind {
                    JobEventKind::Queued => "scheduled",
                    JobEventKind::Picked => "running",
                    JobEventKind::Ended(_) => "finished",
                },
                "created_at": job.queued_at.to_string(),
                "scheduled_at": job.queued_at.to_string(),
                "started_at": job.started_at.map(|at| at.to_string()),
                "finished_at": job.finished_at.map(|at| at.to_string()),
                "cluster_queue_id": null,
            },
            "build": {"number": job.batch, "state": "running"},
            "pipeline": {"slug": "demo", "name": "demo"},
            "sender": {"name": "lightsout"},
        });
        let delivery = WebhookDelivery::new(to, &document)
            .header("user-agent", "Buildkite-Request")
            .header("x-buildkite-event", event)
            .header("x-buildkite-request", delivery_id(job.id, event, job_event.at));
        Some(match to.auth {
            WebhookAuth::Token => delivery.header("x-buildkite-token", to.secret.clone()),
            WebhookAuth::Signature => {
                let timestamp = now.0.div_euclid(1000);
                let signature = delivery.signature(&to.secret, &format!("{timestamp}."));
                delivery.header("x-buildkite-signature", format!("timestamp={timestamp},signature={signature}"))
            }
        })
    }
}
