//! Each row of `doctor`'s table is met by facts that break it, and by no other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod facts;
mod good;

use std::collections::BTreeSet;

use facts::Break;
use good::good;
use lightsout_core::doctor::{Facts, Finding, Place, Verdict, examine, rows, summary};

fn not_ok(facts: &Facts) -> Vec<Finding> {
    examine(facts).into_iter().filter(|finding| finding.verdict != Verdict::Ok).collect()
}

#[test]
fn a_sound_instance_a_sound_image_and_a_sound_account_are_all_ok() {
    let mut shown = BTreeSet::new();
    for place in [Place::Instance, Place::Image, Place::Workstation] {
        let facts = good(place);
        assert_eq!(not_ok(&facts), []);
        shown.extend(examine(&facts).iter().map(|finding| finding.id));
    }
    let all: BTreeSet<_> = rows().map(|row| row.id).collect();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), Vec::<&&str>::new(), "rows without a fact that is good");
}

#[test]
fn each_row_is_broken_by_a_fact_of_its_own() {
    let mut broken = BTreeSet::new();
    for Break { id, verdict, place, change } in facts::BREAKS {
        let mut facts = good(*place);
        change(&mut facts);
        let found = not_ok(&facts);
        let seen: Vec<_> = found.iter().map(|finding| (finding.id, finding.verdict)).collect();
        assert_eq!(seen, [(*id, *verdict)], "{found:?}");
        let remedy = found[0].remedy.as_deref().unwrap_or_default();
        assert!(!remedy.is_empty() && !found[0].seen.is_empty(), "{found:?}");
        broken.insert(*id);
    }
    let all: BTreeSet<_> = rows().map(|row| row.id).collect();
    assert_eq!(all.difference(&broken).collect::<Vec<_>>(), Vec::<&&str>::new(), "rows that nothing breaks");
}

/// What cannot be told on a workstation is never called good, and its remedy is to look again, not to change what nobody saw.
#[test]
fn what_is_denied_on_a_workstation_is_a_warning_for_whoever_asks() {
    let mut facts = good(Place::Workstation);
    let cloud = facts.cloud.as_mut().unwrap();
    cloud.other_scalers = Some(Err("the credentials lack the right autoscaling:DescribePolicies".into()));
    let found = not_ok(&facts);
    assert_eq!((found[0].id, found[0].verdict), ("group.other-scalers", Verdict::Warning));
    assert!(found[0].seen.contains("autoscaling:DescribePolicies"), "{found:?}");
    let remedy = found[0].remedy.as_deref().unwrap();
    assert!(remedy.contains("credentials") && !remedy.contains("delete"), "{remedy}");
    // Nothing of it is about an instance.
    let of_instances = ["metadata", "instance.member", "instance.power-off", "rights", "settings", "docker"];
    assert!(examine(&facts).iter().all(|finding| !of_instances.contains(&finding.id)));
}

/// Of several that an instance may start from, one is enough to leave a machine that nobody ends.
#[test]
fn a_finding_about_one_of_several_templates_names_that_one_alone() {
    let mut facts = good(Place::Workstation);
    facts.cloud.as_mut().unwrap().templates[1].power_off_ends = Some(false);
    let found = not_ok(&facts);
    assert_eq!(found.iter().map(|finding| finding.id).collect::<Vec<_>>(), ["template.power-off"]);
    assert!(
        found[0].seen.starts_with("ci-arm64, version 1: stop") && !found[0].seen.contains("version 3"),
        "{found:?}"
    );
}

/// The agent takes the one identity that its environment names.
#[test]
fn of_several_identities_one_that_has_all_rights_is_enough() {
    let mut facts = good(Place::Workstation);
    let roles = &mut facts.cloud.as_mut().unwrap().scale_set.as_mut().unwrap().roles;
    roles[0].difference = Err("it is denied".into());
    assert_eq!(not_ok(&facts), []);
}

/// A thousand names are no help.
#[test]
fn machines_of_another_model_are_counted_and_some_are_named() {
    let mut facts = good(Place::Workstation);
    let others = (1..=12).map(|at| format!("ci_{at}")).collect();
    let members = &mut facts.cloud.as_mut().unwrap().scale_set.as_mut().unwrap().members;
    *members = Some(Ok(facts::models(20, others)));
    let found = not_ok(&facts);
    assert!(found[0].seen.starts_with("12 of 20 are of an older one"), "{found:?}");
    assert!(found[0].seen.ends_with("ci_9, ci_10, and 2 more"), "{found:?}");
}

#[test]
fn ids_are_unique_and_rows_say_what_must_hold_and_what_to_do() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert!(seen.insert(row.id), "{} stands twice", row.id);
        assert!(!row.meaning.is_empty() && !row.remedy.is_empty() && !row.meaning.ends_with('.'), "{row:?}");
        // They stand in a table of Markdown.
        assert!(![row.meaning, row.remedy].iter().any(|text| text.contains(['|', '\n'])), "{row:?}");
    }
}

#[test]
fn what_cannot_be_told_is_said_and_remedies_name_the_instance() {
    let mut facts = good(Place::Instance);
    facts.machine.ways_out = Some(Err("/proc is not there".into()));
    let found = not_ok(&facts);
    assert_eq!(
        (found[0].id, found[0].verdict, found[0].seen.as_str()),
        ("network.ways-out", Verdict::Unknown, "/proc is not there")
    );
    assert_eq!(examine(&Facts::default()).iter().filter(|finding| finding.verdict == Verdict::Wrong).count(), 0);
    let text = summary(&found);
    assert_eq!(text, "0 ok; 1 cannot be told: network.ways-out");
}

#[test]
fn an_image_says_in_whose_place_it_stands() {
    let mut facts = good(Place::Workstation);
    let image = facts.cloud.as_mut().unwrap().next_images[0].as_mut().unwrap();
    image.passed_over = vec!["1.10.0, which is Failed".into()];
    let found = examine(&facts).into_iter().find(|finding| finding.id == "template.image").unwrap();
    assert!(found.verdict == Verdict::Ok && found.seen.contains("(not 1.10.0, which is Failed)"), "{found:?}");
}
