//! The least policies, and how attached ones differ from them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use lightsout_core::{
    iam::{
        Account, Difference, Extras, Finding, Group, Need, NeedError, Policy, compare, of_agent, of_operator,
        of_scaler, policy,
    },
    settings::{AgentSettings, Fragment, ObjectAddress, ScalerSettings},
};
use serde_json::Value;

const SMALL: &str = r#"
[[pool]]
group = "ci"
platform.gitlab = { url = "https://gitlab.example.com", projects = ["team/app"], tags = ["linux"], token = { ssm = "/ci/read-token" } }
"#;

const LARGE: &str = r#"
[defaults.platform.gitlab]
url = "https://gitlab.example.com"
tags = ["linux"]
token = { secretsmanager = "ci/gitlab", key = "read" }

[[pool]]
group = "ci-linux"
region = "eu-central-1"
platform.gitlab = { group = "team" }
webhook = { kind = "gitlab", secret = { ssm = "/ci/webhook" } }

[[pool]]
group = "ci-*"
region = "eu-north-1"
platform.gitlab = { group = "team" }

[[pool]]
group = "ci-china"
region = "cn-north-1"
platform.gitlab = { group = "team", token = { secretsmanager = "arn:aws-cn:secretsmanager:cn-north-1:210987654321:secret:gitlab-AbC123" } }

[[pool]]
group = "ci-own"
region = "eu-central-1"
platform.command = { queue = ["/opt/queue"] }
"#;

const AGENT: &str = r#"
[records]
log_group = "lightsout/ci"
object_store = "s3://records/lightsout"

