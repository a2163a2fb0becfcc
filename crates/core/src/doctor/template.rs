//! Rows about what new instances start from and where, as the account has it: what an instance sees of itself, seen before there is one.

use std::{ops::Not, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    Facts, Judgement, Row, Scope, Verdict,
    facts::{CloudFacts, NextImage, NotOffered},
    of, of_each,
};
use crate::platform::tokens;

/// From this age on an image is called old: its packages and its runner are as old, and nothing on an instance upgrades them.
const OLD: Duration = Duration::from_secs(90 * 86_400);

/// What a launch template, or a launch configuration, says of each new instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateFacts {
    /// Its name and version.
    pub name: String,
    /// Whether a power-off ends an instance for good; `None`: it has no word for that.
    pub power_off_ends: Option<bool>,
    /// Whether metadata are to be had with a session's token only.
    pub tokens_required: bool,
    /// How many hops an answer of theirs with a token travels; `None`: the template does not say, and the account or the image does.
    pub hop_limit: Option<u32>,
    /// Whether they tell the instance's tags; `None`: it has no word for that.
    pub tags_told: Option<bool>,
    /// What in the user data looks like a secret, and where; never the secret itself.
    pub secrets: Option<Result<Vec<String>, String>>,
    /// The instance profile's name, through which instances get their role.
    pub profile: Option<String>,
}

