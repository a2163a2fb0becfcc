//! The variables of other systems' functions as settings of one pool.

use std::{collections::BTreeMap, time::Duration};

use lightsout_core::settings::{SecretSource, from_variables, stored};

use super::*;

fn environment(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const SPACELIFT: &[(&str, &str)] = &[
    (
        "AUTOSCALING_GROUP_ARN",
        "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:0a1b:autoScalingGroupName/ci/workers",
    ),
    ("AUTOSCALING_REGION", "eu-west-1"),
    ("AUTOSCALING_MAX_CREATE", "3"),
    ("AUTOSCALING_MAX_KILL", "1"),
    ("AUTOSCALING_TARGET_UTILIZATION_PERCENT", "80"),
    ("SPACELIFT_API_KEY_ENDPOINT", "https://acme.app.spacelift.io"),
    ("SPACELIFT_API_KEY_ID", "01HXAMPLE0KEY0ID0000000000"),
    ("SPACELIFT_API_KEY_SECRET_NAME", "/ci/spacelift"),
    ("SPACELIFT_WORKER_POOL_ID", "01HXAMPLE0P001D00000000000"),
];

const STACKGUARDIAN: &[(&str, &str)] = &[
    ("AWS_ASG_NAME", "SG_RUNNER-private-runner"),
    ("AWS_BUCKET_NAME", "acme-runner"),
    ("MIN_RUNNERS", "1"),
    ("SCALE_IN_COOLDOWN_DURATION", "5"),
    ("SCALE_IN_STEP", "1"),
    ("SCALE_IN_THRESHOLD", "1"),
    ("SCALE_OUT_COOLDOWN_DURATION", "4"),
    ("SCALE_OUT_STEP", "1"),
    ("SCALE_OUT_THRESHOLD", "3"),
    ("SG_API_KEY", "sgu_0123456789"),
    ("SG_BASE_URI", "https://api.us.stackguardian.io/api/v1/"),
    ("SG_ORG", "acme"),
    ("SG_RUNNER_GROUP", "private"),
    ("SG_RUNNER_TYPE", "external"),
];

const STACKGUARDIAN_AZURE: &[(&str, &str)] = &[
    ("AZURE_BLOB_CONTAINER_NAME", "sgautoscaler"),
    ("AZURE_BLOB_STORAGE_CONN_STRING", "AccountKey=c2VjcmV0"),
    ("AZURE_RESOURCE_GROUP_NAME", "ci"),
    ("AZURE_SUBSCRIPTION_ID", "0b1f6471-1bf0-4dda-aec3-111122223333"),
    ("AZURE_VMSS_NAME", "runners"),
    ("SCALE_OUT_THRESHOLD", "2"),
    ("SG_API_KEY", "sgu_0123456789"),
    ("SG_BASE_URI", "https://api.app.stackguardian.io"),
    ("SG_ORG", "acme"),
    ("SG_RUNNER_GROUP", "private"),
];

const CIRCLECI: &[(&str, &str)] = &[
    ("AUTO_SCALING_GROUP_NAME", "circleci"),
    ("AUTO_SCALING_GROUP_REGION", "us-east-1"),
    ("AUTO_SCALING_MAX", "5"),
    ("SECRET_NAME", "circleci-runner"),
    ("SECRET_REGION", "us-east-1"),
];

const BUILDKITE: &[(&str, &str)] = &[
    ("AGENTS_PER_INSTANCE", "2"),
    ("ASG_NAME", "buildkite"),
    ("AVAILABILITY_THRESHOLD", "0.5"),
    ("BUILDKITE_AGENT_ENDPOINT", "https://agent.buildkite.com/v3"),
    ("BUILDKITE_AGENT_TOKEN_SSM_KEY", "/buildkite/token"),
    ("BUILDKITE_QUEUE", "default"),
    ("DISABLE_SCALE_IN", "true"),
    ("INCLUDE_WAITING", "1"),
    ("INSTANCE_BUFFER", "1"),
    ("LAMBDA_INTERVAL", "15s"),
    ("MAX_INSTANCE_CAP", "0"),
    ("SCALE_OUT_COOLDOWN_PERIOD", "2m"),
];

/// The settings, and what was said.
fn understood(all: &[(&str, &str)], fetched: &[(&str, &str)]) -> (ScalerSettings, Vec<String>) {
    let read = from_variables(&environment(all), &environment(fetched)).unwrap_or_else(|problems| panic!("{problems}"));
    read.expect("variables of a system")
}

fn refused(all: &[(&str, &str)]) -> String {
    from_variables(&environment(all), &BTreeMap::new()).expect_err("a problem").to_string()
}

#[test]
fn every_variable_of_each_system_is_understood_or_said_to_be_gone() {
    for (all, fetched) in [
        (SPACELIFT, [("", "")]),
        (STACKGUARDIAN, [("", "")]),
        (CIRCLECI, [("SECRET_NAME", "acme/linux")]),
        (BUILDKITE, [("", "")]),
    ] {
        let (_, said) = understood(all, &fetched);
        for (name, value) in all {
            let mentioned = said.iter().any(|line| line.starts_with(&format!("{name} ")));
            assert!(mentioned || *value == "0", "{name} is not mentioned in {said:#?}");
        }
    }
}

#[test]
fn spacelifts_are_settings() {
    let (settings, said) = understood(SPACELIFT, &[]);
    let [pool] = &settings.pools[..] else { panic!("{:?}", settings.pools) };
    assert_eq!((pool.group.as_str(), pool.region.as_deref()), ("ci/workers", Some("eu-west-1")));
    assert_eq!((pool.policy.max_step, pool.policy.utilisation), (Some(3), 80));
    assert!(matches!(pool.platform.secret(), Some(SecretSource::Ssm(name)) if name == "/ci/spacelift"));
    assert_eq!(pool.platform.address(), "https://acme.app.spacelift.io");
    assert_eq!(said[0], "AUTOSCALING_GROUP_ARN is understood as pool.group");
    assert!(said.iter().any(|line| line.starts_with("AUTOSCALING_MAX_KILL has no meaning any more: instances leave")));
}

#[test]
fn stackguardians_are_settings() {
    let (settings, said) = understood(STACKGUARDIAN, &[]);
    let pool = &settings.pools[0];
    assert_eq!((pool.group.as_str(), pool.policy.threshold, pool.policy.min), ("SG_RUNNER-private-runner", 3, Some(1)));
    assert_eq!((pool.policy.max_step, pool.policy.cooldown), (Some(1), Duration::from_secs(240)));
    assert_eq!(pool.platform.address(), "https://api.us.stackguardian.io");
    assert!(!format!("{said:?}{settings:?}").contains("sgu_"), "a secret is not said");
}

#[test]
fn stackguardians_on_azure_name_a_scale_set_by_three_variables_or_by_its_id() {
    let id = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets/runners";
    let (settings, said) = understood(STACKGUARDIAN_AZURE, &[]);
    let pool = &settings.pools[0];
    assert_eq!((pool.group.as_str(), pool.policy.threshold), (id, 2));
    assert!(!format!("{said:?}{settings:?}").contains("c2VjcmV0"), "a secret is not said");
    let without = |gone: &[&str], name: &'static str| -> Vec<_> {
        let kept = STACKGUARDIAN_AZURE
            .iter()
            .copied()
            .filter(|(other, _)| !gone.contains(other) && *other != "AZURE_VMSS_NAME");
        kept.chain([("AZURE_VMSS_NAME", name)]).collect()
    };
    let others = ["AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP_NAME"];
    let (settings, _) = understood(&without(&others, id), &[]);
    assert_eq!(settings.pools[0].group, id);
    for missing in others {
        let error = refused(&without(&[missing], "runners"));
        assert!(
            error.contains(&format!("{missing} is not set, and AZURE_VMSS_NAME = \"runners\""))
                && error.contains(&format!("set {missing}, or AZURE_VMSS_NAME to the scale set's resource id")),
            "{error}"
        );
    }
}

