//! Many launches on one fleet: what each of its programs holds at the start and at the end. What counts launches must not
//! grow with them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lightsout_localcloud::fleet::JobState;

use crate::{
    fleet::{Fleet, Programs, living, phase, pid},
    process,
    report::Report,
};

/// The largest fleet, one of which works from the start to the end.
const SIZE: usize = 25;
/// Launches before the first look, so that what is made once is there, and as many instances and logs as are kept.
const WARM_UP: usize = 12 * SIZE;
/// What may come and go between two looks, whatever the launches: connections, threads of a pool, pages of the allocator, the turn of a log.
const SLACK: Growth = Growth { files: 8.0, threads: 8.0, memory: 3.0, disk: 3.0 };
/// What one launch may leave behind. A leak of a file or a folder is 1 a launch, and fails after ten; memory and disk in MiB: the embedded cloud
/// keeps a line for each of the last activities and jobs, and the records of a local fleet are kept whole.
const PER_LAUNCH: Growth = Growth { files: 0.01, threads: 0.01, memory: 6.0 / 1024.0, disk: 8.0 / 1024.0 };
/// How long one round of launches may take.
const ROUND: Duration = Duration::from_secs(300);

/// How much more there is of each; memory and disk in MiB.
struct Growth {
    files: f64,
    threads: f64,
    memory: f64,
    disk: f64,
}

/// What a program holds at one moment.
struct Held {
    program: &'static str,
    files: f64,
    threads: f64,
    resident: f64,
    anonymous: f64,
}

pub(crate) fn measure(programs: &Programs, launches: usize, report: &mut Report) -> Result<()> {
    let arguments = format!("--max {SIZE} --boot 200ms --idle-timeout 1s --tick 1s --no-docker");
    let mut fleet = Fleet::start(programs, &arguments)?;
    let steady = fleet.enqueue(86_400.0)?;
    let id = fleet.until("an instance that works all the time", |fleet| {
        Ok(living(fleet.snapshot()?).find(|it| phase(it) == "busy").map(|it| it.id))
    })?;
    let begun = Instant::now();
    let first = rounds(&mut fleet, WARM_UP)?;
    let before = look(&fleet, programs, &id)?;
    let disk_before = disk(&fleet.dir())?;
    let last = rounds(&mut fleet, first + launches)?;
    let after = look(&fleet, programs, &id)?;
    let disk_after = disk(&fleet.dir())?;
    let job = fleet.snapshot()?.jobs.into_iter().find(|job| job.id == steady).context("a job was forgotten")?;
    ensure!(job.state == JobState::Running, "the job that works all the time is {:?}", job.state);

    for (at, held) in [(first, &before), (last, &after)] {
        for Held { program, files, threads, resident, anonymous } in held {
            let title = |what: &str| format!("soak, {program} after {at} launches: {what}");
            report.add(title("open files"), "", vec![*files]);
            report.add(title("threads"), "", vec![*threads]);
            report.add(title("resident (RSS)"), "MiB", vec![*resident]);
            report.add(title("anonymous"), "MiB", vec![*anonymous]);
        }
    }
    report.add(format!("soak, the fleet's folder after {first} launches"), "MiB", vec![disk_before]);
    report.add(format!("soak, the fleet's folder after {last} launches"), "MiB", vec![disk_after]);
    report.add(format!("soak, all of it for {last} launches"), "s", vec![begun.elapsed().as_secs_f64()]);
    let count = f64::from(u32::try_from(last - first)?);
    let grown = grown((&before[..], disk_before), (&after[..], disk_after), count);
    ensure!(grown.is_empty(), "what counts launches grew with {count} of them:\n{}", grown.join("\n"));
    Ok(())
}