/// A network in which new instances start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    /// Its zone, or its network where that has none.
    pub zone: String,
    /// How many addresses are left in it; `None`: there is no such network.
    pub free: Option<u32>,
}

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "template",
        scope: Scope::Workstation,
        meaning: "new instances start from launch templates, those of single overrides among them, each of which is looked at",
        remedy: "make a launch template with the same image, type, user data and profile, and have the group use it",
        judge: |facts| {
            let cloud = facts.cloud.as_ref()?;
            if let Some(other) = &cloud.starts_otherwise {
                return Judgement::warning(format!(
                    "from {other}: it cannot say that a power-off ends an instance, so one that switches itself off is only stopped until the group \
                     finds it unhealthy, ends it and starts another in its place; nor that metadata tell its tags, so the agent reads none"
                ));
            }
            let names: Vec<_> = cloud.templates.iter().map(|template| template.name.as_str()).collect();
            (!names.is_empty()).then(|| Judgement::new(Verdict::Ok, names.join("; ")))
        },
    },
    Row {
        id: "template.power-off",
        scope: Scope::Workstation,
        meaning: "a new machine that switches itself off is gone, and billed no more: the last way out of agent and dead-man's switch",
        remedy: "in a new version of the launch template, set InstanceInitiatedShutdownBehavior to terminate, and have the group use that version",
        judge: |facts| {
            templates(facts, |template| {
                if template.power_off_ends? {
                    Judgement::ok("terminate")
                } else {
                    Judgement::wrong("stop: it would be kept, with its disks, for ever")
                }
            })
        },
    },
    Row {
        id: "template.metadata",
        scope: Scope::Workstation,
        meaning: "new instances give metadata with a session's token only, no further than the machine itself, and with the instance's tags",
        remedy: "in a new version of the launch template, set MetadataOptions to HttpTokens=required,HttpPutResponseHopLimit=1,\
                 InstanceMetadataTags=enabled, and have the group use that version",
        judge: |facts| {
            templates(facts, |template| {
                let mut doubts = Vec::new();
                match template.hop_limit {
                    Some(0..=1) => {}
                    Some(limit) => {
                        doubts.push(format!("HttpPutResponseHopLimit is {limit}: jobs in containers get the role"));
                    }
                    None => doubts.push(
                        "HttpPutResponseHopLimit is not set: image or account decide, and new images say 2".into(),
                    ),
                }
                if template.tags_told == Some(false) {
                    doubts.push("InstanceMetadataTags is not enabled: the agent reads no tags".into());
                }
                if !template.tokens_required {
                    doubts.insert(
                        0,
                        "HttpTokens is not required: a job that can be made to fetch an address gets the role".into(),
                    );
                    return Judgement::wrong(doubts.join("\n"));
                }
                if doubts.is_empty() {
                    let tags = if template.tags_told.is_some() { ", tags told" } else { "" };
                    Judgement::ok(format!("tokens required, one hop{tags}"))
                } else {
                    Judgement::warning(doubts.join("\n"))
                }
            })
        },
    },
    Row {
        id: "template.user-data",
        scope: Scope::Workstation,
        meaning: "no secret stands in the user data, where every job on the instance and whoever may describe the template can read it",
        remedy: "keep it in Systems Manager or Secrets Manager, write where it is into the settings (token = { ssm = \"/name\" }), and replace the \
                 secret: it has been seen",
        judge: |facts| {
            templates(facts, |template| match template.secrets.as_ref()? {
                Ok(found) if found.is_empty() => Judgement::ok("none that looks like one"),
                Ok(found) => Judgement::wrong(found.join("\n")),
                Err(why) => Judgement::unknown(why.clone()),
            })
        },
    },
    Row {
        id: "template.image-age",
        scope: Scope::Workstation,
        meaning: "the image that new instances start from is younger than 90 days: its packages and its runner are as old, and nothing upgrades them",
        remedy: "build an image (packer/README.md), name it in a new version of the launch template, and have the group use that version; \
                 on Azure az vmss update --ids {group} --set virtualMachineProfile.storageProfile.imageReference.id=ID",
        judge: |facts| {
            of_each(&facts.cloud.as_ref()?.next_images, |image| {
                let image = image.as_ref().ok()?;
                let age = Duration::try_from(image.now.duration_since(image.created?)).unwrap_or_default();
                let seen = format!("{} is {} days old", image.id, age.as_secs() / 86_400);
                Some(Judgement::new(if age >= OLD { Verdict::Warning } else { Verdict::Ok }, seen))
            })
        },
    },
    Row {
        id: "template.image",
        scope: Scope::Group,
        meaning: "the image that new instances start from is there, may be used, and is not deprecated",
        remedy: "build an image, name it in a new version of the launch template, and have the group use that version; \
                 on Azure az vmss update --ids {group} --set virtualMachineProfile.storageProfile.imageReference.id=ID",
        judge: |facts| of_each(&facts.cloud.as_ref()?.next_images, |image| of(Some(image), judge_image)),
    },
    Row {
        id: "template.types",
        scope: Scope::Group,
        meaning: "each zone of the group has each of its instance types",
        remedy: "take the zone's subnet out of the group, or the type out of its policy: launches there fail, some of the time; where none is left, name another \
                 type: on Azure az vmss update --ids {group} --set sku.name=SIZE",
        judge: |facts| {
            of(facts.cloud.as_ref()?.not_offered.as_ref(), |NotOffered { missing, all }| {
                let seen = format!("not offered: {}", missing.join(", "));
                if missing.is_empty() {
                    Judgement::ok("all of them")
                } else if *all {
                    Judgement::wrong(format!("{seen}: nothing can start"))
                } else {
                    Judgement::warning(seen)
                }
            })
        },
    },
    Row {
        id: "group.subnets",
        scope: Scope::Workstation,
        meaning: "the group's subnets are there, and have addresses left for all that it may have",
        remedy: "add a subnet with more addresses: aws autoscaling update-auto-scaling-group --region {region} --auto-scaling-group-name {group} \
                 --vpc-zone-identifier IDS; on Azure name a larger one in the network profile of the scale set; or lower the group's maximum",
        judge: |facts| of(facts.cloud.as_ref()?.subnets.as_ref(), |subnets| judge_subnets(facts, subnets)),
    },
];

fn judge_image(image: &NextImage) -> Option<Judgement> {
    let later = |later: &String| format!(" (not {later})");
    let id = format!("{}{}", image.id, image.passed_over.iter().map(later).collect::<String>());
    if !image.usable {
        return Judgement::wrong(format!(
            "{id} does not exist, or this account may not use it: nothing can start from it"
        ));
    }
    match image.deprecated {
        Some(at) if at <= image.now => {
            Judgement::warning(format!("{id} is deprecated since {}", at.strftime("%Y-%m-%d")))
        }
        Some(at) => Judgement::ok(format!("{id}, until {}", at.strftime("%Y-%m-%d"))),
        None => Judgement::ok(id),
    }
}

/// Judges each template, and says of which it is where there are several.
fn templates(facts: &Facts, judge: impl Fn(&TemplateFacts) -> Option<Judgement>) -> Option<Judgement> {
    let all = &facts.cloud.as_ref()?.templates;
    of_each(all, |template| {
        let judged = judge(template)?;
        let seen = if all.len() == 1 { judged.seen } else { format!("{}: {}", template.name, judged.seen) };
        Some(Judgement { seen, ..judged })
    })
}

