//! Facts about an instance, an image and an account on which all is well.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    cloud::{Capabilities, Membership, ProtectionSupport},
    doctor::{
        Facts, Place,
        facts::{
            AgentAnswer, CloudFacts, EngineAccess, EngineSettings, FunctionFacts, GroupFacts, GuardFacts, HookFacts,
            ImageManifest, ImageRunner, KeyFacts, Leftovers, Machine, MemberModels, MetadataFacts, Names, NextImage,
            NotOffered, PlatformFacts, ProgramFacts, ProgramGroup, QuotaFacts, RoleFacts, RunsAs, ScaleSetFacts,
            ScaleSetModel, Schedule, SettingsFacts, Software, Subnet, TemplateFacts, Unit, WaysOut,
        },
    },
    iam::Difference,
    platform::RunnerVersion,
    settings::{AgentSettings, Fragment},
    space::{FileSystem, Stock},
};

use crate::facts::SERVICE_ROLE;

/// All is well.
pub(crate) fn good(place: Place) -> Facts {
    if place == Place::Workstation {
        return good_on_workstation();
    }
    let in_image = place == Place::Image;
    let runs = |name: &str, enabled| Unit {
        name: name.into(),
        installed: true,
        enabled,
        masked: false,
        active: (!in_image).then_some(enabled),
    };
    let text = "[agent]\nlaunch_hook = \"ready\"\n[platform.gitlab]\nurl = \"https://gitlab.example.com\"\ntoken = { file = \"/etc/token\" }\n";
    let settings = AgentSettings::parse(&[Fragment::new("agent.toml", text)]).unwrap();
    let stock = |free, total| Stock { free, total };
    let disk = FileSystem { folder: "/".into(), bytes: stock(50 << 30, 100 << 30), inodes: stock(900_000, 1_000_000) };
    let answer = AgentAnswer { version: "0.1.0".into(), phase: "idle".into(), note: None };
    Facts {
        place,
        names: Names { instance: Some("i-1".into()), group: Some("ci".into()), location: Some("eu-north-1".into()) },
        settings: SettingsFacts {
            files: vec!["agent.toml".into()],
            settings: Some(settings),
            inline_secret: !in_image,
            ..SettingsFacts::default()
        },
        software: Software {
            runner_user: Some(Ok(RunsAs::Own("lightsout-runner".into()))),
            engine_access: Some(EngineAccess::No),
            runner: Some(Ok("/usr/bin/runner".into())),
            runner_version: Some(Ok(RunnerVersion { said: "runner 18.5.0".into(), doubt: None, refused: None })),
            baked: Some(Ok(ImageManifest {
                built: Some(Timestamp::UNIX_EPOCH),
                platform: Some("gitlab".into()),
                runner: Some(ImageRunner {
                    version: Some("18.5.0".into()),
                    program: vec!["/usr/bin/runner".into()],
                    expires: Some("2026-12-01".parse().unwrap()),
                }),
                now: "2026-11-20T23:59:59Z".parse().unwrap(),
            })),
            runner_unit: Some(runs("runner.service", false)),
            agent_unit: Some(runs("lightsout-agent.service", true)),
            dead_man: Some(runs("lightsout-dead-man.timer", true)),
            engine_unit: Some(runs("docker.service", true)),
            engine_settings: Some(Ok(EngineSettings {
                log_driver: "local".into(),
                log_limit: true,
                live_restore: true,
                cgroup_parent: Some("docker.slice".into()),
            })),
            automatic_updates: Some(Vec::new()),
            restarts_excluded: Some(Ok(true)),
        },
        machine: Machine {
            engine: Some(Ok("Docker 28 answers".into())),
            engine_needed: true,
            disks: vec![Ok(disk)],
            ways_out: Some(Ok(WaysOut { ipv4: true, ipv6: false })),
            needs_ipv4: None,
            up_for: Some(Duration::from_secs(600)),
            guard: Some(Ok(if in_image {
                GuardFacts::Ready
            } else {
                GuardFacts::Up { user: Some("lightsout-runner".into()), groups: vec!["docker.slice".into()] }
            })),
            agent: Some(Ok(answer)),
            version: "0.1.0",
        },
        left_in_image: in_image.then(Leftovers::default),
        cloud: (!in_image).then(good_cloud),
        platform: if in_image { PlatformFacts::default() } else { good_platform() },
        ..Facts::default()
    }
}

