//! A program that is a shell script, asked by the scaler and by an instance.

use std::{collections::BTreeSet, fs};

use jiff::Timestamp;
use lightsout_core::{
    cloud::{Ending, Floor, GroupSize, Leave, Machine, Membership, Notice, TargetState},
    doctor::facts::{ProgramFacts, ProgramGroup},
    settings::Location,
};
use tempfile::TempDir;

use super::{
    answer::{self, Description, News, WhoamiAnswer},
    groups::CommandGroups,
    host::CommandHost,
    notices::{CommandNotices, SeenNews},
    program::Verb,
    *,
};
use crate::{GroupView, Groups, Host, Identity, Notices};

mod notices;
mod raising;

/// A program that does this, with its arguments in `$*`; what it was asked is in `asked` of the folder.
fn program(does: &str) -> (TempDir, CloudProgram) {
    let folder = tempfile::tempdir().unwrap();
    let (script, asked) = (folder.path().join("cloud"), folder.path().join("asked"));
    fs::write(
        &script,
        format!("echo \"$*${{LIGHTSOUT_REASON:+ because }}${{LIGHTSOUT_REASON:-}}\" >>{asked:?}\n{does}\n"),
    )
    .unwrap();
    let argv = ["/bin/sh".to_owned(), script.to_str().unwrap().to_owned()];
    (folder, CloudProgram::new(&argv))
}

fn asked(folder: &TempDir) -> Vec<String> {
    fs::read_to_string(folder.path().join("asked")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn host(program: CloudProgram) -> CommandHost {
    let identity = Identity {
        instance: "b".into(),
        location: String::new(),
        group: Some("ci".into()),
        machine: Machine::default(),
        capabilities: None,
    };
    CommandHost::new(program, identity)
}

const GROUP: &str = r#"{"min":1,"max":9,"desired":3,"floor":"2","version":"v7","members":[
    {"instance":"c","state":"pending"},{"instance":"b","state":"in-service","protected":true},
    {"instance":"a","state":"in-service"},{"instance":"d","state":"terminating"}]}"#;

#[tokio::test]
async fn a_group_is_described_raised_as_it_was_seen_and_given_a_floor() {
    let (folder, program) = program(&format!("case $1 in describe) [ $2 = ci ] || exit 12; echo '{GROUP}' ;; esac"));
    let groups = CommandGroups::new(program);
    assert!(!groups.capabilities().conditional_raise, "before it has told versions nothing is known of them");
    let names = BTreeSet::from(["ci".to_owned(), "absent".to_owned()]);
    let seen = groups.describe(&names).await.unwrap();
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["ci"], "one that does not exist is missing");
    let view = seen["ci"].clone().unwrap();
    let floor = Floor { instances: 2, written: None };
    let expected = GroupView {
        name: "ci".into(),
        min: 1,
        max: 9,
        desired: 3,
        floor,
        version: Some("v7".into()),
        ..GroupView::default()
    };
    assert_eq!(view, expected);
    assert!(groups.capabilities().conditional_raise);
    groups.raise(&view, 5).await.unwrap();
    groups.raise(&GroupView { version: None, ..view }, 6).await.unwrap();
    groups.leave_floor("ci", floor).await.unwrap();
    assert_eq!(asked(&folder)[2..], ["raise ci 5 v7", "raise ci 6", "floor ci 2"]);
    let names = BTreeSet::from(["ci".to_owned()]);
    for _ in 0..2 {
        let listed = groups.listing(&names).await.unwrap();
        let listed: Vec<_> =
            listed["ci"].as_ref().unwrap().iter().map(|it| (it.instance.as_str(), it.membership)).collect();
        let expected = [
            ("c", Membership::Pending { waiting: false }),
            ("b", Membership::InService { protected: true }),
            ("a", Membership::InService { protected: false }),
            ("d", Membership::Terminating { waiting: false }),
        ];
        assert_eq!(listed, expected);
    }
    assert_eq!(asked(&folder)[5..], ["describe ci"], "once, to begin with; then each description tells");
}

/// An hour in which the program fails is none in which all is well, and a group that is gone has nobody left.
#[tokio::test]
async fn what_a_group_listed_last_is_no_list_of_now() {
    let answers = "$(dirname \"$0\")/answers";
    let (folder, program) = program(&format!("[ -e \"{answers}\" ] && exit $(cat \"{answers}\"); echo '{GROUP}'"));
    let groups = CommandGroups::new(program);
    let names = BTreeSet::from(["ci".to_owned()]);
    assert_eq!(groups.listing(&names).await.unwrap()["ci"].as_ref().map(Vec::len), Ok(4));
    for (code, listed) in [("1", Err(CloudErrorKind::Other)), ("12", Ok(0))] {
        fs::write(folder.path().join("answers"), code).unwrap();
        let _ = groups.describe(&names).await;
        let found = &groups.listing(&names).await.unwrap()["ci"];
        assert_eq!(found.as_ref().map(Vec::len).map_err(|error| error.kind), listed, "{code}");
    }
}

