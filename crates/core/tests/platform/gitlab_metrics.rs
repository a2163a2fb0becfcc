//! What the runner's own metrics say about its jobs. The shape is that of GitLab Runner's `/metrics`.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    exchange::{EffectResult, ErrorKind, Output, Reply, Unreachable},
    platform::{
        Config, HostContext, Probe, Requests, RunnerConfig, RunnerPlatform,
        gitlab::{Executor, Extra, GitLabRunner, GitLabRunnerSettings},
    },
    settings::WholeSeconds,
};
use proptest::prelude::*;

use crate::exchange::{complete, host, read_as, reply, script, url};

const IDLE: &str = "\
# HELP gitlab_runner_concurrent The current value of concurrent setting
# TYPE gitlab_runner_concurrent gauge
gitlab_runner_concurrent 4
# HELP gitlab_runner_job_duration_seconds Histogram of job durations
# TYPE gitlab_runner_job_duration_seconds histogram
gitlab_runner_job_duration_seconds_bucket{runner=\"abc\",system_id=\"r_0\",le=\"+Inf\"} 2
gitlab_runner_job_duration_seconds_sum{runner=\"abc\",system_id=\"r_0\"} 1.5e-05
gitlab_runner_jobs_total{runner=\"abc\",system_id=\"r_0\"} 2
# HELP gitlab_runner_version_info A metric with a constant '1' value labeled by different build stats fields.
gitlab_runner_version_info{architecture=\"amd64\",name=\"a \\\"}{ b\",version=\"17.8.1\"} 1
go_gc_duration_seconds{quantile=\"0.5\"} NaN
process_start_time_seconds 1.73861e+09 1395066363000
";

const JOBS: &str = "\
# HELP gitlab_runner_jobs The current number of running builds
# TYPE gitlab_runner_jobs gauge
gitlab_runner_jobs{executor_stage=\"docker_run\",runner=\"abc\",stage=\"step_script\",state=\"running\"} 2
gitlab_runner_jobs{state=\"running\",stage=\"prepare_executor\",system_id=\"r_0\",runner=\"abc\",runner_name=\"} 9\",executor_stage=\"docker_pulling_image\"} 1
gitlab_runner_jobs{state=\"idle\",stage=\"idle\"} 0
";

fn settings() -> GitLabRunnerSettings {
    GitLabRunnerSettings {
        url: url("https://gitlab.example.com"),
        program: read_as("gitlab-runner"),
        executor: Executor::Docker,
        image: read_as("debian:12"),
        extra: Extra::default(),
        check_interval: WholeSeconds::of(3),
    }
}

fn probe() -> lightsout_core::exchange::Call<Activity> {
    let probes = GitLabRunner::new(settings(), "glrt-x".into()).expect("a runner").probes(&host());
    let ask = probes.into_iter().find_map(|probe| match probe {
        Probe::Runner(call) => Some(call),
        Probe::Containers(_) | Probe::Children(_) | Probe::Files { .. } | Probe::Call(_) => None,
    });
    ask.expect("a metrics probe")
}

fn seen(answer: Reply) -> Activity {
    script(&mut *probe(), [answer]).0.expect("a probe answers what it sees")
}

fn metrics(body: &str) -> Activity {
    seen(reply(200, &[], body))
}

#[test]
fn no_family_of_jobs_is_quiet() {
    assert_eq!(metrics(IDLE), Activity::Quiet);
    assert_eq!(metrics(&format!("{IDLE}gitlab_runner_jobs{{state=\"idle\"}} 0\n")), Activity::Quiet);
    let (_, requests) = script(&mut *probe(), [reply(200, &[], IDLE)]);
    assert_eq!(requests[0].url, "http://127.0.0.1:9252/metrics");
}

#[test]
fn jobs_are_summed_whatever_the_order_of_their_labels() {
    assert_eq!(metrics(&format!("{IDLE}{JOBS}")), Activity::busy("gitlab_runner_jobs=3"));
    assert_eq!(metrics(JOBS), Activity::busy("gitlab_runner_jobs=3"));
    assert_eq!(metrics("gitlab_runner_jobs 1\n"), Activity::busy("gitlab_runner_jobs=1"));
    assert_eq!(metrics("gitlab_runner_jobs{}\t5 123\n"), Activity::busy("gitlab_runner_jobs=5"));
}

#[test]
fn any_doubt_is_unknown() {
    let with = |line: &str| format!("{IDLE}{line}\n");
    for body in [
        String::new(),
        "\n".to_owned(),
        "# nothing\n".to_owned(),
        "<html>404</html>\n".to_owned(),
        "{\"jobs\":0}\n".to_owned(),
        "go_goroutines 12\n".to_owned(),
        IDLE.trim_end().to_owned(),
        with("gitlab_runner_jobs"),
        with("gitlab_runner_jobs "),
        with("gitlab_runner_jobs{state=\"running\"}"),
        with("gitlab_runner_jobs{state=\"running\" 1"),
        with("gitlab_runner_jobs{state=\"running} 1"),
        with("gitlab_runner_jobs{state=\"running\"} one"),
        with("gitlab_runner_jobs{state=\"running\"} NaN"),
        with("gitlab_runner_jobs{state=\"running\"} +Inf"),
        with("gitlab_runner_jobs{state=\"running\"} -1"),
        with("gitlab_runner_jobs 1 2 3"),
        with("gitlab_runner_jobs 0 soon"),
        with("9lives 1"),
        with("a-b 1"),
    ] {
        assert!(matches!(metrics(&body), Activity::Unknown(why) if why.contains("metrics")), "{body:?}");
    }
    assert!(matches!(
        seen(Reply { body: b"gitlab_runner_concurrent 4 \xff\n".to_vec(), ..reply(200, &[], "") }),
        Activity::Unknown(_)
    ));
    for status in [204, 301, 401, 404, 500, 503] {
        let Activity::Unknown(why) = seen(reply(status, &[], IDLE)) else { panic!("{status} is not unknown") };
        assert!(why.contains(&status.to_string()), "{why}");
    }
}

#[test]
fn no_answer_is_unknown() {
    for result in [
        EffectResult::Http(Err(Unreachable::Connect("refused".to_owned()))),
        EffectResult::Http(Err(Unreachable::Timeout(Duration::from_secs(1)))),
        EffectResult::Program(Ok(Output { status: Some(0), stdout: IDLE.into(), stderr: Vec::new() })),
    ] {
        assert!(matches!(complete(&mut *probe(), |_| result.clone()), Ok(Activity::Unknown(_))), "{result:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_quiet(body: Vec<u8>) {
        let answer = Reply { body, ..reply(200, &[], "") };
        prop_assert!(matches!(seen(answer), Activity::Unknown(_)));
    }

    /// A line of jobs inside otherwise good metrics is never overlooked, whatever is put into its label.
    #[test]
    fn a_running_job_is_never_quiet(label in "[^\n\"\\\\]{0,20}", count in 1u32..100, at in 0usize..9) {
        let mut lines: Vec<String> = IDLE.lines().map(str::to_owned).collect();
        lines.insert(at, format!("gitlab_runner_jobs{{runner_name=\"{label}\"}} {count}"));
        prop_assert_ne!(metrics(&format!("{}\n", lines.join("\n"))), Activity::Quiet);
    }

    #[test]
    fn metrics_cut_within_a_line_are_unknown(cut in 1usize..600) {
        prop_assume!(cut < IDLE.len() && IDLE.is_char_boundary(cut) && !IDLE[..cut].ends_with('\n'));
        prop_assert!(matches!(metrics(&IDLE[..cut]), Activity::Unknown(_)));
    }
}

fn requests(answer: Reply) -> Result<Requests, ErrorKind> {
    let config = Config { settings: settings(), secrets: Vec::new() };
    let mut counting = config.requests(&host()).expect("they are counted");
    script(&mut *counting, [answer]).0.map_err(|error| error.kind)
}

#[test]
fn requests_on_their_way_are_counted_over_all_runners() {
    let loaded = "gitlab_runner_configuration_loaded_total 3\n";
    let page = |text: &str| requests(reply(200, &[], text));
    assert_eq!(page(&format!("{IDLE}{loaded}")), Ok(Requests { in_flight: 0, reloads: 3 }), "absent before the first");
    let two = "gitlab_runner_request_concurrency{runner=\"a\"} 1\ngitlab_runner_request_concurrency{runner=\"b\"} 1\n";
    assert_eq!(page(&format!("{loaded}{two}")), Ok(Requests { in_flight: 2, reloads: 3 }));
    // What is not whole, or not a runner's, counts nothing.
    for text in [IDLE, "", loaded.trim_end(), "gitlab_runner_configuration_loaded_total NaN\n", "<html/>\n"] {
        assert_eq!(page(text), Err(ErrorKind::Malformed), "{text}");
    }
    assert_eq!(requests(reply(503, &[], loaded)), Err(ErrorKind::Malformed));
}

#[test]
fn without_metrics_nothing_is_counted() {
    let config = Config { settings: settings(), secrets: Vec::new() };
    assert!(config.requests(&HostContext { metrics: None, ..host() }).is_none());
}
