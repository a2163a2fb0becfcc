//! No message has a run of blanks in the middle of a sentence: what a literal that was wrapped and joined again by hand is left with, and
//! what no compiler and no formatter shows.

use std::path::Path;

use crate::durations::{collect, product};

/// The cells of a table, whose columns blanks keep apart, have fewer words than a sentence that has come so far.
const WORDS_OF_A_CELL: usize = 3;

#[test]
fn no_message_has_a_run_of_blanks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for part in ["agent/src", "scaler/src", "crates"] {
        collect(&root.join(part), &mut sources);
    }
    assert!(sources.len() > 400, "the sources are where the test looks for them: {}", sources.len());
    let runs = sources.iter().flat_map(|(path, text)| {
        let lines = product(text).lines().enumerate().filter(|(_, line)| has_run(line));
        lines.map(move |(at, line)| format!("{path}:{}: {}", at + 1, line.trim()))
    });
    let runs: Vec<String> = runs.collect();
    assert!(runs.is_empty(), "one blank is enough:\n{}", runs.join("\n"));
}

#[test]
fn sentences_are_told_from_tables() {
    assert!(has_run("    #[error(\"{0:?} was there before it. Remove it there; an          order for this one\")]"));
    assert!(has_run("    \"a first line\\nand it cannot remove its   runner\","));
    assert!(!has_run("    format!(\"jobs       {done} of {total} done, {lost} lost\")"));
    assert!(!has_run("    \" q quit   second terminal: lightsout ps\""));
    assert!(!has_run("    /// A comment that has \"one word more   than\" it may."));
    assert!(!has_run("    let name = \"a text of some words\";   // and what it is for"));
}

/// Whether a literal of this line has three or more blanks behind so many words that it is a sentence.
fn has_run(line: &str) -> bool {
    if line.trim_start().starts_with("//") {
        return false;
    }
    // Every second part is in quotes, but in a line of a literal that goes on from the one before.
    let literals = line.split('"').skip(1).step_by(2);
    literals.flat_map(|literal| literal.split("\\n")).any(|text| {
        text.trim_end().match_indices("   ").any(|(at, _)| text[..at].split_whitespace().count() > WORDS_OF_A_CELL)
    })
}