/// How many instances more the group may have.
fn room(cloud: &CloudFacts) -> Option<u32> {
    match &cloud.group {
        Some(group) => group.as_ref().ok().map(|group| group.max.saturating_sub(group.members)),
        None => cloud.scale_set.as_ref()?.room,
    }
}

fn judge_subnets(facts: &Facts, subnets: &[Subnet]) -> Option<Judgement> {
    let gone: Vec<_> = subnets.iter().filter(|subnet| subnet.free.is_none()).map(|subnet| subnet.id.as_str()).collect();
    if !gone.is_empty() {
        return Judgement::wrong(format!("there is no {}: launches there fail", gone.join(", ")));
    }
    let free: u64 = subnets.iter().filter_map(|subnet| subnet.free).map(u64::from).sum();
    let wanted = u64::from(room(facts.cloud.as_ref()?)?);
    let each: Vec<_> = subnets
        .iter()
        .map(|subnet| format!("{} in {}: {} free", subnet.id, subnet.zone, subnet.free.unwrap_or_default()))
        .collect();
    let seen = each.join(", ");
    if subnets.is_empty() {
        Judgement::wrong("there is none: nothing can start")
    } else if free == 0 && wanted > 0 {
        Judgement::wrong(format!("{seen}: nothing more can start"))
    } else if free < wanted {
        Judgement::warning(format!("{seen}; {wanted} more instances may be asked for"))
    } else if let Some(full) = subnets.iter().find(|subnet| subnet.free == Some(0)).filter(|_| wanted > 0) {
        Judgement::warning(format!("{seen}; nothing can start in {}", full.zone))
    } else {
        Judgement::ok(seen)
    }
}

/// How other secrets begin than those of the platforms: access keys (IAM User Guide, "IAM identifiers: unique identifiers").
const BEGINNINGS: [&str; 1] = ["AKIA"];
/// How the names of what must be secret end.
const NAMES: [&str; 8] =
    ["token", "secret", "password", "passphrase", "private_key", "api_key", "access_key", "credentials"];
/// The fewest letters of a secret: shorter ones are words such as "none".
const SHORTEST: usize = 8;
/// The fewest letters of base64 that is looked into.
const ENCODED: usize = 40;
/// Letters of a secret that begins as told, before it counts: the beginning alone may be prose.
const TAIL: usize = 10;

/// What in user data looks like a secret, as sentences that do not hold it: by how it begins, by the name that it is given, or as a private key;
/// also in base64 within. An empty list is no proof.
///
/// # Errors
/// When it cannot be looked into: it is compressed, or no text.
pub fn secrets_in(user_data: &[u8]) -> Result<Vec<String>, String> {
    if user_data.starts_with(&[0x1f, 0x8b]) {
        return Err("the user data is compressed (gzip), and was not looked into".into());
    }
    let text =
        std::str::from_utf8(user_data).map_err(|_| "the user data is no text, and was not looked into".to_owned())?;
    // A document within JSON: its line breaks and quotes are written so.
    let text = text.replace("\\n", "\n").replace("\\\"", "\"");
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(what) = secret_in(line) {
            found.push(format!("line {number}: {what}"));
        }
        let runs = line.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)));
        for run in runs.filter(|run| run.len() >= ENCODED && run.len() % 4 == 0) {
            let inner = STANDARD.decode(run).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let what = inner.as_deref().and_then(|inner| inner.lines().find_map(secret_in));
            found.extend(what.map(|what| format!("line {number}, in base64: {what}")));
        }
    }
    Ok(found)
}

fn secret_in(line: &str) -> Option<String> {
    if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY") {
        return Some("a private key".into());
    }
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let words = line.split(|c: char| !of_word(c));
    let begins = |word: &str| {
        let all = tokens::beginnings().chain(BEGINNINGS);
        let known = all.into_iter().find(|start| word.starts_with(start) && word.len() >= start.len() + TAIL)?;
        Some(format!("a token, which begins with {known}"))
    };
    if let Some(what) = words.clone().find_map(begins) {
        return Some(what);
    }
    // `name = "value"`, `name: value`, `NAME=value`, `"name": "value"`.
    let assigned = line.char_indices().filter(|(_, c)| matches!(c, '=' | ':'));
    assigned.into_iter().find_map(|(at, _)| {
        let name = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = name.rsplit(|c| !of_word(c)).next().unwrap_or_default();
        let lower = name.to_lowercase().replace('-', "_");
        NAMES.iter().any(|end| lower.ends_with(end)).then_some(())?;
        let written = line[at + 1..].trim_start();
        let rest = written.trim_start_matches(['"', '\'']);
        let value: String = rest.chars().take_while(|c| of_word(*c) || "+/=.~".contains(*c)).collect();
        let is_place = value.starts_with(['/', '.', '~']) || value.starts_with("arn");
        let is_computed = written.len() == rest.len() && takes_arguments(&rest[value.len()..]);
        (value.len() >= SHORTEST && !is_place && !is_computed && value.contains(['$', '{']).not())
            .then(|| format!("{name} is given in clear"))
    })
}