#[tokio::test]
async fn an_instance_sees_its_place_and_its_room() {
    let (_folder, program) = program(&format!("echo '{GROUP}'"));
    let host = host(program);
    assert_eq!(host.membership().await, Ok(Membership::InService { protected: true }));
    assert_eq!(host.group_size().await, Ok(GroupSize { desired: 3, min: 1, floor: 2, members: 3, rank: 1 }));
    let of = |instance: &str| answer::parse::<Description>(GROUP.as_bytes()).unwrap().membership(instance).unwrap();
    assert_eq!(of("a"), Membership::InService { protected: false }, "what is not said is not so");
    assert_eq!(of("c"), Membership::Pending { waiting: false });
    assert_eq!(of("d"), Membership::Terminating { waiting: false });
    assert_eq!(of("e"), Membership::Outside);
}

#[test]
fn without_a_list_of_members_nobody_is_outside() {
    let described: Description = answer::parse(br#"{"max":9,"desired":3}"#).unwrap();
    assert!(described.membership("b").unwrap_err().contains("`members`"));
}

#[tokio::test]
async fn an_instance_protects_itself_leaves_and_ends_with_its_reason() {
    let (folder, program) = program("");
    let host = host(program);
    host.protect(true).await.unwrap();
    host.record_reason("idle for 5m").await.unwrap();
    host.leave(Leave::Decrement).await.unwrap();
    host.leave(Leave::Replace).await.unwrap();
    host.terminate().await.unwrap();
    let expected = [
        "protect ci b",
        "leave ci b lower because idle for 5m",
        "leave ci b lower because idle for 5m",
        "terminate ci b because idle for 5m",
    ];
    assert_eq!(asked(&folder), expected);
}

#[tokio::test]
async fn what_is_not_said_of_a_cloud_is_what_cannot_end_a_job() {
    let told = |json: &str| Capabilities::from(answer::parse::<WhoamiAnswer>(json.as_bytes()).unwrap().capabilities);
    assert_eq!(told(r#"{"instance":"a"}"#), CAPABILITIES);
    assert_eq!(CAPABILITIES.protection, ProtectionSupport::OnDemand, "no job before protection was seen");
    let more = r#"{"instance":"a","capabilities":{"protection":"never","leaving_lowers_capacity":false,"power_off_ends_billing":true}}"#;
    let expected = Capabilities {
        protection: ProtectionSupport::Never,
        leaving_lowers_capacity: false,
        power_off_ends_billing: true,
        ..CAPABILITIES
    };
    assert_eq!(told(more), expected);
    assert_eq!(
        told(r#"{"instance":"a","capabilities":{"protection":"at-launch"}}"#).protection,
        ProtectionSupport::OnDemand,
        "it is believed when it is seen"
    );
    let (folder, program) =
        program(&format!("case $1 in whoami) echo '{}' ;; esac", more.replace("\"a\"", "\"a\",\"group\":\"ci\"")));
    let identity = CommandNotices::new(program.clone()).identity(TIMEOUT).await.unwrap();
    let host = CommandHost::new(program, identity);
    assert_eq!((host.capabilities(), host.group().as_deref()), (expected, Some("ci")));
    host.leave(Leave::Replace).await.unwrap();
    assert_eq!(asked(&folder).last().unwrap(), "leave ci a keep");
}

#[tokio::test]
async fn an_exit_code_says_what_to_do_and_the_error_names_program_code_last_line_and_remedy() {
    for (code, raise, leave) in [
        (10, CloudErrorKind::InProgress, CloudErrorKind::InProgress),
        (11, CloudErrorKind::OutOfBounds, CloudErrorKind::AtFloor),
        (12, CloudErrorKind::NotFound, CloudErrorKind::NotFound),
        (13, CloudErrorKind::Denied, CloudErrorKind::Denied),
        (14, CloudErrorKind::Unreachable, CloudErrorKind::Unreachable),
        (15, CloudErrorKind::Denied, CloudErrorKind::Denied),
        (1, CloudErrorKind::Other, CloudErrorKind::Other),
        (127, CloudErrorKind::Other, CloudErrorKind::Other),
    ] {
        let (_folder, program) = program(&format!("echo first >&2; echo the last >&2; exit {code}"));
        let raised = program.ask(Verb::Raise, &["ci", "3"]).await.unwrap_err();
        let left = program.ask(Verb::Leave, &["ci", "b", "lower"]).await.unwrap_err();
        assert_eq!((raised.kind, left.kind), (raise, leave), "{code}");
        for part in ["/cloud raise ci 3` exited with", &format!("with {code}; it said: the last; ")] {
            assert!(raised.message.contains(part), "{} lacks {part}", raised.message);
        }
    }
    let (_folder, program) = program("kill -9 $$");
    let killed = program.ask(Verb::Raise, &["ci", "3"]).await.unwrap_err();
    assert_eq!(killed.kind, CloudErrorKind::Other, "it may have had an effect");
    assert!(killed.message.contains("was ended by a signal; it wrote nothing"), "{}", killed.message);
    let (_folder, much) = self::program(&format!("echo 'the call {} no room' >&2; exit 1", "between ".repeat(500)));
    let much = much.ask(Verb::Raise, &["ci", "3"]).await.unwrap_err();
    assert!(much.message.contains("; it said: the call between "), "{}", much.message);
    assert!(much.message.contains(" no room; what it means"), "what fails stands at the end: {}", much.message);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_has_had_no_effect() {
    let error = CloudProgram::new(&["/no/such/rack".into()]).ask(Verb::Raise, &["ci", "3"]).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    assert!(
        error.message.contains("cannot start /no/such/rack") && error.message.contains("correct `cloud`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_understood_is_nothing_and_says_why() {
    for (printed, why) in [
        ("", "it is empty"),
        ("3", "invalid type"),
        (r#"{"max":9}"#, "missing field `desired`"),
        (r#"{"max":9,"desired":-1}"#, "invalid value"),
        (r#"{"max":9,"desired":1,"flor":"2"}"#, "unknown field `flor`"),
        (r#"{"max":9,"desired":1,"members":[{"instance":"b","state":"gone"}]}"#, "unknown variant `gone`"),
    ] {
        let (_folder, program) = program(&format!("echo '{printed}'"));
        let error = host(program).membership().await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Other, "never outside of its group: {printed}");
        assert!(error.message.contains(why) && error.message.contains("docs/clouds.md"), "{error}");
    }
}

#[tokio::test]
async fn one_whom_the_program_does_not_know_has_not_ended() {
    let (_folder, program) = program("exit 12");
    let host = host(program);
    assert_eq!(host.membership().await, Ok(Membership::Outside));
    assert_eq!(host.group_size().await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(host.terminate().await.unwrap_err().kind, CloudErrorKind::NotFound, "who asks is alive");
}

#[tokio::test]
async fn the_settings_alone_choose_it() {
    let (_folder, program) = program(
        r#"echo '{"instance":"a","tags":{"lightsout:slots":"2","other":"x"},"machine_type":"m4","spot":false}'"#,
    );
    let argv = program.argv;
    let (place, notices) = crate::find_cloud(&argv, TIMEOUT).await.unwrap();
    assert_eq!(crate::INSTANCE_PROVIDERS[place].provider.cloud, CloudName::Program);
    let tags = notices.tags("lightsout:", TIMEOUT).await.unwrap();
    assert_eq!(tags, [("lightsout:slots".to_owned(), "2".to_owned())]);
    let identity = notices.identity(TIMEOUT).await.unwrap();
    assert_eq!(identity.machine, Machine { machine_type: Some("m4".into()), spot: Some(false) });
}

#[tokio::test]
async fn a_diagnosis_says_what_it_promises_and_what_is_seen_of_that() {
    let look = async |does: &str, group: Option<&str>| {
        let (folder, program) = program(does);
        let identity = Identity {
            instance: "b".into(),
            location: String::new(),
            group: group.map(str::to_owned),
            machine: Machine::default(),
            capabilities: Some(CAPABILITIES),
        };
        let settings = crate::HostSettings { program: program.argv, ..crate::HostSettings::default() };
        let facts = diagnosis::instance(identity, settings).await.program.unwrap();
        assert!(asked(&folder).iter().all(|asked| asked == "describe ci"), "it changes nothing");
        (facts.membership.unwrap(), facts.group)
    };
    let (membership, group) = look(&format!("echo '{GROUP}'"), Some("ci")).await;
    assert_eq!(membership, Ok(Membership::InService { protected: true }));
    let group = group.unwrap().unwrap();
    assert_eq!((group.min, group.max, group.desired, group.versioned), (1, 9, 3, true));
    assert_eq!(look("exit 12", Some("ci")).await, (Ok(Membership::Outside), None));
    assert_eq!(look("", None).await, (Ok(Membership::Outside), None));
    let (membership, group) = look("exit 14", Some("ci")).await;
    assert!(membership.unwrap_err().contains("exited with 14") && group.unwrap().is_err());
}

/// On a workstation there is no instance, and the settings of the pool name the program.
#[tokio::test]
async fn a_group_is_looked_at_from_a_workstation_by_the_pools_own_program() {
    let look = async |does: &str| {
        let (folder, program) = program(does);
        let location = Location { cloud: CloudName::Program, region: None, program: program.argv };
        let facts =
            GROUP_SURVEY(crate::WantedGroup { location, name: "ci".into(), most: None, secrets: Vec::new() }).await;
        assert_eq!(asked(&folder), ["describe ci"], "it changes nothing");
        facts
    };
    let facts = look(&format!("echo '{GROUP}'")).await;
    let ProgramFacts { membership, group, .. } = facts.program.unwrap();
    assert_eq!((membership, facts.group.is_none()), (None, true));
    assert_eq!(group, Some(Ok(ProgramGroup { min: 1, max: 9, desired: 3, versioned: true })));
    let absent = look("exit 12").await;
    assert!(absent.group.is_none() && absent.program.is_none(), "there is no such group");
    for (does, why) in [("exit 14", "exited with 14"), ("echo '{\"max\":1}'", "desired"), ("kill -9 $$", "signal")] {
        let facts = look(does).await;
        let said = facts.group.unwrap().unwrap_err();
        assert!(said.contains(why) && facts.program.is_none(), "{said}");
    }
}

/// The sign is asked for where the program keeps one, and is worth something only where each member has it.
#[tokio::test]
async fn who_was_never_ready_is_told_by_programs_that_keep_it() {
    let members = |list: &str| format!("[ $1 != describe ] || echo '{{\"max\":9,\"desired\":2,\"members\":[{list}]}}'");
    let one = |name: &str, more: &str| format!("{{\"instance\":\"{name}\",\"state\":\"in-service\"{more}}}");
    let started = "\"started\":\"2026-11-27T06:00:00Z\"";
    let signed = |name: &str, ready: &str| one(name, &format!(",{started},\"ready\":{ready}"));
    let gone = "{\"instance\":\"d\",\"state\":\"terminating\"}";
    for (list, wanted, asked_for) in [
        (
            format!("{},{},{gone}", signed("a", "\"2026-11-27T06:02:00Z\""), signed("b", "null")),
            Some(vec![Some("2026-11-27T06:02:00Z"), None]),
            true,
        ),
        (format!("{},{}", one("a", ""), signed("b", "null")), None, true),
        (format!("{},{}", one("a", ""), one("b", &format!(",{started}"))), None, false),
        (format!("{},{}", one("a", ""), one("b", ",\"ready\":null")), None, true),
        (String::new(), Some(Vec::new()), false),
    ] {
        let (folder, program) = program(&members(&list));
        let groups = CommandGroups::new(program.clone());
        let found = groups.members("ci").await.unwrap();
        let ready = found.map(|found| found.iter().map(|it| it.ready.map(|at| at.to_string())).collect::<Vec<_>>());
        assert_eq!(ready, wanted.map(|all| all.into_iter().map(|it| it.map(str::to_owned)).collect()), "{list}");
        host(program).record_ready().await.unwrap();
        assert_eq!(asked(&folder).contains(&"ready ci b".to_owned()), asked_for, "{list}");
    }
}

/// The scaler raises and agents see where they belong whatever is printed of one member's times.
#[tokio::test]
async fn a_time_that_cannot_be_read_is_said_by_key_and_spoils_nothing_else() {
    let member = |name: &str, started: &str, ready: &str| {
        format!("{{\"instance\":\"{name}\",\"state\":\"in-service\",\"started\":{started},\"ready\":{ready}}}")
    };
    let (start, ready) = ("\"2026-11-27T06:00:00Z\"", "\"2026-11-27T06:02:00Z\"");
    for (bad, said) in [
        (member("b", "\"yesterday\"", "null"), "`started` of \"b\" is \"yesterday\", which is no time:"),
        (member("b", start, "1764223200"), "`ready` of \"b\" is 1764223200, which is no time:"),
        (member("b", "{}", "\"\""), "`started` of \"b\" is {}, which is no time; and 1 more are none:"),
    ] {
        let list = [member("a", start, ready), bad, member("c", start, "null")].join(",");
        let (_folder, program) =
            program(&format!("[ $1 != describe ] || echo '{{\"max\":9,\"desired\":3,\"members\":[{list}]}}'"));
        let groups = CommandGroups::new(program.clone());
        let view = groups.describe(&["ci".to_owned()].into()).await.unwrap().remove("ci").unwrap().unwrap();
        assert_eq!((view.desired, view.doubts.len()), (3, 1), "{said}");
        assert!(view.doubts[0].text.contains(said), "{:?}", view.doubts);
        let signed = groups.members("ci").await.unwrap().unwrap();
        let signs: Vec<_> = signed.iter().map(|member| member.ready.is_some()).collect();
        assert_eq!(signs, [true, false], "the others count as ever");
        let membership = host(program).membership().await.unwrap();
        assert_eq!(membership, Membership::InService { protected: false });
    }
}
