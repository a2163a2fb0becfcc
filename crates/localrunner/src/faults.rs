//! What the vendors' own runners do at the worst moment, done on request: the embedded cloud is asked, at that moment,
//! whether this runner is to do it, so that a test can switch it on, narrow it, and see that it happened.

use std::{os::unix::process::CommandExt, process::Stdio, time::Duration};

use hyper::Method;
use lightsout_localcloud::{FaultEffect, RunnerFault, RunnerFaultHit};

use crate::{http::Http, machine};

/// Whom to ask.
#[derive(Debug)]
pub(crate) struct Faults {
    http: Http,
    url: String,
}

/// The variable by which the agent finds its runner again.
const RUNNER_ENV: &str = "LIGHTSOUT_RUNNER";
/// Says that the environment is replaced already.
const REPLACED_ENV: &str = "LIGHTSOUT_ENVIRONMENT_REPLACED";
/// What comes of a request whose answer is lost.
pub(crate) const LOST: &str = "the answer was lost";
/// How long a process that a job leaves behind lives.
const CHILD_SECONDS: &str = "600";

impl Faults {
    /// Those of the embedded cloud at this address. Anything else that answers there has none.
    pub(crate) fn at(url: &str) -> Self {
        let url = format!("{}/_lightsout/faults/runner", url.trim_end_matches('/'));
        Self { http: Http::new(Duration::from_secs(2)), url }
    }

    /// Whether this runner has the fault now.
    pub(crate) async fn hit(&self, effect: FaultEffect) -> bool {
        let question = RunnerFault { effect, instance: machine::instance_id() };
        let Ok(body) = serde_json::to_value(&question) else { return false };
        let Ok(reply) = self.http.json(Method::POST, &self.url, &body).await else { return false };
        let hit = serde_json::from_slice(&reply.body).is_ok_and(|RunnerFaultHit { hit }| hit);
        if hit {
            println!("fault: {}", body["effect"]);
        }
        hit
    }

    /// Becomes the same program with another environment, when it has that fault; then it does not return.
    pub(crate) async fn on_start(&self) {
        if std::env::var_os(REPLACED_ENV).is_some() || !self.hit(FaultEffect::RewriteEnvironment).await {
            return;
        }
        let mut args = std::env::args_os();
        let (Ok(program), Some(name)) = (std::env::current_exe(), args.next()) else { return };
        let mut same = std::process::Command::new(program);
        let error = same.arg0(name).args(args).env_remove(RUNNER_ENV).env(REPLACED_ENV, "1").exec();
        eprintln!("the environment stays as it is: {error}");
    }

    /// Leaves a process behind, when it has that fault. No shell waits for it, so that it is nobody's child.
    pub(crate) async fn on_job_end(&self) {
        if !self.hit(FaultEffect::LeaveChild).await {
            return;
        }
        let line = format!("setsid sleep {CHILD_SECONDS} &");
        let mut shell = tokio::process::Command::new("sh");
        let shell = shell.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = shell.status().await {
            eprintln!("no process is left behind: {error}");
        }
    }
}
