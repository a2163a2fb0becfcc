//! Settings from an instance's tags, and what is in force with them.

use std::time::Duration;

use super::*;

const FILES: &str = "[agent]\nslots = 2\nrunner_env = ['A', 'KEY=hush']\n[platform.github]\ntoken = { file = '/t' }\n\
                     organization = 'acme'\nlabels = ['x']\n";

fn tags(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn wrong(files: &str, name: &str, value: &str) -> Vec<String> {
    problems(AgentSettings::parse_with(&one(files), &tags(&[(name, value)])))
}

#[test]
fn a_tag_goes_before_the_files() {
    let all = tags(&[
        ("lightsout:slots", " 4 "),
        ("lightsout:idle_timeout", "never"),
        ("lightsout:labels", "linux, arm64 big"),
        ("lightsout:why", "idle"),
        ("Name", "runner"),
    ]);
    let settings = AgentSettings::parse_with(&one(FILES), &all).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((settings.slots, settings.policy.idle_timeout), (4, None));
    let platform = format!("{:?}", settings.platform);
    assert!(platform.contains(r#"labels: {"arm64", "big", "linux"}"#), "{platform}");
    assert_eq!(settings.warnings, []);
    let none = AgentSettings::parse_with(&one(FILES), &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((none.slots, none.policy.idle_timeout), (2, Some(Duration::from_secs(600))));
}

#[test]
fn a_wrong_tag_is_told_by_its_name() {
    assert_eq!(
        wrong(FILES, "lightsout:slots", "many"),
        [
            "instance tag lightsout:slots: agent.slots = \"many\": expected a whole number from 1 to 1000; write for example slots = 1"
        ]
    );
    assert!(
        wrong(FILES, "lightsout:idle_timeout", "10")[0]
            .starts_with("instance tag lightsout:idle_timeout: agent.idle_timeout")
    );
    assert_eq!(
        wrong(FILES, "lightsout:queue", "linux"),
        [
            "instance tag lightsout:queue: this platform's runner has no queue; remove the tag from the instance and from its group"
        ]
    );
    // Who may tag an instance may not have it run something.
    for name in ["lightsout:before_register", "lightsout:power_off", "lightsout:runner_env", "lightsout:slot"] {
        let settings = AgentSettings::parse_with(&one(FILES), &tags(&[(name, "x")])).unwrap();
        let [warning] = &settings.warnings[..] else { panic!("{name}: {:?}", settings.warnings) };
        assert!(warning.to_string().starts_with(&format!("instance tag {name}: is not a setting")), "{warning}");
    }
    assert!(
        wrong("[agent]\n", "lightsout:labels", "a").iter().all(|problem| problem.contains("no CI platform is named"))
    );
}

#[test]
fn what_is_in_force_is_told_with_its_origin_and_without_secrets() {
    let text = format!("{FILES}[docker]\nenabled = false\n");
    let (all, _) =
        in_force(&one(&text), &tags(&[("lightsout:slots", "4")])).unwrap_or_else(|problems| panic!("{problems}"));
    let shown = |key: &str| {
        let setting = all.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key}"));
        (setting.value.as_str(), setting.from.as_str())
    };
    assert_eq!(shown("agent.slots"), ("4", "instance tag lightsout:slots"));
    assert_eq!(shown("agent.idle_timeout"), ("\"10m\"", "default"));
    assert_eq!(shown("agent.runner_env"), ("[\"A\", \"KEY=...\"]", "f.toml:3"));
    assert_eq!(shown("docker.enabled"), ("false", "f.toml:9"));
    assert_eq!(shown("platform.github.token"), ("{ file = \"/t\" }", "f.toml:5"));
    assert_eq!(shown("platform.github.labels"), ("[\"x\"]", "f.toml:7"));
    assert!(
        all.iter().all(|setting| setting.key != "platform.github.private_key"),
        "what stands for another is left out"
    );
    let inline = "[platform.gitlab]\nurl = 'https://git.test'\ntoken = 'glrt-hush'\nextra = '''\n[runners.cache]\nSecretKey = \"hush\"\n'''\n";
    let (all, _) = in_force(&one(inline), &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!format!("{all:?}").contains("hush"), "{all:?}");
    let broken = in_force(&one("[agent]\nslots = 0\n"), &[]).unwrap_err();
    assert!(broken.to_string().contains("agent.slots = 0"));
}
