//! What a raise of the program comes to: those that lower are found out, and nobody else is suspected.

use std::time::{Duration, Instant};

use lightsout_io::testing::Sink;

use super::{
    super::raises::{Raises, Reading, Verdict},
    *,
};

/// What `describe` prints: so many desired, and these members in service; `None`: it lists nobody.
fn described(desired: u32, members: Option<&[&str]>) -> String {
    let listed = |members: &[&str]| {
        let members: Vec<_> =
            members.iter().map(|id| format!(r#"{{"instance":"{id}","state":"in-service"}}"#)).collect();
        format!(r#","members":[{}]"#, members.join(","))
    };
    format!(r#"{{"max":9,"desired":{desired}{}}}"#, members.map(listed).unwrap_or_default())
}

/// A program whose group the test writes: how it is, and how it will be found after a raise.
struct Scripted {
    folder: TempDir,
    groups: CommandGroups,
}

impl Scripted {
    fn new() -> Self {
        let (folder, program) = program(
            "cd \"$(dirname \"$0\")\"
             case $1 in describe) cat now ;; raise) cp then now; exit $(cat code 2>/dev/null || echo 0) ;; esac",
        );
        Self { folder, groups: CommandGroups::new(program) }
    }

    async fn look(&self) -> GroupView {
        self.groups.describe(&BTreeSet::from(["ci".to_owned()])).await.unwrap()["ci"].clone().unwrap()
    }

    /// A raise of the group that is like this, and is like that at the next look.
    async fn raise(&self, now: &str, then: &str) -> Result<(), CloudError> {
        fs::write(self.folder.path().join("now"), now).unwrap();
        fs::write(self.folder.path().join("then"), then).unwrap();
        let seen = self.look().await;
        self.groups.raise(&seen, 7).await
    }

    /// The log of three such raises; each has done what it could, and the group is never held.
    async fn told_of_three(now: &str, then: &str) -> String {
        let (scripted, sink) = (Self::new(), Sink::default());
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        for _ in 0..3 {
            scripted.raise(now, then).await.unwrap();
            for _ in 0..2 {
                assert_eq!(scripted.look().await.unscalable, None);
            }
        }
        sink.text()
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const FIVE: Option<&[&str]> = Some(&["a", "b", "c", "d", "e"]);

#[tokio::test]
async fn a_program_whose_instances_leave_during_a_raise_is_never_held() {
    // Raised to 7; three leave, one of which is still there and terminating.
    let then = r#"{"max":9,"desired":4,"members":[{"instance":"a","state":"in-service"},{"instance":"b","state":"terminating"},
        {"instance":"c","state":"in-service"},{"instance":"f","state":"pending"},{"instance":"g","state":"pending"}]}"#;
    assert_eq!(Scripted::told_of_three(&described(5, FIVE), then).await, "", "nor told of");
}

#[tokio::test]
async fn where_no_members_are_listed_less_is_told_each_time_and_nobody_is_held() {
    let told = Scripted::told_of_three(&described(5, None), &described(4, None)).await;
    assert_eq!(told.matches("WARN").count(), 3, "once for each raise: {told}");
    for part in ["less is desired after a raise", "lists all members", "before=5", "desired=4"] {
        assert_eq!(told.matches(part).count(), 3, "{told} lacks {part}");
    }
}

#[tokio::test]
async fn a_program_that_lowers_although_its_members_stayed_is_held_after_two_in_a_row() {
    let scripted = Scripted::new();
    let (five, four, seven) = (described(5, FIVE), described(4, FIVE), described(7, FIVE));
    let raise = async |then: &str| {
        scripted.raise(&five, then).await.unwrap();
        scripted.look().await.unscalable
    };
    assert_eq!(raise(&four).await, None, "once, somebody else may have");
    assert_eq!(raise(&seven).await, None);
    assert_eq!(raise(&four).await, None, "one that raised came between");
    let told = raise(&four).await.unwrap();
    assert!(told.contains("2 raises in a row have lowered it") && told.contains("docs/clouds.md"), "{told}");
    assert!(scripted.look().await.unscalable.is_some(), "it is told at each look");
}

#[tokio::test]
async fn a_raise_waits_for_no_look_at_the_group() {
    let (folder, program) = program(
        "cd \"$(dirname \"$0\")\"
         case $1 in raise) : >raised ;; describe) test ! -e raised || kill -STOP $$; echo '{\"max\":9,\"desired\":5}' ;; esac",
    );
    let groups = CommandGroups::new(program);
    let seen = groups.describe(&BTreeSet::from(["ci".to_owned()])).await.unwrap()["ci"].clone().unwrap();
    groups.raise(&seen, 7).await.unwrap();
    assert_eq!(asked(&folder), ["describe ci", "raise ci 7"], "a `describe` would not come back");
}