/// Nothing of an instance and of its agent's settings is known there.
fn good_on_workstation() -> Facts {
    let role = |of_scaler: bool| RoleFacts {
        of_scaler,
        name: "ci".into(),
        by: "simulation",
        difference: Ok(Difference::default()),
    };
    let subnet = |id: &str| Subnet { id: id.into(), zone: "eu-north-1a".into(), free: Some(200) };
    let quota =
        |name: &str| QuotaFacts { name: name.into(), limit: 10, smallest: 2, most: 10, others: None, of_all: false };
    let function = FunctionFacts {
        name: "ci-scaler".into(),
        inactive: None,
        timeout: Some(Ok(Duration::from_secs(60))),
        deadline: Duration::from_secs(10),
        errors: Some(Ok(Vec::new())),
        schedules: Some(Ok(vec![Schedule {
            name: "ci".into(),
            when: "rate(1 minute)".into(),
            enabled: true,
            every: Some(Duration::from_secs(60)),
        }])),
        version: Some(Ok(Some("0.1.0".into()))),
        expected: Some("0.1.0".into()),
        ..FunctionFacts::default()
    };
    let key = |by: &str| KeyFacts {
        key: "arn:aws:kms:eu-north-1:123456789012:key/1".into(),
        by: by.into(),
        of_cloud: false,
        unusable: None,
        role: SERVICE_ROLE.into(),
        granted: Ok(["Decrypt"].map(str::to_owned).into()),
        policy: Ok(format!(
            r#"{{"Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{SERVICE_ROLE}"}}, "Action": "kms:*", "Resource": "*"}}}}"#
        )),
    };
    let whole = good_cloud();
    let dated = |image: Result<NextImage, String>| image.map(|image| NextImage { created: Some(image.now), ..image });
    let template = |name: &str| TemplateFacts {
        name: name.into(),
        power_off_ends: Some(true),
        tokens_required: true,
        hop_limit: Some(1),
        tags_told: Some(true),
        secrets: Some(Ok(Vec::new())),
        profile: Some("ci".into()),
    };
    let cloud = CloudFacts {
        group: whole.group,
        termination_hooks: whole.termination_hooks,
        launch_hooks: Some(Ok(Vec::new())),
        other_scalers: whole.other_scalers,
        failed_launch: whole.failed_launch,
        refresh: whole.refresh,
        not_offered: whole.not_offered,
        next_images: whole.next_images.into_iter().map(dated).collect(),
        templates: vec![template("ci, version 3"), template("ci-arm64, version 1")],
        keys: Some(Ok(vec![
            key("the launch template ci"),
            KeyFacts { of_cloud: true, ..key("the account's default") },
        ])),
        spot_role: Some(Ok(true)),
        quotas: Some(Ok(vec![quota("Standard"), quota("G and VT")])),
        subnets: Some(Ok(vec![subnet("subnet-1"), subnet("subnet-2")])),
        scale_set: whole.scale_set.map(|set| ScaleSetFacts {
            membership: None,
            latest_model: None,
            members: Some(Ok(MemberModels { count: 3, ..MemberModels::default() })),
            roles: vec![role(false), role(false)],
            room: Some(5),
            ..set
        }),
        program: whole.program.map(|program| ProgramFacts { membership: None, ..program }),
        ..CloudFacts::default()
    };
    Facts {
        place: Place::Workstation,
        names: Names { instance: None, group: Some("ci".into()), location: Some("eu-north-1".into()) },
        cloud: Some(cloud),
        platform: PlatformFacts { clock_ahead: None, reachable: None, ..good_platform() },
        roles: vec![role(false), role(true)],
        function: Some(Ok(Some(function))),
        ..Facts::default()
    }
}

fn good_cloud() -> CloudFacts {
    let now = "2026-11-20T23:59:59Z".parse().unwrap();
    let hook = HookFacts {
        name: "drain".into(),
        timeout: Duration::from_secs(600),
        abandons: false,
        longest: Duration::from_secs(60_000),
    };
    let launch_hook = HookFacts {
        name: "ready".into(),
        timeout: Duration::from_secs(60),
        abandons: true,
        longest: Duration::from_secs(600),
    };
    let group = GroupFacts { max: 5, protects_new: true, ..GroupFacts::default() };
    let image = |id: &str| {
        Ok(NextImage { id: id.into(), usable: true, created: None, deprecated: None, passed_over: Vec::new(), now })
    };
    CloudFacts {
        metadata: MetadataFacts {
            identity: Some(Ok("i-1 in eu-north-1".into())),
            tokens_required: Some(Ok(true)),
            tags: Some(Ok(true)),
            clock_ahead: Some(Ok(SignedDuration::from_secs(30))),
        },
        hop_limit: Some(Ok(1)),
        membership: Some(Ok(Membership::InService { protected: true })),
        group_name: Some("ci".into()),
        group: Some(Ok(group)),
        // No instance is in both; rows of one say nothing of the other.
        scale_set: Some(ScaleSetFacts {
            identity: Some(Ok(())),
            membership: Some(Ok(Membership::InService { protected: true })),
            latest_model: Some(Ok(Some(true))),
            model: Some(Ok(ScaleSetModel {
                upgrade_mode: "Manual".into(),
                terminate_notice: Some(Duration::from_secs(15 * 60)),
                ..ScaleSetModel::default()
            })),
            autoscale: Some(Ok(Vec::new())),
            ..ScaleSetFacts::default()
        }),
        program: Some(ProgramFacts {
            capabilities: Capabilities {
                protection: ProtectionSupport::OnDemand,
                termination_hook: None,
                leaving_lowers_capacity: true,
                replaces_unhealthy: false,
                power_off_ends_billing: true,
                conditional_raise: false,
                longest_notice: Duration::from_secs(86_400),
            },
            membership: Some(Ok(Membership::InService { protected: true })),
            group: Some(Ok(ProgramGroup { min: 0, max: 5, desired: 1, versioned: true })),
        }),
        termination_hooks: Some(Ok(vec![hook])),
        launch_hooks: Some(Ok(vec![launch_hook])),
        other_scalers: Some(Ok(Vec::new())),
        failed_launch: Some(Ok(None)),
        refresh: Some(Ok(None)),
        power_off_ends: Some(Ok(true)),
        rights: vec![("ec2:TerminateInstances", Ok(true)), ("ec2:CreateTags", Ok(true))],
        next_images: ["ami-1", "ami-2"].map(image).into(),
        not_offered: Some(Ok(NotOffered::default())),
        ..CloudFacts::default()
    }
}

fn good_platform() -> PlatformFacts {
    PlatformFacts {
        reachable: Some(Ok("it answers".into())),
        secrets: vec![("the file /etc/token".into(), Ok(()))],
        token: Some(Ok("it is good".into())),
        clock_ahead: Some(Ok(SignedDuration::from_secs(-2))),
    }
}
