//! Gives memory back that only the start needed.

use std::fs;

use rustix::mm::{Advice, madvise};

/// Takes the program's text out of this process: what is used of it comes back from the page cache at its next use, and what only the start used
/// (and the kernel mapped around that) does not. Nothing can be lost, since text is never written. Where that cannot be done, nothing is.
pub(crate) fn give_back_text() {
    let (Ok(program), Ok(maps)) = (fs::read_link("/proc/self/exe"), fs::read_to_string("/proc/self/maps")) else {
        return;
    };
    let program = program.to_string_lossy();
    for (begin, end) in maps.lines().filter_map(|line| text_of(line, &program)) {
        #[expect(
            unsafe_code,
            reason = "the advice is about addresses; a private mapping of a file that is never written is read again"
        )]
        // SAFETY: the range is a mapping of this program's own file, readable and executable and not writable (as the kernel has just said), so
        // that its pages hold nothing but the file's.
        let _ = unsafe { madvise(begin as *mut std::ffi::c_void, end - begin, Advice::LinuxDontNeed) };
    }
}

/// The addresses of a line of /proc/PID/maps (proc_pid_maps(5)) that is text of this program.
fn text_of(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, rights, path) = (fields.next()?, fields.next()?, fields.nth(3)?);
    if rights != "r-xp" || path != program {
        return None;
    }
    let (begin, end) = range.split_once('-')?;
    let (begin, end) = (usize::from_str_radix(begin, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (begin < end).then_some((begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_text_is_given_back() {
        let program = "/usr/bin/lightsout-agent";
        let text = "55a0c0a00000-55a0c0f00000 r-xp 001f4000 fe:00 9437 /usr/bin/lightsout-agent";
        assert_eq!(text_of(text, program), Some((0x55a0_c0a0_0000, 0x55a0_c0f0_0000)));
        for other in [
            // Data, and what the loader has written to before it became readable only.
            "55a0c0f00000-55a0c0f10000 rw-p 006f4000 fe:00 9437 /usr/bin/lightsout-agent",
            "55a0c0800000-55a0c0a00000 r--p 00000000 fe:00 9437 /usr/bin/lightsout-agent",
            "7f0000000000-7f0000100000 r-xp 00026000 fe:00 1234 /usr/lib/x86_64-linux-gnu/libc.so.6",
            "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]",
        ] {
            assert_eq!(text_of(other, program), None, "{other}");
        }
    }

    // How much it is worth is measured in tests/bench.
    #[test]
    fn a_program_goes_on_whose_text_was_given_back() {
        let data = vec![1_u64; 100_000];
        give_back_text();
        assert_eq!(data.iter().sum::<u64>(), 100_000);
    }
}
