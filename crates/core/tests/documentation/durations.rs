//! No message shows a span of time as the compiler's debug form does (`7.998418572s`), or cut to whole seconds (`0 s`), and none that a time is over
//! leaves out what to do: each goes through the printers of `lightsout_core::duration`. Read from the sources, since the type system lets nobody forbid it.

use std::{collections::BTreeSet, fs, path::Path};

/// What a span of time is declared as.
const TYPES: [&str; 4] = ["Duration", "Option<Duration>", "SignedDuration", "Option<SignedDuration>"];
/// What makes one.
const MAKERS: [&str; 5] = ["Duration::from_", ".since(", "_since(", ".elapsed()", "Duration::ZERO"];

#[test]
fn no_message_shows_a_raw_span_of_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for part in ["agent/src", "scaler/src", "crates"] {
        collect(&root.join(part), &mut sources);
    }
    assert!(sources.len() > 400, "the sources are where the test looks for them: {}", sources.len());
    let fields: BTreeSet<String> = sources.iter().flat_map(|(_, text)| typed(text)).collect();
    let raw: Vec<String> = sources
        .iter()
        .flat_map(|(path, text)| raw_spans(text, &fields).into_iter().map(move |found| format!("{path}:{found}")))
        .collect();
    assert!(raw.is_empty(), "write format_about(SPAN), or format_duration(SPAN) for a setting:\n{}", raw.join("\n"));
}

/// What was asked, for how long, and the setting or what else to do are arguments of one function, so that none is left out.
#[test]
fn a_time_that_is_over_is_told_with_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for part in ["agent/src", "scaler/src", "crates/cli/src", "crates/cloud/src", "crates/io/src"] {
        collect(&root.join(part), &mut sources);
    }
    let told = sources.iter().filter(|(_, text)| product(text).contains("not_within(")).count();
    assert!(told > 25, "they are told by the function: {told} files");
    let without: Vec<String> = sources
        .iter()
        .flat_map(|(path, text)| without_remedy(text).into_iter().map(move |found| format!("{path}:{found}")))
        .collect();
    assert!(without.is_empty(), "write not_within(WHAT, TIME, REMEDY):\n{}", without.join("\n"));
    let old = "Err(_) => Err(format!(\"no answer within {}\", format_about(LOOK))),\nmembers.map_err(|_| \"it was not answered in time\")";
    assert_eq!(without_remedy(old).len(), 2);
    let new = "// so many within {}\nmatch within {\nnot_within(\"no answer\", LOOK, \"why?\")";
    assert_eq!(without_remedy(new).len(), 0);
}

