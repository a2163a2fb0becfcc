//! A test bed: a running cloud, machines that run nothing, and a client.

mod client;
mod machines;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lightsout_localcloud::{
    LocalCloud, LocalCloudOptions, PlatformKind, Snapshot, aws::model::CloudOptions, ci::gitlab::system_id,
};
use serde_json::{Value, json};

pub(crate) use self::{client::Reply, machines::FakeMachines};

/// Runs with very short times.
pub(crate) fn fast() -> CloudOptions {
    CloudOptions {
        boot: Duration::from_millis(20),
        notice_power_off: Duration::from_millis(20),
        react: Duration::from_millis(5),
        launch_retry: Duration::from_millis(20),
        ..CloudOptions::default()
    }
}

pub(crate) struct Options {
    pub cloud: CloudOptions,
    pub platform: PlatformKind,
    pub ended_kept: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cloud: fast(), platform: PlatformKind::default(), ended_kept: 200 }
    }
}

pub(crate) struct Bed {
    pub cloud: LocalCloud,
    pub machines: Arc<FakeMachines>,
}

impl Bed {
    pub(crate) async fn start(options: Options) -> Self {
        let machines = Arc::new(FakeMachines::default());
        let options = LocalCloudOptions {
            cloud: options.cloud,
            port: 0,
            platform: options.platform.options(),
            secrets: BTreeMap::from([("/ci/token".to_owned(), "hush".to_owned())]),
            ended_kept: options.ended_kept,
            ..LocalCloudOptions::default()
        };
        let cloud = LocalCloud::start(options, Arc::clone(&machines) as _).await.expect("a free port");
        Self { cloud, machines }
    }

    pub(crate) async fn down(self) {
        tokio::time::timeout(Duration::from_secs(10), self.cloud.down()).await.expect("an end in time");
    }

    /// Makes a launch template and a group of this size.
    pub(crate) async fn group(&self, name: &str, min: u32, max: u32, desired: u32) {
        let template = [
            ("Action", "CreateLaunchTemplate"),
            ("Version", "2016-11-15"),
            ("LaunchTemplateName", name),
            ("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"),
            ("LaunchTemplateData.InstanceType", "m7i.large"),
            ("LaunchTemplateData.UserData", "IyFoZWxsbw=="),
            ("LaunchTemplateData.IamInstanceProfile.Name", name),
            ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
            ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
            ("LaunchTemplateData.MetadataOptions.InstanceMetadataTags", "enabled"),
        ];
        let made = self.aws(&template).await;
        assert_eq!(made.status, 200, "{}", made.text());
        let (min, max, desired) = (min.to_string(), max.to_string(), desired.to_string());
        let group = [
            ("Action", "CreateAutoScalingGroup"),
            ("Version", "2011-01-01"),
            ("AutoScalingGroupName", name),
            ("LaunchTemplate.LaunchTemplateName", name),
            ("LaunchTemplate.Version", "$Latest"),
            ("MinSize", &min),
            ("MaxSize", &max),
            ("DesiredCapacity", &desired),
            ("AvailabilityZones.member.1", "eu-central-1a"),
            ("NewInstancesProtectedFromScaleIn", "true"),
        ];
        let made = self.aws(&group).await;
        assert_eq!(made.status, 200, "{}", made.text());
    }

    /// Waits for this many members in service with a machine that runs, and names them.
    pub(crate) async fn in_service(&self, group: &str, number: usize) -> Vec<String> {
        let serving = |fleet: &Snapshot| {
            let members = fleet.instances.iter().filter(|one| one.group.as_deref() == Some(group));
            let serving = members.filter(|one| one.state == "InService" && self.machines.running(&one.id));
            serving.map(|one| one.id.clone()).collect::<Vec<_>>()
        };
        let fleet = self.until("instances in service", |fleet| serving(fleet).len() == number).await;
        serving(&fleet)
    }

    /// Looks until it holds; gives up after ten seconds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        for _ in 0..1000 {
            let fleet = self.cloud.snapshot();
            if holds(&fleet) {
                return fleet;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain for {what}: {:#?}", self.cloud.snapshot());
    }

    pub(crate) async fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, String> {
        client::call(method, &format!("{}{path}", self.cloud.url()), headers, body).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_call(method, path, headers, body).await.expect("an answer")
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call(method, &format!("/_lightsout/{path}"), &[("content-type", "application/json")], &body).await
    }

    /// A call of the query protocol; the values hold nothing that has to be encoded.
    pub(crate) async fn aws(&self, form: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> = form.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.call("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], &pairs.join("&")).await
    }

    /// What the runner on an instance does.
    pub(crate) async fn request_job(&self, instance: &str) -> Reply {
        let body = json!({"token": "glrt-lightsout-local", "system_id": system_id(instance)}).to_string();
        let answer = self.call("POST", "/api/v4/jobs/request", &[("content-type", "application/json")], &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer
    }

    /// A session with an instance's metadata service.
    pub(crate) async fn imds(&self, instance: &str) -> Imds {
        let url = self.machines.boot(instance).imds;
        let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "60")];
        let token = client::call("PUT", &format!("{url}/latest/api/token"), &ttl, "").await.expect("an answer");
        assert_eq!((token.status, token.header(ttl[0].0)), (200, Some("60")));
        Imds { url, token: token.text() }
    }
}

pub(crate) struct Imds {
    url: String,
    token: String,
}

impl Imds {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.with_token(&self.token, path).await
    }

    pub(crate) async fn with_token(&self, token: &str, path: &str) -> Reply {
        self.ask(path, &[("x-aws-ec2-metadata-token", token)]).await
    }

    pub(crate) async fn without_token(&self, path: &str) -> Reply {
        self.ask(path, &[]).await
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let url = format!("{}/latest/meta-data/{path}", self.url);
        client::call("GET", &url, headers, "").await.expect("an answer")
    }
}
