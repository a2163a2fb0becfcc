//! Runners of all platforms but GitLab, on machines that come and go.

use lightsout_localcloud::{
    PlatformKind,
    ci::{
        KINDS, buildkite, circleci, demo,
        github::{self, GitHubOptions},
        spacelift::{self, SpaceliftOptions},
        stackguardian,
    },
    fleet::{JobState, Snapshot},
};
use serde_json::{Value, json};

use super::support::{Bed, Options, Reply};

const GITHUB: [(&str, &str); 2] = [("authorization", "Bearer ghp_lightsoutlocal"), ("user-agent", "test")];
const STACKGUARDIAN: (&str, &str) = ("authorization", "apikey sgu_lightsoutlocal");
const GROUP: &str = "/api/v1/orgs/lightsout/runnergroups/demo";

/// A fleet of one instance, its runner, and jobs in the queue.
struct Fixture {
    bed: Bed,
    instance: String,
    runner: String,
    /// The platform's own name for the runner.
    name: String,
}

impl Fixture {
    async fn open(platform: PlatformKind, jobs: u32) -> Self {
        let bed = Bed::start(Options { platform, ..Options::default() }).await;
        bed.group("ci", 0, 3, 1).await;
        let instance = bed.in_service("ci", 1).await.remove(0);
        let (token, name) = credentials(&bed, platform, &instance).await;
        let hello = json!({
            "platform": platform, "token": token, "name": name, "instance_id": instance,
            "metadata": {"instance_id": instance}, "slots": 1, "mode": "continuous",
        });
        let connected = bed.control("POST", "runner/connect", &hello).await;
        assert_eq!(connected.status, 200, "{platform}: {}", connected.text());
        let runner = connected.json()["runner"].as_str().expect("an id").to_owned();
        let queued = bed.control("POST", "jobs", &json!({"count": jobs})).await;
        assert_eq!(queued.status, 200, "{platform}: {}", queued.text());
        Self { bed, instance, runner, name }
    }

    async fn claim(&self) -> Reply {
        self.bed.control("POST", &format!("runner/{}/claim", self.runner), &Value::Null).await
    }

    async fn take(&self) -> u64 {
        let claimed = self.claim().await;
        assert_eq!(claimed.status, 200, "{}", claimed.text());
        claimed.json()["job"]["id"].as_u64().expect("an id")
    }

    async fn report(&self, job: u64, state: &str) -> Value {
        let path = format!("runner/{}/jobs/{job}", self.runner);
        self.bed.control("POST", &path, &json!({"state": state})).await.json()
    }

    fn fleet(&self) -> Snapshot {
        self.bed.cloud.snapshot()
    }
}

/// What a runner on this instance connects with: token and name.
async fn credentials(bed: &Bed, platform: PlatformKind, instance: &str) -> (String, String) {
    let secrets = platform.options().demo().secrets();
    let token = secrets.into_iter().find(|(name, _)| *name == demo::RUNNER_TOKEN).expect("runners have a token").1;
    if platform == stackguardian::KIND {
        let registered = bed.call("POST", &format!("{GROUP}/register/"), &[STACKGUARDIAN], "").await.json();
        return (token, registered["data"]["RunnerId"].as_str().expect("an id").to_owned());
    }
    if platform == github::KIND {
        let labels = GitHubOptions::default().job_labels;
        let order = json!({"name": instance, "runner_group_id": 1, "labels": labels}).to_string();
        let target = "/orgs/lightsout/actions/runners/generate-jitconfig";
        let made = bed.call("POST", target, &GITHUB, &order).await.json();
        return (made["encoded_jit_config"].as_str().expect("a blob").to_owned(), instance.to_owned());
    }
    (token, instance.to_owned())
}

/// The platforms whose runners have no open API.
fn private() -> impl Iterator<Item = PlatformKind> {
    KINDS.iter().copied().filter(|kind| !kind.options().demo().takes_genuine_runner())
}

#[tokio::test]
async fn jobs_are_taken_and_lost_alike_on_every_platform() {
    for platform in private() {
        let fixture = Fixture::open(platform, 2).await;
        let job = fixture.take().await;
        let fleet = fixture.fleet();
        assert_eq!((fleet.queue.waiting, fleet.queue.running), (1, 1), "{platform}");
        assert_eq!(fleet.jobs[0].instance.as_deref(), Some(fixture.instance.as_str()), "{platform}");
        assert_eq!(fleet.instances[0].jobs, [job], "{platform}");
        assert!(fleet.counters.platform["POST /runner/:id/claim"] == 1, "{:?}", fleet.counters.platform);
        fixture.bed.machines.switch_off(&fixture.instance);
        fixture.bed.until("the job to be lost", |fleet| fleet.jobs[0].state == JobState::Lost).await;
        fixture.bed.down().await;
    }
}

#[tokio::test]
async fn a_job_that_its_runner_cuts_is_lost_unless_there_was_a_notice() {
    for platform in private() {
        for (notice, expected) in [(false, JobState::Lost), (true, JobState::Interrupted)] {
            let fixture = Fixture::open(platform, 1).await;
            let job = fixture.take().await;
            if notice {
                let order = json!({"in_s": 60});
                let told =
                    fixture.bed.control("POST", &format!("instances/{}/interrupt", fixture.instance), &order).await;
                assert_eq!(told.status, 200, "{}", told.text());
            }
            assert_eq!(fixture.report(job, "canceled").await["state"], json!("failed"), "{platform}");
            assert_eq!(fixture.fleet().jobs[0].state, expected, "{platform}");
            fixture.bed.down().await;
        }
    }
}

