//! Many launches on one fleet: what each of its programs holds at the start and at the end. What counts launches must not
//! grow with them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lightsout_localcloud::fleet::JobState;

use crate::{
    fleet::{Fleet, Programs, living, phase, pid},
    process,
    report::Report,
};

/// The largest fleet, one of which works from the start to the end.
const SIZE: usize = 25;
/// Launches before the first look, so that what is made once is there.
const WARM_UP: usize = 2 * SIZE;
/// How long one round of launches may take.
const ROUND: Duration = Duration::from_secs(300);

/// What a program holds at one moment.
struct Held {
    program: &'static str,
    files: f64,
    threads: f64,
    resident: f64,
    anonymous: f64,
}

pub(crate) fn measure(programs: &Programs, launches: usize, report: &mut Report) -> Result<()> {
    let arguments = format!("--max {SIZE} --boot-seconds 0.2 --idle-timeout 1s --tick 1s --no-docker");
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
    anyhow::ensure!(job.state == JobState::Running, "the job that works all the time is {:?}", job.state);

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
    Ok(())
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
                bail!("waited {ROUND:?} in vain for the fleet to empty itself");
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
