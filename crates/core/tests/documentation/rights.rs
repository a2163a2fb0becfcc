//! The rights: what the code calls, what the table has, and what the documents say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use lightsout_core::iam::{Bound, Caller, RIGHTS};

use super::check;

/// What words the names of the SDKs' operations begin with.
const VERBS: [&str; 11] = [
    "describe_",
    "get_",
    "set_",
    "create_",
    "terminate_",
    "complete_",
    "record_",
    "put_",
    "delete_",
    "update_",
    "send_",
];

/// A line for all that one caller may do on the same thing.
fn short_table() -> String {
    let mut rows: BTreeMap<(Caller, Bound), Vec<String>> = BTreeMap::new();
    for it in RIGHTS {
        rows.entry((it.caller, it.on)).or_default().push(format!("`{}`", it.action));
    }
    let mut table = String::from("| Who | Action | On |\n|---|---|---|\n");
    for ((who, on), actions) in rows {
        table += &format!("| {} | {} | {} |\n", who.as_str(), actions.join(", "), in_words(on));
    }
    table
}

/// With the reason of each action.
fn full_table() -> String {
    let mut table = String::from("| Who | Action | On | Why |\n|---|---|---|---|\n");
    for it in RIGHTS {
        table += &format!("| {} | `{}` | {} | {} |\n", it.caller.as_str(), it.action, in_words(it.on), it.why);
    }
    table
}

fn in_words(on: Bound) -> &'static str {
    match on {
        Bound::Everything => "`*`: AWS knows no narrower",
        Bound::Group => "its groups, by ARN",
        Bound::Itself => "itself: condition `aws:ARN` equals `${ec2:SourceInstanceARN}`",
        Bound::Parameter => "the parameters that its settings name",
        Bound::Secret => "the secrets that its settings name",
        Bound::Key => "the secrets' own keys, if any: condition `kms:ViaService`",
        Bound::LogGroup => "one log group, if any",
        Bound::Departures => "`records.object_store`, if any",
        Bound::SettingsObject => "its settings, if they are in S3",
        Bound::Members => "members of the groups: condition `aws:ResourceTag/aws:autoscaling:groupName`",
        Bound::Order => "the same, and the tag `lightsout:order` alone: condition `aws:TagKeys`",
        Bound::Document => "the document `AWS-RunShellScript`",
        Bound::Roles => {
            "`*`, or the roles, profiles, policies, function and schedules of your pools, and the keys of their volumes"
        }
    }
}

#[test]
fn the_tables_of_rights_are_the_table() {
    check("README.md", &[("rights", short_table())]);
    check("docs/iam.md", &[("rights", full_table())]);
}

#[test]
fn each_call_has_its_right_and_each_right_its_call() {
    let mut product = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloud/src/aws"), &mut product);
    let mut known: BTreeSet<&str> = RIGHTS.iter().map(|right| right.action).collect();
    // Of what is in quotes, the words such as `ec2:CreateTags`; a hook's transitions have underscores.
    let named: BTreeSet<&str> = product.split('"').filter(|word| is_action(word)).collect();
    // Decryption is asked for by the two services, in the caller's name.
    assert!(known.remove("kms:Decrypt"));
    assert_eq!(named, known, "left: what errors name; right: the table");

    // The same by the calls themselves, whatever their errors name.
    let called: BTreeSet<String> = product.split('.').filter_map(operation).collect();
    let by_hand = [
        "ec2:DescribeSnapshots",
        "ec2:GetEbs",
        "iam:",
        "kms:",
        "lambda:",
        "logs:",
        "s3:",
        "scheduler:",
        "servicequotas:",
    ];
    let of_sdks = known.iter().filter(|action| !by_hand.iter().any(|service| action.starts_with(service)));
    let wanted: BTreeSet<String> = of_sdks.filter_map(|action| action.split(':').nth(1)).map(str::to_owned).collect();
    assert_eq!(called, wanted, "left: what is called; right: the table");
}

fn is_action(word: &str) -> bool {
    let (service, name) = word.split_once(':').unwrap_or_default();
    service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !service.is_empty()
}

/// The operation of a call such as `describe_images().`, in the words of IAM; the text begins behind a dot.
fn operation(text: &str) -> Option<String> {
    let name = text.split_once("()")?.0;
    let is_call = VERBS.iter().any(|verb| name.starts_with(verb))
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    // Our own, which calls an operation of the SDK.
    if !is_call || name == "describe_self" {
        return None;
    }
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    Some(name.split('_').map(capital).collect())
}

/// The text of all files below a folder but for the tests.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.file_name().is_none_or(|name| name != "tests.rs") {
            let text = fs::read_to_string(&path).expect("text");
            *all += text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        }
    }
}
