//! Gives memory back that only the start needed.

use std::{fs, sync::OnceLock};

use rustix::mm::{Advice, madvise};

/// Where a mapping begins and ends.
type Range = (usize, usize);

/// What was mapped of files when the program began.
static FROM_THE_START: OnceLock<Vec<Range>> = OnceLock::new();

/// Notes what is mapped of files. To be called before there is a second thread: what the loader has mapped by then stays where it is for as long as
/// the process lives, and what comes later may go again at any time, as name services do.
pub(crate) fn note_files() {
    let _ = FROM_THE_START.set(mapped_and_unwritten());
}

/// Takes what was noted, and was never written to, out of this process: text, constants and relocations, of the program and of its libraries. What is
/// used of it comes back from the page cache at its next use, and what only the start used (and the kernel mapped around that) does not. Where
/// nothing was noted or the kernel does not tell, nothing is given back.
pub(crate) fn give_back_files() {
    let Some(noted) = FROM_THE_START.get() else { return };
    for (begin, end) in mapped_and_unwritten().into_iter().filter(|range| noted.contains(range)) {
        #[expect(
            unsafe_code,
            reason = "the advice is about addresses; a private mapping of a file that was never written to is read again"
        )]
        // SAFETY: the range is a private mapping of a file that the loader made, which nobody takes away, and has no page of its own (as the kernel
        // has just said), and cannot get one meanwhile, since it is not writable: its pages hold nothing but the file's.
        let _ = unsafe { madvise(begin as *mut std::ffi::c_void, end - begin, Advice::LinuxDontNeed) };
    }
}

/// None where the kernel does not tell.
fn mapped_and_unwritten() -> Vec<Range> {
    fs::read_to_string("/proc/self/smaps").map(|maps| unwritten(&maps)).unwrap_or_default()
}

/// The mappings in the text of /proc/PID/smaps (proc_pid_smaps(5)) that hold nothing but pages of files.
fn unwritten(maps: &str) -> Vec<Range> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in maps.lines() {
        match line.split_once(':') {
            // The first line of a mapping; the colon is the one in its device.
            Some((fields, rest)) if fields.contains(' ') => candidate = readable_file(fields, rest),
            // The loader wrote to some before they became readable only, and what it wrote may have been swapped out.
            Some(("Anonymous", size)) if size.trim() != "0 kB" => candidate = None,
            Some(("Swap", size)) if size.trim() == "0 kB" => found.extend(candidate.take()),
            Some(_) | None => {}
        }
    }
    found
}

/// The addresses of a mapping that is a file's, private and not writable.
fn readable_file(fields: &str, rest: &str) -> Option<Range> {
    let mut fields = fields.split(' ');
    let (range, rights, inode) = (fields.next()?, fields.next()?, rest.split(' ').nth(1)?);
    if !matches!(rights, "r--p" | "r-xp") || inode == "0" {
        return None;
    }
    let (begin, end) = range.split_once('-')?;
    let (begin, end) = (usize::from_str_radix(begin, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (begin < end).then_some((begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(first: &str, anonymous: u32, swap: u32) -> String {
        format!("{first}\nAnonymous: {anonymous:13} kB\nSwap: {swap:18} kB\nSwapPss: 0 kB\nVmFlags: rd mr mw me \n")
    }

    #[test]
    fn text_and_constants_are_given_back() {
        let constants =
            "55b20f800000-55b20fb00000 r--p 00000000 fe:00 10217199                   /usr/bin/lightsout-agent";
        let text = "55b20fb00000-55b210000000 r-xp 00263000 fe:00 10217199                   /usr/bin/lightsout-agent";
        let both = [(0x55b2_0f80_0000, 0x55b2_0fb0_0000), (0x55b2_0fb0_0000, 0x55b2_1000_0000)];
        assert_eq!(unwritten(&(mapping(constants, 0, 0) + &mapping(text, 0, 0))), both);
        let named = "7f0000000000-7f0000100000 r-xp 00026000 fe:00 12 /opt/a b: Anonymous: 4 kB/lib.so";
        assert_eq!(unwritten(&mapping(named, 0, 0)), [(0x7f00_0000_0000, 0x7f00_0010_0000)]);
    }

    #[test]
    fn what_was_written_to_or_may_be_is_kept() {
        let relocated = "55b210006000-55b21005a000 r--p 0074e000 fe:00 10217199 /usr/bin/lightsout-agent";
        assert_eq!(unwritten(&mapping(relocated, 336, 0)), [], "by the loader");
        assert_eq!(unwritten(&mapping(relocated, 0, 336)), [], "and swapped out since");
        let text = "55b20fb1a000-55b210006000 r-xp 00263000 fe:00 10217199 /usr/bin/lightsout-agent";
        assert_eq!(unwritten(&mapping(text, 4, 0)), [], "by a debugger");
        assert_eq!(unwritten(text), [], "nobody knows");
        for other in [
            "55a0c0f00000-55a0c0f10000 rw-p 006f4000 fe:00 9437 /usr/bin/lightsout-agent",
            "7f0000000000-7f0000100000 r--s 00000000 fe:00 1234 /usr/lib/locale/locale-archive",
            "7f0000000000-7f0000100000 ---p 00000000 00:00 0 ",
            "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]",
        ] {
            assert_eq!(unwritten(&mapping(other, 0, 0)), [], "{other}");
        }
    }

    // How much it is worth is measured in tests/bench.
    #[tokio::test]
    async fn a_program_goes_on_whose_files_were_given_back() {
        lightsout_io::testing::rerun("memory::tests::given_back", &[]).await;
    }

    /// Where nobody maps anything meanwhile, as other tests do.
    #[test]
    #[ignore = "a_program_goes_on_whose_files_were_given_back runs it in a process of its own"]
    fn given_back() {
        let data = vec![1_u64; 100_000];
        give_back_files();
        note_files();
        let noted = FROM_THE_START.get().unwrap();
        let code = give_back_files as fn() as usize;
        assert!(noted.iter().any(|(begin, end)| (*begin..*end).contains(&code)), "{noted:x?}");
        give_back_files();
        assert_eq!(data.iter().sum::<u64>(), 100_000);
    }
}