#[tokio::test]
async fn spacelift_drains_and_undrains() {
    let fixture = Fixture::open(spacelift::KIND, 1).await;
    let options = SpaceliftOptions::default();
    let login = "mutation($id: ID!, $secret: String!) { apiKeyUser(id: $id, secret: $secret) { jwt } }";
    let login = json!({"query": login, "variables": {"id": options.key_id, "secret": options.key_secret}}).to_string();
    let answer = fixture.bed.call("POST", "/graphql", &[], &login).await.json();
    let bearer = format!("Bearer {}", answer["data"]["apiKeyUser"]["jwt"].as_str().expect("a JWT"));
    let ask = async |query: String| {
        let document = json!({"query": query}).to_string();
        fixture.bed.call("POST", "/graphql", &[("authorization", &bearer)], &document).await.json()["data"].clone()
    };
    let pool = ask(format!("{{ workerPool(id: \"{}\") {{ workers {{ id }} }} }}", options.pool)).await;
    let worker = pool["workerPool"]["workers"][0]["id"].as_str().expect("a worker").to_owned();
    let drain = async |on: bool| {
        let arguments = format!("workerPool: \"{}\", id: \"{worker}\", drain: {on}", options.pool);
        ask(format!("mutation {{ workerDrainSet({arguments}) {{ busy drained }} }}")).await["workerDrainSet"].clone()
    };
    assert_eq!(drain(true).await, json!({"busy": false, "drained": true}));
    assert_eq!(fixture.claim().await.status, 204);
    assert_eq!(drain(false).await, json!({"busy": false, "drained": false}));
    fixture.take().await;
    assert_eq!(drain(true).await, json!({"busy": true, "drained": true}));
    fixture.bed.down().await;
}

#[tokio::test]
async fn stackguardian_drains_and_undrains() {
    let fixture = Fixture::open(stackguardian::KIND, 1).await;
    let set = async |status: &str| {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let body = format!("Status={status}&RunnerId={}", fixture.name);
        fixture.bed.call("POST", &format!("{GROUP}/runner_status/"), &[STACKGUARDIAN, form], &body).await.status
    };
    assert_eq!(set("DRAINING").await, 200);
    assert_eq!(fixture.claim().await.status, 204);
    assert_eq!(set("ACTIVE").await, 200);
    fixture.take().await;
    fixture.bed.down().await;
}

#[tokio::test]
async fn github_removes_an_idle_runner_only() {
    let fixture = Fixture::open(github::KIND, 1).await;
    let job = fixture.take().await;
    let delete = async || {
        let target = format!("/orgs/lightsout/actions/runners/{}", fixture.runner);
        fixture.bed.call("DELETE", &target, &GITHUB, "").await.status
    };
    assert_eq!(delete().await, 422);
    fixture.report(job, "running").await;
    assert_eq!(fixture.report(job, "success").await, json!({"state": "done"}));
    assert_eq!(delete().await, 404);
    assert_eq!(fixture.claim().await.status, 404);
    fixture.bed.down().await;
}

#[tokio::test]
async fn buildkite_pauses_and_stops() {
    let fixture = Fixture::open(buildkite::KIND, 1).await;
    let user = [("authorization", "Bearer bkua_lightsout-local")];
    let listed = fixture.bed.call("GET", "/v2/organizations/lightsout/agents", &user, "").await.json();
    let id = listed[0]["id"].as_str().expect("an agent").to_owned();
    let put = async |what: &str| {
        fixture.bed.call("PUT", &format!("/v2/organizations/lightsout/agents/{id}/{what}"), &user, "{}").await.status
    };
    assert_eq!(put("pause").await, 204);
    assert_eq!(fixture.claim().await.status, 204);
    assert_eq!(put("resume").await, 204);
    fixture.take().await;
    assert_eq!(put("stop").await, 204);
    assert_eq!(fixture.claim().await.status, 409);
    fixture.bed.down().await;
}

#[tokio::test]
async fn faults_hit_platforms_too() {
    let fixture = Fixture::open(circleci::KIND, 2).await;
    let fault = json!({"target": "platform", "action": "runner/tasks", "effect": "throttle", "count": 1});
    assert_eq!(fixture.bed.control("POST", "faults", &fault).await.status, 200);
    let user = [("circle-token", "CCIPAT_lightsout_local")];
    let target = "/api/v3/runner/tasks?resource-class=lightsout/demo";
    let refused = fixture.bed.call("GET", target, &user, "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("30")));
    assert_eq!(fixture.bed.call("GET", target, &user, "").await.json(), json!({"unclaimed_task_count": 2}));
    // The job is handed out, but nobody hears of it: the next claim repeats it.
    let of = &fixture.instance;
    let fault = json!({"target": "platform", "action": "claim", "instance": of, "effect": "reset", "count": 1});
    assert_eq!(fixture.bed.control("POST", "faults", &fault).await.status, 200);
    let path = format!("/_lightsout/runner/{}/claim", fixture.runner);
    assert!(fixture.bed.try_call("POST", &path, &[], "").await.is_err());
    assert_eq!(fixture.take().await, 1001);
    assert_eq!(fixture.fleet().queue.running, 1);
    fixture.bed.down().await;
}
