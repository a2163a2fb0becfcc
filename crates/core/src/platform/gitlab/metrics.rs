//! The activity that GitLab Runner's metrics show.

use crate::{
    activity::Activity,
    exchange::{Call, Effect, EffectResult, ErrorKind, ExchangeError, Reply, Request},
    platform::{Requests, answer},
};

/// Asks the runner's own metrics how many jobs it has; also sees a job whose container is not there yet.
pub(super) fn probe(address: &str) -> Call<Activity> {
    let ask = Effect::Http(Request::get(format!("http://{address}/metrics")).header("accept", "text/plain"));
    answer::once(ask, |result| {
        Ok(match result {
            EffectResult::Http(Ok(reply)) => activity(&reply),
            EffectResult::Http(Err(unreachable)) => unknown(&unreachable.to_string()),
            EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                unknown("something else came instead of an HTTP reply")
            }
        })
    })
}

/// Counts the runner's requests for jobs: those that are on their way (GitLab Runner, commands/builds_helper.go), and how often it has read its
/// configuration (commands/config.go).
pub(super) fn requests(address: &str) -> Call<Requests> {
    let ask = Effect::Http(Request::get(format!("http://{address}/metrics")).header("accept", "text/plain"));
    answer::once(ask, |result| match result {
        EffectResult::Http(Ok(reply)) => counted(&reply),
        EffectResult::Http(Err(unreachable)) => Err(uncounted(&unreachable.to_string())),
        EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
            Err(uncounted("something else came instead of an HTTP reply"))
        }
    })
}

fn uncounted(why: &str) -> ExchangeError {
    ExchangeError::new(ErrorKind::Malformed, format!("the GitLab runner's metrics: {why}"))
}

fn counted(reply: &Reply) -> Result<Requests, ExchangeError> {
    let text = str::from_utf8(&reply.body).map_err(|_| uncounted("not text"))?;
    if reply.status != 200 || !text.ends_with('\n') {
        return Err(uncounted("not whole"));
    }
    let (mut in_flight, mut reloads) = (0.0, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) =
            sample(line).ok_or_else(|| uncounted("a line is not a sample of the Prometheus text format"))?;
        match name {
            // Absent before the first request.
            "gitlab_runner_request_concurrency" => in_flight += value,
            "gitlab_runner_configuration_loaded_total" => reloads = Some(value),
            _ => {}
        }
    }
    let whole = |value: f64| serde_json::from_str(&format!("{value:.0}")).map_err(|_| uncounted("no count"));
    let reloads = reloads.ok_or_else(|| uncounted("they do not tell how often it has read its configuration"))?;
    Ok(Requests { in_flight: whole(in_flight)?, reloads: whole(reloads)? })
}

fn unknown(why: &str) -> Activity {
    Activity::Unknown(format!("the GitLab runner's metrics: {why}"))
}

/// Quiet only when these are the complete metrics of a GitLab runner and they count no job.
fn activity(reply: &Reply) -> Activity {
    if reply.status != 200 {
        return unknown(&format!("HTTP {}", reply.status));
    }
    let Ok(text) = str::from_utf8(&reply.body) else {
        return unknown("not text");
    };
    if !text.ends_with('\n') {
        return unknown("cut off");
    }
    let (mut jobs, mut is_runner) = (0.0, false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, value)) = sample(line) else {
            return unknown("a line is not a sample of the Prometheus text format");
        };
        is_runner |= name.starts_with("gitlab_runner_");
        if name == "gitlab_runner_jobs" {
            if !value.is_finite() || value < 0.0 {
                return unknown("gitlab_runner_jobs is not a count");
            }
            jobs += value;
        }
    }
    if jobs > 0.0 {
        Activity::busy(format!("gitlab_runner_jobs={jobs}"))
    } else if is_runner {
        // The family is absent while the runner has no job (GitLab Runner, commands/builds_helper.go).
        Activity::Quiet
    } else {
        unknown("no gitlab_runner_ family among them; does another program listen there?")
    }
}

/// One sample's family and value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = match rest.trim_start().strip_prefix('{') {
        Some(labels) => after_labels(labels)?,
        None if rest.starts_with([' ', '\t']) => rest,
        None => return None,
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let timestamp = words.next().is_none_or(|word| word.parse::<i64>().is_ok());
    (timestamp && words.next().is_none()).then_some((name, value))
}

/// What follows the brace that closes the labels, which may hold braces in quotes.
fn after_labels(labels: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in labels.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return labels.get(at + 1..),
            _ => {}
        }
    }
    None
}
