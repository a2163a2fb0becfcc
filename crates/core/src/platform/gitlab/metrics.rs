//! The activity that GitLab Runner's metrics show.

use crate::{
    activity::Activity,
    exchange::{Call, Effect, EffectResult, Reply, Request},
    platform::answer,
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
