use tracing::{debug, info, warn};

use super::*;
use crate::testing::Sink;

/// What is written in this style at this level.
fn written(format: Format, journal: bool, level: &str, log: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let style = Style { format, journal, colour: false };
    let layer = layer(style, move || writer.clone()).with_filter(targets(level).unwrap());
    tracing::subscriber::with_default(Registry::default().with(layer), log);
    sink.text()
}

#[test]
fn json_is_one_flat_object_a_line() {
    let text = written(Format::Json, false, "info", || {
        info!(pool = "linux", tick = 7, desired = 3, dry_run = true, share = 0.5, why = %"queue", error = ?Some("x"), "raised\nquite \"a bit\"");
        debug!("not shown");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{text}");
    let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(lines[0]).unwrap();
    let timestamp = line.remove("timestamp").unwrap();
    let timestamp = timestamp.as_str().unwrap();
    assert!(timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T', "{timestamp}");
    assert_eq!(
        serde_json::Value::Object(line),
        serde_json::json!({
            "level": "INFO", "target": "lightsout_io::log::tests", "message": "raised\nquite \"a bit\"",
            "pool": "linux", "tick": 7, "desired": 3, "dry_run": true, "share": 0.5, "why": "queue", "error": "Some(\"x\")"
        })
    );
}

#[test]
fn the_journal_gets_priorities_and_no_time() {
    let text = written(Format::Text, true, "debug", || {
        warn!(ms = 812, "slow");
        info!("raised");
        debug!("asked");
        tracing::error!("broken");
    });
    assert_eq!(text, "<4>slow ms=812\n<6>raised\n<7>asked\n<3>broken\n");
}

#[test]
fn text_has_time_level_and_fields() {
    let text = written(Format::Text, false, "info", || info!(pool = "linux", "raised"));
    assert!(text.contains(" INFO ") && text.ends_with("raised pool=\"linux\"\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn libraries_are_quiet_unless_named() {
    let shows = |level: &str, target: &str, at: tracing::Level| targets(level).unwrap().would_enable(target, &at);
    assert!(shows("info", "lightsout_io::http", tracing::Level::INFO));
    assert!(!shows("info", "lightsout_io::http", tracing::Level::DEBUG));
    assert!(shows("debug", "lightsout_agent", tracing::Level::DEBUG));
    for library in
        ["hyper_util::client", "aws_config::meta", "aws_smithy_runtime", "reqwest::connect", "bollard::docker"]
    {
        assert!(!shows("debug", library, tracing::Level::INFO), "{library}");
        assert!(shows("debug", library, tracing::Level::WARN), "{library}");
        assert!(!shows("error", library, tracing::Level::WARN), "{library}");
    }
    assert!(shows("info,hyper=trace", "hyper::proto", tracing::Level::TRACE));
    assert!(shows("lightsout_io=debug", "lightsout_io::imds", tracing::Level::DEBUG));
    assert!(shows("lightsout_io=debug", "lightsout_agent", tracing::Level::INFO));
    assert!(!shows("off", "lightsout_agent", tracing::Level::ERROR));
}

#[test]
fn bad_words_are_refused_with_the_good_ones() {
    let error = targets("loud").unwrap_err();
    assert!(error.contains("\"loud\"") && error.contains("debug"), "{error}");
    assert_eq!("xml".parse::<Format>().unwrap_err().to_string(), "there is no log format xml: write text or json");
    assert_eq!("json".parse::<Format>().unwrap(), Format::Json);
}
