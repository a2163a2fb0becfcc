//! A cloud with a clock to turn, and short ways to call it.

use std::{collections::BTreeMap, time::Duration};

use lightsout_localcloud::aws::model::{Activity, Cloud, CloudOptions, Effect, Instance, LifecycleState};
use lightsout_localcloud::{Timestamp, aws::query};

/// Boot takes 20 s, a reaction half a second, and a stopped member is seen after 30 s, as by default.
pub(crate) struct Bench {
    pub(crate) cloud: Cloud,
    pub(crate) now: Timestamp,
    /// Ids in the order of their launch.
    pub(crate) launched: Vec<String>,
    /// Whose disks are gone.
    pub(crate) discarded: Vec<String>,
    pub(crate) hop_limits: Vec<(String, u8)>,
    /// Sentences of the timeline.
    pub(crate) timeline: Vec<String>,
}

pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

impl Bench {
    /// An empty cloud.
    pub(crate) fn new() -> Self {
        Self::seeded(1)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        let cloud = Cloud::new(CloudOptions { seed, ..CloudOptions::default() });
        Self {
            cloud,
            now: Timestamp(1_800_000_000_000),
            launched: Vec::new(),
            discarded: Vec::new(),
            hop_limits: Vec::new(),
            timeline: Vec::new(),
        }
    }

    /// A cloud with launch template `t` and group `g`: one zone, minimum 0, new instances not protected.
    pub(crate) fn with_group(desired: u32, max: u32, more: Fields<'_>) -> Self {
        let mut bench = Self::new();
        bench.template("t", &[]);
        bench.group("g", desired, max, more);
        bench
    }

    /// Like [`Bench::with_group`], with every instance in service.
    pub(crate) fn in_service(desired: u32, max: u32, more: Fields<'_>) -> Self {
        let mut bench = Self::with_group(desired, max, more);
        bench.wait(30);
        assert_eq!(bench.serving().len(), usize::try_from(desired).unwrap());
        bench
    }

    pub(crate) fn template(&mut self, name: &str, more: Fields<'_>) {
        let fields = [
            ("LaunchTemplateName", name),
            ("LaunchTemplateData.ImageId", "ami-1"),
            ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
        ];
        self.ec2("CreateLaunchTemplate", &[&fields, more].concat());
    }

    pub(crate) fn group(&mut self, name: &str, desired: u32, max: u32, more: Fields<'_>) {
        let (desired, max) = (desired.to_string(), max.to_string());
        let mut fields = fields(&[
            ("AutoScalingGroupName", name),
            ("MinSize", "0"),
            ("MaxSize", &max),
            ("DesiredCapacity", &desired),
            ("LaunchTemplate.LaunchTemplateName", "t"),
            ("AvailabilityZones.member.1", "eu-central-1a"),
        ]);
        fields.extend(self::fields(more));
        let pairs: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.asg("CreateAutoScalingGroup", &pairs);
    }

    /// A call of EC2 Auto Scaling that must succeed.
    pub(crate) fn asg(&mut self, action: &str, fields: Fields<'_>) -> String {
        self.success("2011-01-01", action, fields)
    }

    /// The same, about group `g`.
    pub(crate) fn on_group(&mut self, action: &str, fields: Fields<'_>) -> String {
        self.asg(action, &[&[("AutoScalingGroupName", "g")], fields].concat())
    }

    /// A call of EC2 that must succeed.
    pub(crate) fn ec2(&mut self, action: &str, fields: Fields<'_>) -> String {
        self.success("2016-11-15", action, fields)
    }

    /// A call of EC2 Auto Scaling that must be refused with HTTP 400: code and message.
    pub(crate) fn refused(&mut self, action: &str, fields: Fields<'_>) -> (String, String) {
        self.failure("2011-01-01", action, fields, 400)
    }

    /// A call of EC2 that must be refused: code and message.
    pub(crate) fn ec2_refused(&mut self, action: &str, fields: Fields<'_>, status: u16) -> (String, String) {
        self.failure("2016-11-15", action, fields, status)
    }

    pub(crate) fn call(
        &mut self,
        version: &str,
        action: &str,
        more: Fields<'_>,
        caller: Option<&str>,
    ) -> (u16, String) {
        let mut fields = fields(more);
        fields.insert("Action".to_owned(), action.to_owned());
        fields.insert("Version".to_owned(), version.to_owned());
        let reply = query::call(&mut self.cloud, &fields, caller, self.now);
        self.drain();
        (reply.status, reply.body)
    }