#[test]
fn circlecis_secret_tells_the_resource_class() {
    let [named] = &stored(&environment(CIRCLECI))[..] else { panic!("one value is stored elsewhere") };
    assert_eq!(
        (named.name, named.source.to_string().as_str()),
        ("SECRET_NAME", "the key resource_class of the Secrets Manager secret circleci-runner")
    );
    let (settings, _) = understood(CIRCLECI, &[("SECRET_NAME", "acme/linux")]);
    let pool = &settings.pools[0];
    assert_eq!((pool.group.as_str(), pool.policy.max), ("circleci", Some(5)));
    let secret = pool.platform.secret().map(ToString::to_string);
    assert_eq!(secret.as_deref(), Some("the key circle_token of the Secrets Manager secret circleci-runner"));
    assert!(format!("{:?}", pool.platform).contains("acme/linux"), "{:?}", pool.platform);
}

#[test]
fn buildkites_are_settings() {
    let (settings, _) = understood(BUILDKITE, &[]);
    let pool = &settings.pools[0];
    assert_eq!((pool.policy.slots, pool.policy.spare, pool.policy.max), (2, 1, None));
    assert_eq!((settings.tick, pool.policy.cooldown), (Duration::from_secs(15), Duration::from_secs(120)));
    assert_eq!(pool.platform.address(), "https://agent.buildkite.com");
}

#[test]
fn what_is_wrong_is_told_by_the_variables_name() {
    let with = |name, value| {
        BUILDKITE.iter().copied().filter(|(other, _)| *other != name).chain([(name, value)]).collect::<Vec<_>>()
    };
    let error = refused(&with("AGENTS_PER_INSTANCE", "two"));
    let expected =
        "variable AGENTS_PER_INSTANCE: pool[buildkite].slots = \"two\": expected a whole number from 1 to 1000";
    assert!(error.contains(expected), "{error}");
    let error = refused(&with("ASG_NAME", ""));
    assert!(error.contains("group is missing"), "{error}");
    let both: Vec<_> = [("ASG_NAME", "a"), ("SG_ORG", "b")].into();
    let error = refused(&both);
    assert!(
        error.contains("both") && error.contains("ASG_NAME (Buildkite)") && error.contains("SG_ORG (StackGuardian)"),
        "{error}"
    );
}

#[test]
fn without_such_variables_there_are_no_settings() {
    for all in [&[][..], &[("PATH", "/bin"), ("SECRET_NAME", " ")]] {
        assert!(from_variables(&environment(all), &BTreeMap::new()).is_ok_and(|read| read.is_none()));
        assert!(stored(&environment(all)).is_empty());
    }
}
