//! `notice`: what is told once, withdrawn, put off or cannot be read.

use super::*;

#[test]
fn each_notice_is_told_once_and_a_nearer_end_again() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2026-11-27T06:00:00Z");
    let news = |json: &str| answer::parse::<News>(json.as_bytes()).unwrap();
    let mut heard = SeenNews::default();
    assert_eq!(heard.news(news("{}"), now), []);
    let end = news(r#"{"terminate":true,"interruption":"2026-11-27T06:10:00Z","order":"drain"}"#);
    let interruption = Notice::Ending { by: Ending::Termination, at: Some(at("2026-11-27T06:10:00Z")) };
    let first = [Notice::Target(TargetState::Terminated), interruption, Notice::Order(Some("drain".into()))];
    assert_eq!(heard.news(end.clone(), now), first);
    assert_eq!(heard.news(end, now), []);
    let nearer =
        news(r#"{"terminate":true,"interruption":"2026-11-27T05:00:00Z","rebalance":true,"maintenance":true}"#);
    let soon = Notice::Ending { by: Ending::Termination, at: Some(at("2026-11-27T06:00:05Z")) };
    let expected = [soon, Notice::Rebalance, Notice::Ending { by: Ending::Maintenance, at: None }, Notice::Order(None)];
    assert_eq!(
        heard.news(nearer, now),
        expected,
        "a moment that has passed is now, and an order that is gone holds no more"
    );
}

#[test]
fn a_recommendation_and_maintenance_that_are_withdrawn_are_lifted_once() {
    let now = "2026-11-27T06:00:00Z".parse::<Timestamp>().unwrap();
    let mut heard = SeenNews::default();
    let both = News { rebalance: true, maintenance: true, ..News::default() };
    heard.news(both.clone(), now);
    assert_eq!(heard.news(both, now), []);
    assert_eq!(heard.news(News::default(), now), [Notice::RebalanceLifted, Notice::Lifted(Ending::Maintenance)]);
    assert_eq!(heard.news(News::default(), now), []);
}

#[test]
fn an_end_that_is_withdrawn_or_put_off_holds_no_more() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2026-11-27T06:00:00Z");
    let told = |text: &str, terminate| {
        answer::parse::<News>(format!("{{\"interruption\":{text:?},\"terminate\":{terminate}}}").as_bytes()).unwrap()
    };
    for (terminate, by) in [(false, Ending::Interruption), (true, Ending::Termination)] {
        let mut heard = SeenNews::default();
        let ending = |text: &str| Notice::Ending { by, at: Some(at(text)) };
        heard.news(told("2026-11-27T06:10:00Z", terminate), now);
        let put_off = heard.news(told("2026-11-27T07:00:00Z", terminate), now);
        assert_eq!(put_off, [Notice::Lifted(by), ending("2026-11-27T07:00:00Z")]);
        // What was told is taken back, whatever `terminate` says by then.
        assert_eq!(heard.news(News::default(), now), [Notice::Lifted(by)]);
        assert_eq!(heard.news(News::default(), now), []);
    }
    let mut heard = SeenNews::default();
    heard.news(told("2026-11-27T05:00:00Z", false), now);
    for later in ["2026-11-27T06:00:30Z", "2026-11-27T06:05:00Z"] {
        assert_eq!(heard.news(told("2026-11-27T05:00:00Z", false), at(later)), [], "it has begun, and is not put off");
    }
}

/// It may come at any time: the instance takes no more jobs, and none is failed for a time that nobody has told.
#[test]
fn an_interruption_whose_time_cannot_be_read_is_one_without_a_time_and_spoils_nothing_else() {
    let now = "2026-11-27T06:00:00Z".parse().unwrap();
    let told = |time: &str| {
        let text = format!("{{\"interruption\":{time},\"rebalance\":true,\"order\":\"drain\"}}");
        answer::parse::<News>(text.as_bytes()).expect("its other keys")
    };
    let ending = |at| Notice::Ending { by: Ending::Interruption, at };
    for unread in ["\"soon\"", "1764223200", "true", "{}"] {
        let mut heard = SeenNews::default();
        let rest = [Notice::Rebalance, Notice::Order(Some("drain".into()))];
        assert_eq!(heard.news(told(unread), now), [&[ending(None)][..], &rest].concat(), "{unread}");
        assert_eq!(heard.news(told(unread), now), [], "it is told once");
        let time = "2026-11-27T06:10:00Z".parse().unwrap();
        assert_eq!(heard.news(told("\"2026-11-27T06:10:00Z\""), now), [ending(Some(time))], "it can be read at last");
        assert_eq!(heard.news(told(unread), now), [], "what was read holds");
        assert_eq!(heard.news(told("null"), now), [Notice::Lifted(Ending::Interruption)]);
        heard.news(told(unread), now);
        assert_eq!(heard.news(told("null"), now), [Notice::Lifted(Ending::Interruption)]);
    }
}
