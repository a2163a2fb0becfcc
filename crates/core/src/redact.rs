//! Foreign text as it may stand in logs, records and tags: what platforms, clouds, programs and runners say may be long, may hold control
//! characters, and may quote what they were sent.

use std::borrow::Cow;

use crate::{exchange::text::Text, platform::tokens};

/// What takes the place of something that may be a secret.
const HIDDEN: &str = "***";
/// Names whose value may be one, as they stand in headers, parameters, variables and JSON.
const NAMES: [&str; 12] = [
    "authorization",
    "token",
    "secret",
    "password",
    "passwd",
    "cookie",
    "api-key",
    "api_key",
    "apikey",
    "private-key",
    "private_key",
    "signature",
];
/// How JSON Web Tokens begin. Any other JSON in base64 does so, too.
const JSON_WEB_TOKEN: &str = "eyJ";
/// The shortest text that can be a credential, in bytes.
const CREDENTIAL: usize = 8;
/// The shortest that is hidden where it is said again, in bytes.
const REPEATED: usize = 4;
/// How many of a program's last lines are told.
const LINES: usize = 10;
/// What stands where something was left out. Any service takes it in the value of a tag.
const LEFT_OUT: &str = "...";

/// Foreign text on one line, [`shortened`] to so many characters. Whatever looks like a secret is hidden: what follows
/// `Authorization:`, `Bearer` or the name of a token, tokens that are known by how they begin, keys, and of each URL its user and its query.
pub fn redact(text: &str, most: usize) -> String {
    let text = without_keys(text);
    let mut told = String::new();
    let mut next = Next::Anything;
    let words =
        text.split(|c: char| c.is_whitespace() || c.is_control() || is_format(c)).filter(|word| !word.is_empty());
    for word in words {
        if !told.is_empty() {
            told.push(' ');
        }
        // Between two lines that somebody put on one: what is on the second may be the secret that the first one names.
        if word == "|" {
            told.push_str(word);
            continue;
        }
        let (shown, then) = shown(word, next);
        told.push_str(&shown);
        next = then;
        // What is between the two ends need not be held, however much it is; a character has four bytes at most.
        if told.len() > most.saturating_mul(16) {
            told = shortened(&told, 3 * most);
        }
    }
    shortened(&told, most)
}

/// At most so many characters, and a mark where the rest was: of the beginning, which names what it is about, and twice as much of the end, where
/// reasons and remedies stand.
pub fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(LEFT_OUT.len());
    let at = |place| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    let (head, tail) = (kept / 3, kept - kept / 3);
    format!("{}{LEFT_OUT}{}", &text[..at(head)], &text[at(count - tail)..])
}

/// The last lines that a program said, as one line, [`shortened`] to so many characters. `env` is what it found in its environment. Whatever looks like a secret is hidden, as [`redact`] does, wherever else it is said as well, and so is what the environment
/// has for a secret; and where a shell shows what it does (`set -x`), which is every argument, nothing of that is told.
pub fn last_words<'a>(output: &str, env: impl IntoIterator<Item = (&'a str, &'a Text)>, most: usize) -> String {
    let output = without_keys(output);
    let mut secrets = secrets(&output);
    for (name, value) in env {
        let shortest = if named(&format!("{name}=")).is_some() {
            REPEATED
        } else if matches!(value, Text::Secret(_)) {
            CREDENTIAL
        } else {
            continue;
        };
        // One of several lines may be said line by line.
        secrets.extend(value.expose().lines().map(str::trim).filter(|line| line.len() >= shortest).map(str::to_owned));
    }
    // What is shorter would take away half of what is told. The longest first: one may be the beginning of another.
    secrets.retain(|secret| secret.len() >= REPEATED);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let without = |told: String| secrets.iter().fold(told, |told, secret| told.replace(secret, HIDDEN));
    let told = untraced(&output);
    let told = told[told.len().saturating_sub(LINES)..].join(" | ");
    // As it was said, and as it is told.
    shortened(&without(redact(&without(told), usize::MAX)), most)
}

/// Without keys as they stand in files: from their first line to their last, of which either may be lost.
fn without_keys(text: &str) -> Cow<'_, str> {
    const BEGIN: &str = "-----BEGIN";
    const END: &str = "-----END";
    if !text.contains(BEGIN) && !text.contains(END) {
        return text.into();
    }
    let mut told = String::new();
    let mut rest = text;
    loop {
        let (begin, end) = (rest.find(BEGIN), rest.find(END));
        match end {
            Some(end) if begin.is_none_or(|begin| end < begin) => told.clear(),
            _ => told.push_str(&rest[..begin.unwrap_or(rest.len())]),
        }
        if begin.is_none() && end.is_none() {
            return told.into();
        }
        told.push_str(HIDDEN);
        let Some((_, behind)) = rest.split_once(END) else { return told.into() };
        // The rest of its last line is its name.
        let line = behind.find('\n').unwrap_or(behind.len());
        rest = behind[..line].find("-----").map_or(&behind[line..], |at| &behind[at + 5..]);
    }
}

/// The lines in which no shell shows what it does. Such a line begins with one sign or more, for how deep it is (`PS4` as it is unless somebody
/// set it), and goes on for as long as a quote is open.
fn untraced(output: &str) -> Vec<&str> {
    let mut quote = None;
    let mut told = Vec::new();
    for line in output.lines().map(str::trim) {
        let rest = line.trim_start_matches('+');
        if quote.is_some() || (rest.len() < line.len() && rest.starts_with(' ')) {
            quote = open_quote(line, quote);
        } else if !line.is_empty() {
            told.push(line);
        }
    }
    told
}