[platform.gitlab]
url = "https://gitlab.example.com"
token = { secretsmanager = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ci/runner" }
"#;

const GROUP: &str =
    "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:0f1e2d3c-0000:autoScalingGroupName/ci";

fn account(region: Option<&str>) -> Account {
    Account { id: Some("123456789012".into()), region: region.map(str::to_owned) }
}

fn scaler(text: &str, account: &Account, extras: &Extras) -> Result<Vec<Need>, NeedError> {
    of_scaler(&ScalerSettings::parse(&[Fragment::new("scaler.toml", text)]).unwrap(), account, extras)
}

fn small() -> Vec<Need> {
    scaler(SMALL, &account(Some("eu-central-1")), &Extras::default()).unwrap()
}

fn agent(text: &str, doctor: bool) -> Result<Vec<Need>, NeedError> {
    let settings = AgentSettings::parse(&[Fragment::new("agent.toml", text)]).unwrap();
    let keys = vec!["arn:aws:kms:eu-central-1:123456789012:key/1a-2b".to_owned()];
    let extras = Extras { groups: vec![Group::parse(GROUP).unwrap()], keys, doctor, ..Extras::default() };
    // The group's own place goes before the one of whoever asks.
    of_agent(&settings, &Account { id: None, region: Some("us-east-1".into()) }, &extras)
}

fn is_as_written(needs: &[Need], golden: &str) {
    let found = policy(needs);
    let golden: Value = serde_json::from_str(golden).unwrap();
    assert_eq!(found, golden, "{found:#}");
    let same = compare(needs, &[Policy::parse(&found.to_string()).unwrap()]);
    assert_eq!(same, Difference::default(), "a policy differs from itself");
}

#[test]
fn a_small_scaler_gets_what_it_needs() {
    is_as_written(&small(), include_str!("small.json"));
}

#[test]
fn a_large_scaler_gets_what_it_needs() {
    let extras = Extras {
        keys: vec!["arn:aws:kms:eu-central-1:123456789012:key/1a-2b".into()],
        log_group: Some("/aws/lambda/ci".into()),
        settings_object: Some(ObjectAddress { bucket: "settings".into(), key: "ci/scaler.toml".into() }),
        settings_parameter: Some("/ci/settings".into()),
        ..Extras::default()
    };
    is_as_written(&scaler(LARGE, &account(Some("eu-central-1")), &extras).unwrap(), include_str!("large.json"));
}

#[test]
fn an_agent_gets_what_it_needs() {
    is_as_written(&agent(AGENT, true).unwrap(), include_str!("agent.json"));
    let without = policy(&agent(AGENT, false).unwrap()).to_string();
    assert!(!without.contains("Doctor") && !without.contains("ec2:DescribeImages"), "{without}");
}

fn operator() -> Vec<Need> {
    let groups = vec![Group::parse(GROUP).unwrap(), Group::parse("ci-arm").unwrap()];
    let extras = Extras { groups, log_group: Some("lightsout/ci".into()), ..Extras::default() };
    of_operator(&account(Some("eu-central-1")), &extras).unwrap()
}

#[test]
fn an_operator_gets_what_it_needs() {
    is_as_written(&operator(), include_str!("operator.json"));
    let nothing = of_operator(&account(Some("eu-central-1")), &Extras::default());
    assert_eq!(nothing, Err(NeedError::SomeGroup));
}

#[test]
fn an_operator_who_may_write_any_tag_or_on_any_instance_is_told() {
    let text = policy(&operator()).to_string();
    for (from, to, lacks) in [
        ("\"ForAllValues:StringEquals\"", "\"ForAllValues:StringLike\"", "aws:TagKeys"),
        ("\"aws:ResourceTag/aws:autoscaling:groupName\"", "\"aws:ResourceTag/team\"", "groupName"),
    ] {
        let found = compare(&operator(), &[Policy::parse(&text.replace(from, to)).unwrap()]);
        let lacking = |it: &&Finding| it.action == "ec2:CreateTags" && it.why.contains(lacks);
        assert!(found.too_wide.iter().any(|it| lacking(&it)), "{found:?}");
    }
}

#[test]
fn a_name_with_a_wildcard_allows_no_other_group() {
    let needs = scaler(LARGE, &account(Some("eu-central-1")), &Extras::default()).unwrap();
    let text = policy(&needs).to_string();
    assert!(text.contains("autoScalingGroupName/ci-${*}\""), "{text}");
}

#[test]
fn what_is_not_known_is_asked_for() {
    let nobody = Account { id: None, region: Some("eu-central-1".into()) };
    assert_eq!(scaler(SMALL, &nobody, &Extras::default()), Err(NeedError::Account));
    let error = scaler(SMALL, &account(None), &Extras::default()).unwrap_err().to_string();
    assert!(error.contains("the group ci") && error.contains("--region"), "{error}");
    let whole = Extras { groups: vec![Group::parse(GROUP).unwrap()], ..Extras::default() };
    assert!(scaler(SMALL, &Account { id: None, region: None }, &whole).is_ok(), "its ARN tells both");
    let stranger = Extras { groups: vec![Group::parse("other").unwrap()], ..Extras::default() };
    let error = scaler(SMALL, &account(Some("eu-central-1")), &stranger).unwrap_err().to_string();
    assert!(error.contains("other") && error.contains("the settings have ci"), "{error}");
    assert!(Group::parse("arn:aws:ec2:eu-central-1:1:instance/i-1").is_err());
    let settings = AgentSettings::parse(&[Fragment::new("agent.toml", AGENT)]).unwrap();
    assert_eq!(of_agent(&settings, &account(Some("eu-central-1")), &Extras::default()), Err(NeedError::OneGroup));
}

/// The small scaler's policy after a change of its text.
fn changed(from: &str, to: &str) -> Difference {
    let text = policy(&small()).to_string();
    assert!(text.contains(from), "{from} is not in {text}");
    compare(&small(), &[Policy::parse(&text.replace(from, to)).unwrap()])
}

fn actions(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|it| it.action.as_str()).collect()
}

#[test]
fn what_is_missing_is_named() {
    let found = changed("\"autoscaling:SetDesiredCapacity\"", "\"autoscaling:SetInstanceHealth\"");
    assert_eq!(actions(&found.missing), ["autoscaling:SetDesiredCapacity"]);
    assert!(found.missing[0].why.contains("scaler: raises"), "{found:?}");
    assert_eq!(actions(&found.too_wide), ["autoscaling:SetInstanceHealth"]);
    let found = changed("autoScalingGroupName/ci\"", "autoScalingGroupName/other\"");
    assert_eq!(actions(&found.missing), ["autoscaling:SetDesiredCapacity", "autoscaling:CreateOrUpdateTags"]);
    assert_eq!(found.too_wide.len(), 2, "{found:?}");
    assert_eq!(actions(&compare(&small(), &[]).missing).len(), small().len());
}