/// Whether what follows a word makes it a call, or what it names a part of something: `loads(text)`, `keys["token"]`, also over several lines.
fn takes_arguments(after: &str) -> bool {
    let within =
        |open, close| after.strip_prefix(open).is_some_and(|rest: &str| rest.is_empty() || rest.contains(close));
    within('(', ')') || within('[', ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_told_and_not_repeated() {
        for (text, wanted) in [
            ("#!/bin/sh\nexport RUNNER=glrt-aBcDeFgHiJ1234567890", "line 2: a token, which begins with glrt-"),
            ("token = \"s3cret-value-1234\"", "line 1: token is given in clear"),
            ("AWS_SECRET_ACCESS_KEY=abcdefghijklmnop", "line 1: AWS_SECRET_ACCESS_KEY is given in clear"),
            (
                "#cloud-config\n{\"write_files\": [{\"content\": \"[platform.x]\\ntoken = \\\"abcd1234efgh\\\"\\n\"}]}",
                "line 3: token is given in clear",
            ),
            ("x: -----BEGIN RSA PRIVATE KEY-----", "line 1: a private key"),
            (
                // token = "0123456789abcdef0123456789"
                "content: dG9rZW4gPSAiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODki",
                "line 1, in base64: token is given in clear",
            ),
        ] {
            assert_eq!(secrets_in(text.as_bytes()), Ok(vec![wanted.to_owned()]), "{text}");
        }
    }

    #[test]
    fn what_only_says_where_a_secret_is_is_none() {
        for text in [
            "token = { ssm = \"/ci/token\" }",
            "token = { secrets_manager = \"ci/runner-token\", key = \"value\" }",
            "token = { file = \"/run/secrets/a-token\" }",
            "TOKEN=$(aws ssm get-parameter --name /ci/token)",
            "token: \"${TOKEN_OF_RUNNER}\"",
            "tokens are kept elsewhere: see the handbook of glrt-",
            "secret = \"arn:aws:secretsmanager:eu-north-1:1:secret:ci\"",
            "token_file = \"some-file-name\"",
            "token = DIRECT.open(asked, timeout=5).read().decode()",
            "credentials = json.loads(text)",
            "# Größe: 5",
            "headers = { \"x-amz-security-token\": credentials[\"Token\"], \"accept\": \"text/plain\" }",
            "",
        ] {
            assert_eq!(secrets_in(text.as_bytes()), Ok(vec![]), "{text}");
        }
        for text in ["token = abcd1234.efgh5678", "token = 'abcd1234(efgh)'", "password: abcd1234(efgh"] {
            assert_eq!(secrets_in(text.as_bytes()).map(|found| found.len()), Ok(1), "{text}");
        }
        assert!(secrets_in(&[0x1f, 0x8b, 8]).is_err() && secrets_in(&[0xff, 0xfe]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_looked_into(text in "([tT]oken|_|secret|=|: ?|[\"'\n ]|[a-zA-Z0-9]{8}|\\PC){0,20}") {
            let _ = secrets_in(text.as_bytes());
        }
    }

    /// As the Terraform module `pool` has it with a bundle: its boot program within JSON.
    #[test]
    fn what_our_own_module_has_in_user_data_holds_no_secret() {
        let boot = include_str!("../../../../terraform/aws/modules/pool/boot.py");
        let deadline = include_str!("../../../../terraform/aws/modules/pool/boot-deadline.sh");
        let settings = "[agent.platform.gitlab]\ntoken = { ssm = \"/ci/token\" }\n";
        let user_data = serde_json::json!({
            "write_files": [
                { "path": "/etc/lightsout/agent.d/50-module.toml", "content": settings },
                { "path": "/opt/lightsout/boot.py", "content": boot },
            ],
            "bootcmd": [deadline],
        });
        assert_eq!(secrets_in(format!("#cloud-config\n{user_data}").as_bytes()), Ok(vec![]));
    }
}