    /// Lets time pass, in seconds.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.wait_millis(seconds * 1000);
    }

    pub(crate) fn wait_millis(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(due) = self.cloud.next_timer().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.cloud.advance(self.now);
            self.drain();
        }
        self.now = end;
        self.cloud.advance(end);
        self.drain();
    }

    pub(crate) fn power_off(&mut self, id: &str) {
        self.cloud.powered_off(id, self.now);
        self.drain();
    }

    pub(crate) fn instance(&self, id: &str) -> &Instance {
        self.cloud.instance(id).unwrap()
    }

    pub(crate) fn state(&self, id: &str) -> LifecycleState {
        self.instance(id).state
    }

    /// Members in service of every group, in the order of their launch.
    pub(crate) fn serving(&self) -> Vec<String> {
        self.in_state(LifecycleState::InService)
    }

    pub(crate) fn in_state(&self, state: LifecycleState) -> Vec<String> {
        self.launched.iter().filter(|id| self.state(id) == state).cloned().collect()
    }

    pub(crate) fn desired(&self) -> u32 {
        self.cloud.group("g").unwrap().bounds.desired
    }

    pub(crate) fn set_desired(&mut self, desired: u32) {
        self.on_group("SetDesiredCapacity", &[("DesiredCapacity", &desired.to_string())]);
    }

    pub(crate) fn protect(&mut self, id: &str, protected: bool) {
        let flag = protected.to_string();
        self.on_group("SetInstanceProtection", &[("InstanceIds.member.1", id), ("ProtectedFromScaleIn", &flag)]);
    }

    pub(crate) fn terminate(&mut self, id: &str, decrement: bool) -> String {
        let decrement = decrement.to_string();
        self.asg(
            "TerminateInstanceInAutoScalingGroup",
            &[("InstanceId", id), ("ShouldDecrementDesiredCapacity", &decrement)],
        )
    }

    pub(crate) fn complete(&mut self, id: &str, hook: &str, result: &str) {
        self.on_group(
            "CompleteLifecycleAction",
            &[("InstanceId", id), ("LifecycleHookName", hook), ("LifecycleActionResult", result)],
        );
    }

    pub(crate) fn last_activity(&self) -> &Activity {
        self.cloud.activities("g").last().unwrap()
    }

    pub(crate) fn told(&self, what: &str) -> bool {
        self.timeline.iter().any(|line| line.contains(what))
    }

    /// Machines obey at once.
    fn drain(&mut self) {
        while let Some(effect) = self.cloud.poll_effect() {
            match effect {
                Effect::Launch { id } => {
                    // Only one that waited in a warm pool is started again.
                    let again = self.launched.contains(&id);
                    assert!(!again || self.told("taken from the warm pool"), "{id} was launched twice");
                    if !again {
                        self.launched.push(id);
                    }
                }
                Effect::Discard { id } => self.discarded.push(id),
                Effect::PowerOff { id } => self.cloud.powered_off(&id, self.now),
                Effect::Reboot { .. } => {}
                Effect::HopLimit { id, limit } => self.hop_limits.push((id, limit)),
                Effect::Happened(happening) => self.timeline.push(happening.what),
            }
        }
    }

    fn success(&mut self, version: &str, action: &str, fields: Fields<'_>) -> String {
        let (status, body) = self.call(version, action, fields, None);
        assert_eq!(status, 200, "{action}: {body}");
        body
    }

    fn failure(&mut self, version: &str, action: &str, fields: Fields<'_>, status: u16) -> (String, String) {
        let (actual, body) = self.call(version, action, fields, None);
        assert_eq!(actual, status, "{action}: {body}");
        (one(&body, "Code"), one(&body, "Message"))
    }
}

/// The text of each element of a name, unescaped as far as the tests need it.
pub(crate) fn all(body: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let pieces = body.split(open.as_str()).skip(1);
    let texts = pieces.filter_map(|rest| rest.split(close.as_str()).next());
    texts
        .map(|text| text.replace("&apos;", "'").replace("&quot;", "\"").replace("&gt;", ">").replace("&amp;", "&"))
        .collect()
}

/// The text of the only element of a name.
pub(crate) fn one(body: &str, element: &str) -> String {
    let found = all(body, element);
    assert_eq!(found.len(), 1, "<{element}> in {body}");
    found.into_iter().next().unwrap()
}

fn fields(pairs: Fields<'_>) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