#[tokio::test]
async fn a_raise_that_had_no_effect_has_lowered_nothing() {
    // An operator lowers, for which reason the raise is refused. One that fails otherwise may have done it.
    for (code, held) in [("10", false), ("14", false), ("1", true)] {
        let scripted = Scripted::new();
        fs::write(scripted.folder.path().join("code"), code).unwrap();
        for _ in 0..2 {
            scripted.raise(&described(5, FIVE), &described(3, FIVE)).await.unwrap_err();
            scripted.look().await;
        }
        assert_eq!(scripted.look().await.unscalable.is_some(), held, "{code}");
    }
}

#[test]
fn a_later_run_knows_what_was_raised_and_how_long_nothing_is() {
    let (five, four) = (reading(5, FIVE.unwrap()), reading(4, FIVE.unwrap()));
    let (start, clock) = (Instant::now() + HOUR, "2026-11-27T06:00:00Z".parse::<Timestamp>().unwrap());
    let at = |seconds: u64| (start + Duration::from_secs(seconds), clock + Duration::from_secs(seconds));
    let mut raises = Raises::default();
    assert_eq!(raises.memory(at(0)), None, "nothing was raised");
    for (seconds, held) in [(0, false), (60, true)] {
        raises.look(&five, at(seconds).0);
        raises.begin();
        // The run ends with its raise. The next one is another process, whose clock of its own begins anew.
        raises = Raises::recalled(&raises.memory(at(seconds)).unwrap(), at(seconds + 30)).unwrap();
        assert_eq!(raises.look(&four, at(seconds + 30).0).unwrap().1, Verdict::Lowered);
        assert_eq!(raises.held(at(seconds + 30).0).is_some(), held);
    }
    let memory = raises.memory(at(100)).unwrap();
    for (seconds, held) in [(100, true), (689, true), (690, false)] {
        let raises = Raises::recalled(&memory, at(seconds)).unwrap();
        assert_eq!(raises.held(at(seconds).0).is_some(), held, "{seconds}");
    }
    assert!(Raises::recalled("{}", at(0)).is_none() && Raises::recalled("", at(0)).is_none());
}

fn reading(desired: u32, members: &[&str]) -> Reading {
    Reading { desired, members: Some(members.iter().map(|&id| id.to_owned()).collect()) }
}

#[test]
fn it_is_held_for_ten_minutes_each_time_and_no_longer() {
    let (five, four, seven) = (reading(5, FIVE.unwrap()), reading(4, FIVE.unwrap()), reading(7, FIVE.unwrap()));
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut raises = Raises::default();
    let mut raise = |then: &Reading, seconds: u64| {
        raises.look(&five, at(seconds));
        raises.begin();
        raises.look(then, at(seconds));
        [0, 1, 599, 600, 10_000].map(|later| raises.held(at(seconds + later)))
    };
    assert_eq!(raise(&four, 0), [const { None }; 5]);
    let [first, _, last, expired, for_good] = raise(&four, 100);
    assert!(first.unwrap().contains("for another 10m;") && last.unwrap().contains("for another 1s;"));
    assert_eq!((expired, for_good), (None, None), "it expires");
    let [again, .., expired, _] = raise(&four, 800);
    assert!(again.unwrap().contains("3 raises in a row"), "it has lowered ever since");
    assert_eq!(expired, None);
    assert_eq!(raise(&seven, 2_000), [const { None }; 5], "it has been corrected");
    assert_eq!(raise(&four, 3_000), [const { None }; 5], "so that one is the first again");
}

#[test]
fn only_what_no_leaving_instance_explains_is_proof() {
    let four = &["a", "b", "c", "d"];
    for (before, now, verdict) in [
        (reading(4, four), reading(6, four), Verdict::Kept),
        (reading(4, four), reading(3, &["a", "b", "c", "e", "f"]), Verdict::Kept),
        (reading(4, four), reading(2, &["a", "b", "c"]), Verdict::Lowered),
        (reading(4, four), reading(3, four), Verdict::Lowered),
        // Somebody who was started into a free place may have left again, unseen.
        (reading(6, four), reading(5, four), Verdict::Unclear),
        (reading(6, four), reading(3, four), Verdict::Lowered),
        // Of those who were too many nobody held a place.
        (reading(3, four), reading(3, four), Verdict::Kept),
        (reading(3, four), reading(2, &["a", "b", "c"]), Verdict::Kept),
        (reading(3, four), reading(2, four), Verdict::Lowered),
        (reading(4, four), Reading { desired: 3, members: None }, Verdict::Unclear),
        (Reading { desired: 4, members: None }, reading(3, four), Verdict::Unclear),
        (reading(4, &[]), reading(3, &[]), Verdict::Unclear),
    ] {
        let mut raises = Raises::default();
        assert_eq!(raises.look(&before, Instant::now()), None, "nothing was raised");
        raises.begin();
        assert_eq!(raises.look(&now, Instant::now()), Some((before.desired, verdict)), "{before:?} {now:?}");
        assert_eq!(raises.look(&before, Instant::now()), None, "each raise is judged once");
    }
}
