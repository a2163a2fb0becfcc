//! Records are dropped at random: no sentence without its evidence, and no wrong cause.

use std::collections::BTreeSet;

use lightsout_core::explain::{Answer, Cause, Evidence, Question, explain};
use proptest::prelude::*;

use crate::{made::at, scenarios};

/// A minute after the newest.
fn now(evidence: &[Evidence]) -> jiff::Timestamp {
    let newest = evidence.iter().map(|it| it.time).max().unwrap_or(at(0));
    jiff::Timestamp::from_second(newest.as_second() + 1).unwrap()
}

/// What a finding rests on, out of this evidence.
fn basis(answer: &Answer, index: usize, evidence: &[Evidence]) -> Vec<Evidence> {
    let references: BTreeSet<_> =
        answer.known[index].basis.references().map(|it| (it.time, it.source.clone(), it.kind)).collect();
    let found: Vec<_> = evidence
        .iter()
        .filter(|it| references.contains(&(it.time, it.source.clone(), it.said.kind())))
        .cloned()
        .collect();
    assert_eq!(found.len(), references.len(), "all of it is among what was read: {references:?}");
    found
}

/// Each finding is true in this scenario, and follows from its own evidence alone.
fn holds(name: &str, question: &Question, evidence: &[Evidence], truth: &BTreeSet<Cause>) {
    let answer = explain(question, evidence, now(evidence));
    assert!(answer.is_known() || !answer.not_known.is_empty(), "{name}: an answer says something");
    for (index, finding) in answer.known.iter().enumerate() {
        assert!(truth.contains(&finding.cause), "{name}: {:?} is not so: {answer}", finding.cause);
        let mut alone = basis(&answer, index, evidence);
        if matches!(question, Question::Job(_)) && index > 0 {
            // Why its pool or its instance is as it is: what names the job leads there.
            alone.extend(basis(&answer, 0, evidence));
        }
        let again = explain(question, &alone, now(evidence));
        assert!(
            again.names(finding.cause),
            "{name}: {:?} does not follow from its evidence alone: {answer}",
            finding.cause
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_sentence_without_its_evidence_and_no_wrong_cause(keep in any::<u16>(), swap in any::<u8>()) {
        for scenario in scenarios::all() {
            let mut evidence: Vec<Evidence> =
                scenario.evidence.iter().enumerate().filter(|(n, _)| keep >> n & 1 == 1).map(|(_, it)| it.clone()).collect();
            if !evidence.is_empty() {
                let turn = usize::from(swap) % evidence.len();
                evidence.rotate_left(turn);
            }
            holds(scenario.name, &scenario.question, &evidence, &scenario.truth);
        }
    }
}

#[test]
fn each_cause_is_named_in_a_scenario() {
    let named: BTreeSet<Cause> = scenarios::all()
        .into_iter()
        .flat_map(|it| explain(&it.question, &it.evidence, now(&it.evidence)).known)
        .map(|finding| finding.cause)
        .collect();
    let missing: Vec<_> = Cause::ALL.iter().filter(|cause| !named.contains(cause)).collect();
    assert!(missing.is_empty(), "no scenario has records dropped for {missing:?}");
}

#[test]
fn with_all_of_the_evidence_the_cause_comes_first() {
    for scenario in scenarios::all() {
        let answer = explain(&scenario.question, &scenario.evidence, now(&scenario.evidence));
        assert_eq!(answer.known.first().map(|it| it.cause), Some(scenario.first), "{}: {answer}", scenario.name);
        let named: BTreeSet<_> = answer.known.iter().map(|it| it.cause).collect();
        assert!(named.is_subset(&scenario.truth), "{}: {answer}", scenario.name);
        holds(scenario.name, &scenario.question, &scenario.evidence, &scenario.truth);
    }
}
