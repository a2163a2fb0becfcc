//! The metadata service of one instance: requests and time in, responses out.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::aws::{
    model::{Cloud, CloudOptions},
    query,
};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Request::default()
    }
}

/// One instance of a group `ci`, launched now, with these fields in its launch template.
struct Bed {
    cloud: Cloud,
    id: String,
    metadata: Metadata,
    token: String,
}

impl Bed {
    fn new(template: &[(&str, &str)]) -> Self {
        let mut cloud = Cloud::new(CloudOptions { boot: Duration::from_secs(1), ..CloudOptions::default() });
        let data = template.iter().map(|(key, value)| (format!("LaunchTemplateData.{key}"), (*value).to_owned()));
        let common = [("Action", "CreateLaunchTemplate"), ("Version", "2016-11-15"), ("LaunchTemplateName", "ci")];
        let image =
            [("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"), ("LaunchTemplateData.InstanceType", "m7i.large")];
        let form: BTreeMap<String, String> = common
            .iter()
            .chain(&image)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .chain(data)
            .collect();
        let reply = query::call(&mut cloud, &form, None, NOW);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let group = [
            ("Action", "CreateAutoScalingGroup"),
            ("Version", "2011-01-01"),
            ("AutoScalingGroupName", "ci"),
            ("LaunchTemplate.LaunchTemplateName", "ci"),
            ("MinSize", "1"),
            ("MaxSize", "1"),
            ("AvailabilityZones.member.1", "eu-central-1b"),
        ];
        let form = group.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let reply = query::call(&mut cloud, &form, None, NOW);
        assert_eq!(reply.status, 200, "{}", reply.body);
        cloud.advance(later(60));
        let id = cloud.instances().next().expect("an instance").id.clone();
        let mut bed = Self { metadata: Metadata::new(&id), cloud, id, token: String::new() };
        let granted = bed.ask(&request("PUT", "/latest/api/token", &[(TTL, "600")]), later(60));
        assert_eq!(granted.status, 200);
        bed.token = granted.text().to_owned();
        bed
    }

    fn required() -> Self {
        Self::new(&[
            ("MetadataOptions.HttpTokens", "required"),
            ("MetadataOptions.InstanceMetadataTags", "enabled"),
            ("IamInstanceProfile.Name", "agent"),
            ("UserData", "IyFoZWxsbw=="),
        ])
    }

    fn ask(&mut self, request: &Request, now: Timestamp) -> Response {
        let instance = self.cloud.instance(&self.id).expect("the instance");
        let location = Location { region: "eu-central-1", account: "123456789012" };
        self.metadata.handle(request, instance, &location, now)
    }

    fn get(&mut self, path: &str) -> Response {
        let token = self.token.clone();
        self.ask(&request("GET", path, &[(TOKEN, &token)]), later(61))
    }

    fn text(&mut self, path: &str) -> String {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}");
        response.text().to_owned()
    }

    fn json(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).expect("JSON")
    }
}

#[test]
fn a_token_has_a_life_of_one_second_to_six_hours() {
    let mut bed = Bed::required();
    for (ttl, status) in [("0", 400), ("1", 200), ("21600", 200), ("21601", 400), ("soon", 400), ("-1", 400)] {
        let response = bed.ask(&request("PUT", "/latest/api/token", &[(TTL, ttl)]), NOW);
        assert_eq!(response.status, status, "{ttl}");
        assert_eq!(response.get(TTL), (status == 200).then_some(ttl));
    }
    assert_eq!(bed.ask(&request("PUT", "/latest/api/token", &[]), NOW).status, 400);
    assert_eq!(bed.ask(&request("PUT", "/2021-07-15/api/token", &[(TTL, "60")]), NOW).status, 403);
    let proxied = request("PUT", "/latest/api/token", &[(TTL, "60"), ("x-forwarded-for", "10.0.0.1")]);
    assert_eq!(bed.ask(&proxied, NOW).status, 403);
}

#[test]
fn a_token_dies_and_says_when() {
    let mut bed = Bed::required();
    let token = bed.ask(&request("PUT", "/latest/api/token", &[(TTL, "60")]), NOW).text().to_owned();
    let get = request("GET", "/latest/meta-data/instance-id", &[(TOKEN, &token)]);
    let fresh = bed.ask(&get, later(45));
    assert_eq!((fresh.status, fresh.get(TTL), fresh.get("content-type")), (200, Some("15"), Some("text/plain")));
    assert_eq!(bed.ask(&get, later(60)).status, 401);
    assert_eq!(bed.ask(&request("GET", "/latest/meta-data/instance-id", &[]), NOW).status, 401);
    assert_eq!(bed.ask(&request("GET", "/latest/meta-data/instance-id", &[(TOKEN, "no")]), NOW).status, 401);
    assert_eq!(bed.ask(&request("DELETE", "/latest/meta-data/instance-id", &[]), NOW).status, 405);
}

#[test]
fn without_the_option_a_read_needs_no_token() {
    let mut bed = Bed::new(&[]);
    let open = bed.ask(&request("GET", "/latest/meta-data/instance-id", &[]), NOW);
    assert_eq!((open.status, open.get(TTL)), (200, None));
    assert_eq!(bed.get("/latest/meta-data/tags/instance/").status, 404);
    assert_eq!(bed.get("/latest/meta-data/iam/info").status, 404);
    assert_eq!(bed.get("/latest/user-data").status, 404);
}