/// The lines that tell that a time is over by a text of their own.
fn without_remedy(text: &str) -> Vec<String> {
    let lines = product(text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let span = |line: &str| line.split(" within {").skip(1).any(|rest| rest.starts_with(|c| c == '}' || is_part(c)));
    let own = lines.filter(|(_, line)| span(line) || line.contains(" in time\""));
    own.map(|(at, line)| format!("{}: {}", at + 1, line.trim())).collect()
}

/// A file's text without its tests.
pub(super) fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

#[test]
fn the_ways_in_which_it_was_done_are_found() {
    let fields = BTreeSet::from(["tick".to_owned()]);
    for text in [
        "fn f(within: Duration) { format!(\"no answer within {within:?}\") }",
        "const TIMEOUT: Duration = Duration::from_secs(1);\nformat!(\"within {TIMEOUT:?}\")",
        "let (span, seen) = (now.since(proven_at), 1);\nself.note(format!(\"empty {span:?} ago\"));",
        "#[error(\"did not answer within {0:?}: remedy\")]\nTimeout(Duration),",
        "format!(\"not ready within {:?}: {last}\", settings.tick)",
        "format!(\"no answer from {url} within {:?}\", self.tick))?\n}\nlet other = \"text\"",
        "let limit = self.policy.tick;\nformat!(\"not known for {limit:?}\")",
        "tracing::info!(waited = ?begun.elapsed(), \"done\")",
        "fn f(deadline: Duration) { tracing::error!(\n    ?deadline,\n    \"no runner starts\") }",
        "tracing::info!(tick = ?settings.tick, \"watching\")",
        "let left = until.saturating_duration_since(now);\ntracing::debug!(pool = self.name, ?left, \"skipped\")",
        "format!(\"no answer within {} s\", LOOK.as_secs())",
        "format!(\n    \"too many; asked again in {} s. Fewer help\",\n    reply.status,\n    wait.as_secs()\n)",
    ] {
        assert_eq!(raw_spans(text, &fields).len(), 1, "{text}");
    }
    for text in [
        "format!(\"{text:?} is no level\")",
        "fn f(within: Duration) { format!(\"within {}\", format_about(within)) }",
        "tracing::warn!(?notice, \"the cloud has a notice\")",
        "xml.text(\"HeartbeatTimeout\", hook.heartbeat.as_secs());",
        "#[cfg(test)]\nmod tests { fn f(within: Duration) { panic!(\"{within:?}\") } }",
    ] {
        assert_eq!(raw_spans(text, &fields), Vec::<String>::new(), "{text}");
    }
}

/// The product's files below a folder, tests and examples left out: their paths and texts.
pub(super) fn collect(folder: &Path, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "examples", "target"].contains(&name.as_str()) {
            collect(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !["tests.rs", "testing.rs"].contains(&name.as_str())
        {
            sources.push((path.to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The names that a text declares as spans of time, by their type.
fn typed(text: &str) -> impl Iterator<Item = String> {
    let names = text.match_indices(": ").filter_map(move |(at, _)| {
        let of = &text[at + 2..];
        let is_one = |of_span: &&str| of.strip_prefix(*of_span).is_some_and(|rest| !rest.starts_with(is_part));
        TYPES.iter().any(is_one).then(|| last_name(&text[..at]))
    });
    names.filter(|name| !name.is_empty())
}

/// Those that it binds to one.
fn made<'a>(text: &'a str, fields: &'a BTreeSet<String>) -> impl Iterator<Item = String> + 'a {
    text.split(';').filter_map(|statement| statement.rsplit_once("let ")).filter_map(move |(_, binding)| {
        let (pattern, value) = binding.split_once(" = ")?;
        // Of several that are bound at once the first that is made is meant; the others are of other types.
        let at = if pattern.starts_with('(') { value.split(", ").position(is_made)? } else { 0 };
        let name = pattern.trim_matches(['(', ')']).split(", ").nth(at)?;
        let copied = value.trim().rsplit_once('.').is_some_and(|(_, field)| fields.contains(field));
        (pattern.starts_with('(') || copied || is_made(value)).then(|| name.trim_start_matches("mut ").to_owned())
    })
}

fn last_name(text: &str) -> String {
    text.rsplit(|c| !is_part(c)).next().unwrap_or_default().to_owned()
}

/// Whether the last thing that an expression does is to make a span of time.
fn is_made(value: &str) -> bool {
    let ends = ["", ")", "))", ".unwrap_or_default()"].iter().any(|end| value.trim().ends_with(end));
    ends && !value.contains("as_") && !value.contains('{') && MAKERS.iter().any(|maker| value.contains(maker))
}

/// The lines in which a span of time is shown raw.
fn raw_spans(text: &str, fields: &BTreeSet<String>) -> Vec<String> {
    let product = product(text);
    let own: BTreeSet<String> = typed(product).chain(made(product, fields)).collect();
    // A name by itself is this file's; one behind a dot may be declared anywhere.
    let is_span = |shown: &str| match shown.rsplit_once('.') {
        None => own.contains(shown),
        Some((_, "elapsed()")) => true,
        Some((_, field)) => fields.contains(field) && !field.is_empty(),
    };
    let lines: Vec<&str> = product.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        let statement = lines[at..].iter().take(5).copied().collect::<Vec<_>>().join(" ");
        let inline = line.split('{').skip(1).filter_map(|rest| rest.split_once(":?}")).any(|(name, _)| is_span(name));
        let tuple = line.contains("{0:?}") && statement.contains("(Duration)");
        let argument = line.contains("{:?}") && arguments(&statement).any(is_span);
        let logs = line.contains("tracing::") || line.contains("= ?") || line.trim_start().starts_with('?');
        let field = line.split('?').skip(1).any(|rest| {
            let end = rest.find(|c| !is_part(c) && !".()".contains(c)).unwrap_or(rest.len());
            logs && is_span(&rest[..end])
        });
        let cut = line.contains("{} s") && statement.contains(".as_secs()");
        if inline || tuple || argument || field || cut {
            found.push(format!("{}: {}", at + 1, line.trim()));
        }
    }
    found
}

/// What stands behind the text of a statement that formats one.
fn arguments(statement: &str) -> impl Iterator<Item = &str> {
    let behind = statement.split_once("{:?}").and_then(|(_, rest)| rest.split_once('"'));
    let behind = behind.map_or("", |(_, behind)| behind.split(['"', '}']).next().unwrap_or_default());
    behind.split(',').map(|argument| argument.trim().trim_end_matches([')', '?']).trim())
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