/// What grew by more than that many launches may make it, each in words.
fn grown(before: (&[Held], f64), after: (&[Held], f64), launches: f64) -> Vec<String> {
    let mut grown = Vec::new();
    let mut judge = |what: String, before: f64, after: f64, slack: f64, each: f64| {
        let (grew, most) = (after - before, slack + each * launches);
        if grew > most {
            let slope = grew / launches;
            grown.push(format!(
                "{what}: from {before:.1} to {after:.1}, {slope:.4} a launch; at most {slack} and {each:.4} a launch"
            ));
        }
    };
    for (was, is) in before.0.iter().zip(after.0) {
        let of = |what: &str| format!("{} of {}", what, is.program);
        judge(of("open files"), was.files, is.files, SLACK.files, PER_LAUNCH.files);
        judge(of("threads"), was.threads, is.threads, SLACK.threads, PER_LAUNCH.threads);
        judge(of("anonymous memory (MiB)"), was.anonymous, is.anonymous, SLACK.memory, PER_LAUNCH.memory);
    }
    judge("the fleet's folder (MiB)".into(), before.1, after.1, SLACK.disk, PER_LAUNCH.disk);
    grown
}

/// Fills the fleet and lets it empty itself, until it has launched as many instances as this. How many they are then.
fn rounds(fleet: &mut Fleet, launches: usize) -> Result<usize> {
    loop {
        let so_far = fleet.snapshot()?.launched();
        if so_far >= launches {
            return Ok(so_far);
        }
        (1..SIZE).try_for_each(|_| fleet.enqueue(0.1).map(drop))?;
        let begun = Instant::now();
        loop {
            let snapshot = fleet.snapshot()?;
            let quiet = snapshot.queue.waiting == 0 && snapshot.queue.running == 1;
            if quiet && living(snapshot).count() == 1 {
                break;
            }
            if begun.elapsed() > ROUND {
                bail!("waited {} s in vain for the fleet to empty itself", ROUND.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn look(fleet: &Fleet, programs: &Programs, id: &str) -> Result<Vec<Held>> {
    let instance = living(fleet.snapshot()?).find(|it| it.id == id).context("the instance that works is gone")?;
    let agent = pid(&instance).context("its agent says nothing")?;
    let scaler = *process::running(&programs.scaler).first().context("the fleet's scaler does not run")?;
    let file = fleet.dir().join("instances").join(id).join("state/runner.pid");
    let record = fs::read_to_string(file).context("there is no runner")?;
    // Its number, and when it started.
    let runner = record.split_whitespace().next().context("the runner has no number")?.parse()?;
    let programs = [("up", fleet.pid()), ("scaler", scaler), ("agent", agent), ("runner", runner)];
    programs.into_iter().map(|(program, pid)| held(program, pid)).collect()
}

fn held(program: &'static str, pid: u32) -> Result<Held> {
    let memory = process::memory(pid)?;
    Ok(Held {
        program,
        files: process::entries(pid, "fd")?,
        threads: process::entries(pid, "task")?,
        resident: memory.rss,
        anonymous: memory.anonymous,
    })
}

/// What a folder takes, in MiB.
fn disk(folder: &Path) -> Result<f64> {
    fn bytes(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.metadata().ok().map(|metadata| (entry.path(), metadata)))
            .map(|(path, metadata)| if metadata.is_dir() { bytes(&path) } else { metadata.len() })
            .sum()
    }
    Ok(f64::from(u32::try_from(bytes(folder) >> 10)?) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(files: f64, threads: f64, anonymous: f64) -> Vec<Held> {
        vec![Held { program: "up", files, threads, resident: 20.0, anonymous }]
    }

    #[test]
    fn what_grows_with_the_launches_is_found_and_what_comes_and_goes_is_not() {
        let before = held(43.0, 6.0, 12.1);
        let judged = |files, threads, anonymous, disk| {
            grown((&before[..], 10.0), (&held(files, threads, anonymous)[..], disk), 1_000.0)
        };
        assert_eq!(judged(50.0, 9.0, 14.0, 13.0), Vec::<String>::new());
        assert_eq!(judged(20.0, 2.0, 6.0, 1.0), Vec::<String>::new(), "less is no growth");
        // As it was: a socket and its folder for each launch, and 19 KiB of memory.
        let found = judged(1_043.0, 1_006.0, 31.0, 60.0);
        for (found, what) in found.iter().zip([
            "open files of up: from 43.0 to 1043.0, 1.0000 a launch",
            "threads of up",
            "anonymous",
            "the fleet's folder",
        ]) {
            assert!(found.starts_with(what), "{found}");
        }
        assert_eq!(found.len(), 4);
        // One in twenty launches is a leak, too.
        assert_eq!(judged(93.0, 6.0, 12.1, 10.0).len(), 1);
    }
}