#[test]
fn the_metadata_can_be_switched_off() {
    let mut bed = Bed::required();
    let mut instance = bed.cloud.instance(&bed.id).expect("the instance").clone();
    instance.metadata.enabled = false;
    let location = Location { region: "eu-central-1", account: "123456789012" };
    let get = request("GET", "/latest/meta-data/instance-id", &[(TOKEN, &bed.token)]);
    assert_eq!(bed.metadata.handle(&get, &instance, &location, NOW).status, 403);
}

#[test]
fn an_instance_finds_itself() {
    let mut bed = Bed::required();
    let id = bed.id.clone();
    assert_eq!(bed.text("/latest/meta-data/instance-id"), id);
    assert_eq!(bed.text("/2021-07-15/meta-data/instance-id"), id);
    assert_eq!(bed.text("/latest/meta-data/instance-type"), "m7i.large");
    assert_eq!(bed.text("/latest/meta-data/instance-life-cycle"), "on-demand");
    assert_eq!(bed.text("/latest/meta-data/placement/region"), "eu-central-1");
    assert_eq!(bed.text("/latest/meta-data/placement/availability-zone"), "eu-central-1b");
    assert_eq!(bed.text("/latest/meta-data/placement/availability-zone-id"), "euc1-az2");
    assert_eq!(bed.text("/latest/meta-data/services/partition"), "aws");
    assert_eq!(bed.text("/latest/meta-data/autoscaling/target-lifecycle-state"), "InService");
    assert_eq!(bed.text("/latest/meta-data/tags/instance/aws%3Aautoscaling%3AgroupName"), "ci");
    let document = bed.json("/latest/dynamic/instance-identity/document");
    assert_eq!((&document["instanceId"], &document["billingProducts"]), (&json!(id), &Value::Null));
    let data = bed.get("/latest/user-data");
    assert_eq!((data.text(), data.get("content-type")), ("#!hello", Some("application/octet-stream")));
}

#[test]
fn directories_list_what_is_in_them() {
    let mut bed = Bed::required();
    assert!(bed.text("/").ends_with("\nlatest"));
    assert_eq!(bed.text("/latest/"), "dynamic\nmeta-data\nuser-data");
    let top = bed.text("/latest/meta-data/");
    assert!(top.lines().any(|line| line == "placement/") && top.lines().any(|line| line == "instance-id"), "{top}");
    assert!(!top.lines().any(|line| line == "spot/"), "{top}");
    assert_eq!(bed.text("/latest/meta-data/iam/security-credentials/"), "agent");
    // botocore asks for the zone so.
    assert_eq!(bed.text("/latest/meta-data/placement/availability-zone/"), "eu-central-1b");
    assert_eq!(bed.get("/1999-01-01/meta-data/").status, 404);
    assert_eq!(bed.get("/latest/api/token").status, 405);
}

#[test]
fn notices_are_absent_until_they_are_given() {
    let mut bed = Bed::required();
    for path in ["spot/instance-action", "spot/termination-time", "events/recommendations/rebalance"] {
        assert_eq!(bed.get(&format!("/latest/meta-data/{path}")).status, 404, "{path}");
    }
    assert_eq!(bed.json("/latest/meta-data/events/maintenance/scheduled"), json!([]));
    let id = bed.id.clone();
    bed.cloud.rebalance(&id, Timestamp(1_790_000_070_000)).expect("a recommendation");
    bed.cloud.maintenance(&id, Timestamp(1_790_099_999_000), Timestamp(1_790_000_070_000)).expect("an event");
    bed.cloud.interrupt(&id, Timestamp(1_790_000_200_000), Timestamp(1_790_000_080_000)).expect("a notice");
    let action = bed.text("/latest/meta-data/spot/instance-action");
    assert_eq!(action, r#"{"action":"terminate","time":"2026-09-21T14:16:40Z"}"#);
    assert_eq!(bed.text("/latest/meta-data/spot/termination-time"), "2026-09-21T14:16:40Z");
    let rebalance = bed.json("/latest/meta-data/events/recommendations/rebalance");
    assert_eq!(rebalance, json!({"noticeTime": "2026-09-21T14:14:30Z"}));
    let maintenance = bed.json("/latest/meta-data/events/maintenance/scheduled");
    assert_eq!(maintenance[0]["NotBefore"], "22 Sep 2026 17:59:59 GMT");
    assert_eq!(maintenance[0]["NotAfter"], "22 Sep 2026 19:59:59 GMT");
    assert_eq!(maintenance[0]["NotBeforeDeadline"], "29 Sep 2026 17:59:59 GMT");
    assert_eq!(maintenance[0]["State"], "active");
}

#[test]
fn credentials_are_renewed_before_they_expire() {
    let mut bed = Bed::required();
    let path = "/latest/meta-data/iam/security-credentials/agent";
    let first = bed.json(path);
    assert_eq!((&first["Code"], &first["Type"]), (&json!("Success"), &json!("AWS-HMAC")));
    let key = first["AccessKeyId"].as_str().expect("a key id").to_owned();
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
    assert_eq!(bed.json(path), first);
    let until = bed.metadata.expiry_of(&key).expect("known");
    assert_eq!(first["Expiration"], until.to_seconds());
    let soon = until - Duration::from_secs(600);
    let token = bed.ask(&request("PUT", "/latest/api/token", &[(TTL, "60")]), soon).text().to_owned();
    let renewed = bed.ask(&request("GET", path, &[(TOKEN, &token)]), soon);
    assert!(!renewed.text().contains(&key));
    assert_eq!(bed.metadata.expiry_of(&key), Some(until));
    assert_eq!(bed.metadata.expiry_of("ASIANOBODY"), None);
}
