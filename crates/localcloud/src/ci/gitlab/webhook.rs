//! The webhook `Job Hook`, which carries the secret itself.

use super::GitLab;
use crate::{
    ci::{
        contract::CiState,
        jobs::JobEvent,
        webhook::{Webhook, WebhookDelivery, delivery_id},
    },
    time::Timestamp,
};

impl GitLab {
    pub(super) fn job_hook(&self, event: &JobEvent, state: &CiState, to: &Webhook) -> Option<WebhookDelivery> {
        let job = state.jobs.get(event.job)?;
        let id = delivery_id(job.id, "job", event.at);
        let delivery = WebhookDelivery::new(to, &job.event(self));
        Some(
            delivery
                .header("user-agent", "GitLab/18.0.0")
                .header("x-gitlab-event", "Job Hook")
                .header("x-gitlab-event-uuid", id.clone())
                .header("x-gitlab-webhook-uuid", delivery_id(0, &to.url, Timestamp(0)))
                .header("idempotency-key", id)
                .header("x-gitlab-instance", state.url.clone())
                .header("x-gitlab-token", to.secret.clone()),
        )
    }
}