#[test]
fn what_is_too_wide_is_named() {
    let found = changed("\"autoscaling:SetDesiredCapacity\"", "\"autoscaling:*\"");
    assert!(found.missing.is_empty(), "{found:?}");
    assert_eq!(actions(&found.too_wide), ["autoscaling:*"]);
    let found = changed("autoScalingGroupName/ci\"", "autoScalingGroupName/*\"");
    assert!(found.missing.is_empty() && found.too_wide.len() == 2, "{found:?}");
    assert!(found.too_wide[0].why.contains("enough is"), "{found:?}");
    let found = changed("\"Action\":[\"ssm:GetParameter\"]", "\"NotAction\":\"iam:*\"");
    assert!(found.missing.is_empty() && found.too_wide.len() == 1, "{found:?}");
    let found = changed("\"ssm:GetParameter\"", "\"ssm:GetParameter\",\"s3:ListBucket\"");
    assert!(found.too_wide[0].why.contains("never calls it"), "{found:?}");
}

#[test]
fn a_group_whose_id_the_settings_do_not_know_is_no_difference() {
    let found = changed("autoScalingGroup:*:", "autoScalingGroup:0f1e2d3c-0000:");
    assert_eq!(found, Difference::default());
    let found = changed("\"autoscaling:SetDesiredCapacity\"", "\"AutoScaling:setdesiredcapacity\"");
    assert_eq!(found, Difference::default(), "actions have no case");
}

#[test]
fn a_denial_goes_before_what_allows() {
    let allowing = Policy::parse(&policy(&small()).to_string()).unwrap();
    let with = |statement: &str| compare(&small(), &[allowing.clone(), Policy::parse(statement).unwrap()]);
    let found = with(r#"{"Statement":{"Effect":"Deny","Action":"autoscaling:Set*","Resource":"*"}}"#);
    assert_eq!(actions(&found.missing), ["autoscaling:SetDesiredCapacity"]);
    let found = with(
        r#"{"Statement":{"Effect":"Deny","NotAction":"ssm:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":false}}}}"#,
    );
    assert!(found.missing.is_empty() && found.conditional.len() == small().len() - 1, "{found:?}");
    let found = with(r#"{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#);
    assert_eq!(found, Difference::default());
}

#[test]
fn a_condition_that_cannot_be_judged_is_told_apart() {
    let found = changed(
        "\"Sid\":\"Groups\"",
        "\"Sid\":\"Groups\",\"Condition\":{\"StringEquals\":{\"aws:ResourceTag/team\":\"ci\"}}",
    );
    assert_eq!(actions(&found.conditional), ["autoscaling:SetDesiredCapacity", "autoscaling:CreateOrUpdateTags"]);
    assert!(found.missing.is_empty() && found.too_wide.is_empty(), "{found:?}");
}

#[test]
fn an_instance_that_may_end_others_is_told() {
    let needs = agent(AGENT, false).unwrap();
    let text = policy(&needs).to_string().replace("\"Condition\"", "\"Was\"");
    let found = compare(&needs, &[Policy::parse(&text).unwrap()]);
    assert!(found.missing.is_empty(), "{found:?}");
    assert_eq!(actions(&found.too_wide), ["ec2:CreateTags", "ec2:TerminateInstances", "kms:Decrypt"], "{found:?}");
    assert!(found.too_wide[0].why.contains("lacks the condition StringEquals aws:ARN"), "{found:?}");
}

#[test]
fn what_is_no_policy_is_refused_with_a_remedy() {
    let refused = |text: &str| Policy::parse(text).unwrap_err().to_string();
    assert!(refused("{").contains("not JSON"));
    assert!(refused("{}").contains("aws iam get-role-policy"));
    let statement = |rest: &str| refused(&format!(r#"{{"Statement":[{{"Effect":"Allow",{rest}}}]}}"#));
    assert!(statement(r#""Action":"sts:AssumeRole","Resource":"*","Principal":"*""#).contains("trust policies"));
    assert!(statement(r#""Action":"a:b""#).contains("NotResource"));
    assert!(statement(r#""Action":1,"NotAction":2,"Resource":"*""#).contains("NotAction"));
    let wrapped = format!(r#"{{"RoleName":"r","PolicyDocument":{}}}"#, policy(&small()));
    assert_eq!(compare(&small(), &[Policy::parse(&wrapped).unwrap()]), Difference::default());
}
