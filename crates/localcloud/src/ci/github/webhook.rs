//! The webhook `workflow_job`.

use serde_json::json;

use super::GitHub;
use crate::{
    ci::jobs::{News, What},
    ci::{Floor, Hook, Webhook, webhook::delivery},
};

impl GitHub {
    pub(super) fn workflow_job(&self, news: &News, floor: &Floor, to: &Webhook) -> Option<Hook> {
        let job = floor.jobs.get(news.job)?;
        let action = match news.what {
            What::Queued => "queued",
            What::Picked => "in_progress",
            What::Ended(_) => "completed",
        };
        let document = json!({
            "action": action,
            "workflow_job": self.show_job(job, floor),
            "repository": {"id": 1, "name": self.options.repository, "full_name": self.full_name()},
            "organization": {"id": 1, "login": self.options.organization},
            "sender": {"id": 1, "login": "lightsout"},
        });
        let hook = Hook::new(to, &document);
        let signature = format!("sha256={}", hook.signature(&to.secret, ""));
        Some(
            hook.header("user-agent", "GitHub-Hookshot/lightsout")
                .header("x-github-event", "workflow_job")
                .header("x-github-delivery", delivery(job.id, action, news.at))
                .header("x-github-hook-id", "1")
                .header("x-hub-signature-256", signature),
        )
    }
}