/// The quote that is open at the end of a line, given the one that is open where it begins.
fn open_quote(line: &str, mut quote: Option<char>) -> Option<char> {
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => _ = chars.next(),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some(_), _) => {}
        }
    }
    quote
}

/// The words of this text that are known for secrets by what stands before them.
fn secrets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Next::Anything;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let (told, then) = shown(word, next);
        if told.contains(HIDDEN) {
            let value = named(word).map_or(word, |(_, value)| value);
            found.push(value.trim_matches(|c: char| c.is_ascii_punctuation()).to_owned());
        }
        next = then;
    }
    found
}

/// What the next word may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Anything,
    /// A secret, if it looks like one.
    Secret,
    /// A secret, or how it is to be read (`Bearer`).
    Header,
    /// A secret, whatever it looks like.
    Credential,
}

/// Marks that turn the direction of what follows, or cannot be seen.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn shown(word: &str, what: Next) -> (String, Next) {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation()).to_ascii_lowercase();
    let scheme = matches!(bare.as_str(), "bearer" | "basic" | "digest" | "token");
    match what {
        Next::Header if scheme => return (word.to_owned(), Next::Credential),
        Next::Header | Next::Credential => return (HIDDEN.to_owned(), Next::Anything),
        Next::Secret if is_credential(word) => return (HIDDEN.to_owned(), Next::Anything),
        Next::Secret | Next::Anything => {}
    }
    if bare == "bearer" {
        return (word.to_owned(), Next::Credential);
    }
    let word = without_tokens(&without_query(word));
    match named(&word) {
        Some((name, "")) if word.to_ascii_lowercase().contains("authorization") => (name.to_owned(), Next::Header),
        Some((name, "")) => (name.to_owned(), Next::Secret),
        Some((name, value)) if name.to_ascii_lowercase().contains("authorization") => {
            let scheme = matches!(
                value.trim_matches('"').to_ascii_lowercase().as_str(),
                "bearer" | "basic" | "digest" | "token"
            );
            (format!("{name}{HIDDEN}"), if scheme { Next::Credential } else { Next::Anything })
        }
        Some((name, value)) if name.ends_with(['=', '"', '\'']) || is_credential(value) => {
            (format!("{name}{HIDDEN}"), Next::Anything)
        }
        Some(_) | None => (word, Next::Anything),
    }
}

/// The word up to the value of the first name that may have a secret, and that value. A path that ends so is a place, of which something is told.
fn named(word: &str) -> Option<(&str, &str)> {
    let lower = word.to_ascii_lowercase();
    let end = NAMES.iter().filter_map(|name| lower.find(name).map(|at| at + name.len())).min()?;
    let sign = end + word[end..].find([':', '='])?;
    if word.contains('/') && sign + 1 == word.len() {
        return None;
    }
    let quote = word[sign + 1..].chars().next().filter(|c| matches!(c, '"' | '\''));
    Some(word.split_at(sign + 1 + quote.map_or(0, char::len_utf8)))
}

/// Whether it may be one: neither a word nor a path.
fn is_credential(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'', ',', ';', '.']);
    let mixed = word.contains(|c: char| c.is_ascii_lowercase()) && word.chars().skip(1).any(|c| c.is_ascii_uppercase());
    word.len() >= CREDENTIAL
        && word.is_ascii()
        && !word.starts_with('/')
        && (mixed || word.contains(|c: char| c.is_ascii_digit()))
}

/// A URL without its user, and whatever has parameters without them.
fn without_query(word: &str) -> String {
    let parameters = |at: &usize| *at > 0 && (word[*at..].contains('=') || word.contains("://"));
    let (word, end) = match word.find('?').filter(parameters) {
        Some(at) => (&word[..at], &word[word.trim_end_matches([':', ',', ';', ')', '"']).len().max(at)..]),
        None => (word, ""),
    };
    let mut parts = word.split("://");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let host = part.find('/').unwrap_or(part.len());
        told.push_str("://");
        told.push_str(part[..host].rfind('@').map_or(part, |at| &part[at + 1..]));
    }
    told + end
}

/// Without what begins as a token does, and is as long as one.
fn without_tokens(word: &str) -> String {
    // Personal access tokens that begin with the name of who gave them.
    if word.split_once("_pat_").is_some_and(|(_, token)| token.len() >= CREDENTIAL) {
        return HIDDEN.to_owned();
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let (mut told, mut rest) = (String::new(), word);
    while let Some((at, prefix)) =
        tokens::beginnings().chain([JSON_WEB_TOKEN]).filter_map(|prefix| rest.find(prefix).map(|at| (at, prefix))).min()
    {
        let (before, token) = rest.split_at(at);
        let end = token.find(|c| !is_part(c)).unwrap_or(token.len());
        let within = before.ends_with(|c: char| c.is_ascii_alphanumeric());
        told.push_str(before);
        told.push_str(if within || end < prefix.len() + CREDENTIAL { &token[..end] } else { HIDDEN });
        rest = &token[end..];
    }
    told + rest
}

#[cfg(test)]
mod tests;
