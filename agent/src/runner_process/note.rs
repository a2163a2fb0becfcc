//! What the runner was told, on the disk.

use lightsout_core::agent::host::Told;

/// The note of what a runner was told. Always of one length, so that it can be overwritten in place.
pub(super) fn note(pid: u32, told: Told) -> String {
    let word = match told {
        Told::No => "no",
        Told::Maybe => "maybe",
        Told::Yes => "yes",
    };
    format!("{pid:<10} {word:<5}\n")
}

/// What a note says of this process. An earlier version wrote the process id alone, before it signalled.
pub(super) fn read_note(text: &str, pid: u32) -> Told {
    let mut words = text.split_ascii_whitespace();
    match (words.next().map(str::parse::<u32>), words.next()) {
        // Of another runner: this one has not been told anything.
        (Some(Ok(of)), _) if of != pid => Told::No,
        (Some(Ok(_)), Some("no")) => Told::No,
        (Some(Ok(_)), Some("yes")) => Told::Yes,
        // Or damaged: the disk may have lost a "yes".
        (Some(_) | None, _) => Told::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_length_and_older_ones_are_understood() {
        for told in [Told::No, Told::Maybe, Told::Yes] {
            for pid in [1, 4_194_304, u32::MAX] {
                assert_eq!(note(pid, told).len(), 17);
                assert_eq!(read_note(&note(pid, told), pid), told);
                assert_eq!(read_note(&note(pid, told), 17), Told::No, "of another process");
            }
        }
        assert_eq!(read_note("4711", 4711), Told::Maybe, "an earlier version noted before it signalled, and not after");
        for damage in ["", "\0\0\0", "yes"] {
            assert_eq!(read_note(damage, 17), Told::Maybe, "{damage:?}: lost is not no");
        }
    }
}
