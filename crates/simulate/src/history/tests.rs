use lightsout_core::record::Record;

use super::*;

fn job(arrives: u64, runs: u64) -> Job {
    Job { arrives: Duration::from_secs(arrives), runs: Duration::from_secs(runs) }
}

#[test]
fn a_table_is_read_as_platforms_and_spreadsheets_write_it() {
    let expected = [job(0, 60), job(30, 5)];
    for text in [
        "queued,seconds\n100,60\n130,5\n",
        "id;Queued;Seconds\n7;130;5\n8;100;60",
        "created_at,started_at,finished_at\n\
         2026-11-26T03:00:00Z,2026-11-26T03:00:10Z,2026-11-26T03:01:10Z\n\
         2026-11-26 03:00:30Z,2026-11-26T03:00:40Z,2026-11-26T03:00:45Z\n",
        "queued\tduration\tname\n100\t60\t\"a, b\"\n130\t5\t\n",
    ] {
        assert_eq!(from_csv(text.as_bytes(), None).expect(text).trace.jobs(), expected, "{text}");
    }
}

#[test]
fn what_did_not_run_is_skipped_and_what_waited_is_told() {
    let text = "queued,started,finished\n0,10,20\n1,,\n2,22,\n3,33,43\n";
    let history = from_csv(text.as_bytes(), None).expect("a history");
    assert_eq!((history.trace.jobs().len(), history.skipped), (2, 2));
    assert_eq!(history.waits.map(|waits| (waits.p50, waits.most)), Some((10.0, 30.0)));
}

#[test]
fn a_pool_is_chosen_where_a_table_tells_pools_apart() {
    let text = "queued,seconds,pool\n0,1,a\n5,2,b\n9,3,b\n";
    assert_eq!(from_csv(text.as_bytes(), Some("b")).expect("a history").trace.jobs(), [job(0, 2), job(4, 3)]);
    assert!(from_csv(text.as_bytes(), Some("c")).is_err());
}

#[test]
fn what_cannot_be_read_is_named_with_its_line_and_the_remedy() {
    for (text, parts) in [
        ("queued,started\n0,1\n", &["`seconds`, nor `started` and `finished`", "it has queued, started"][..]),
        ("when,seconds\n0,1\n", &["`queued`", "it has when, seconds"]),
        ("queued,seconds\n0,1\nsoon,1\n", &["line 3, column queued", "\"soon\" is no time", "2026-11-26T03:00:00Z"]),
        ("queued,seconds\n0,ten\n", &["line 2, column seconds", "\"ten\" is no number of seconds"]),
        ("queued,seconds\n0,-1\n", &["line 2, column seconds", "\"-1\""]),
        ("queued,started,finished\n10,5,20\n", &["line 2, column started", "before the job was queued"]),
        ("queued,started,finished\n0,5,2\n", &["line 2, column finished", "before the job started"]),
        ("queued,seconds\n", &["no row is a job that ran"]),
    ] {
        let error = from_csv(text.as_bytes(), None).expect_err(text).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{text:?}: {error}");
    }
}

fn decision(second: u32, queued: u32, running: u32, pool: &str) -> Record {
    let line = format!(
        r#"{{"schema":1,"kind":"decision","time":"2026-11-26T03:{:02}:{:02}.000Z","pool":"{pool}","group":"{pool}","platform":"gitlab",
        "result":"held","why":{{"queued":{queued},"running":{running},"slots":1,"utilisation":100,"threshold":1,"spare":0,"need":0,"min":0,
        "max":9,"desired":0,"target":0,"limit":"none"}},"ms":{{"demand":1,"describe":1,"raise":null,"total":1}}}}"#,
        second / 60,
        second % 60
    );
    Record::find(&line.replace('\n', "")).expect("a record")
}

#[test]
fn a_scalers_records_are_a_history() {
    // Two come, one begins; the second begins as the first ends; both are gone.
    let records: Vec<Record> =
        [(0, 0, 0), (10, 2, 0), (20, 1, 1), (50, 0, 1), (70, 0, 0)].map(|(s, q, r)| decision(s, q, r, "a")).into();
    let history = from_records(&records, None).expect("a history");
    assert_eq!(history.trace.jobs(), [job(0, 30), job(0, 20)]);
    assert_eq!(history.waits.map(|waits| (waits.p50, waits.most)), Some((10.0, 40.0)));
    assert_eq!(history.skipped, 0);
}

#[test]
fn records_of_several_pools_need_a_choice() {
    let records = [decision(0, 1, 0, "a"), decision(5, 0, 1, "a"), decision(9, 0, 0, "a"), decision(0, 1, 0, "b")];
    let error = from_records(&records, None).expect_err("two pools").to_string();
    assert!(error.contains("a, b") && error.contains("--pool"), "{error}");
    assert_eq!(from_records(&records, Some("a")).expect("a history").trace.jobs(), [job(0, 4)]);
    assert!(from_records(&records, Some("b")).is_err(), "its job has not ended");
}
