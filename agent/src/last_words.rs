//! The last that a program said, for people.

/// How many lines are told, and how many characters of them all.
pub(crate) const LINES: usize = 10;
const CHARS: usize = 1_000;

/// The last lines on one line, for a note.
pub(crate) fn of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.is_empty())
        .collect();
    let said = lines[lines.len().saturating_sub(LINES)..].join(" | ");
    let excess = said.chars().count().saturating_sub(CHARS);
    said.chars().skip(excess).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_few_and_on_one_line() {
        assert_eq!(of(b"one\r\n\n  two\x1b[0m \n"), "one | two[0m");
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(of(many.as_bytes()).starts_with("90 | ") && of(many.as_bytes()).ends_with(" | 99"));
        assert_eq!(of("x".repeat(5_000).as_bytes()).len(), CHARS);
    }
}
