//! The fleet at rest and at work once more, with metrics on in every program: pages that are read as often as Prometheus reads them, and
//! CloudWatch's lines.

use std::{fs, os::unix::fs::PermissionsExt, sync::mpsc, thread, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    fleet::{Fleet, Programs, living},
    http,
    idle::{BUSY, SETTLE, SIZE, occupy, scaler, watch},
    report::Report,
};

/// How often each page is read: as often as the alarms in `monitoring/` ask for.
const SCRAPE: Duration = Duration::from_secs(15);

pub(crate) fn measure(programs: &Programs, window: Duration, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("agent.toml");
    fs::write(&settings, "[metrics]\nlisten = \"127.0.0.1:0\"\nemf = true\n")?;
    // `up` has no word for the scaler's metrics.
    let wrapper = folder.path().join("scaler");
    fs::write(&wrapper, format!("#!/bin/sh\nexec '{}' \"$@\" --emf\n", programs.scaler.display()))?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let arguments = format!(
        "--min {SIZE} --max {} --boot 500ms --idle-timeout 1h --tick 10s --agent-settings {}",
        SIZE + 1,
        settings.display()
    );
    let mut fleet = Fleet::start(&Programs { scaler: wrapper, ..programs.clone() }, &arguments)?;
    fleet.until_idle(SIZE)?;
    thread::sleep(SETTLE);
    scraped(&fleet, || watch(&fleet, "idle, metrics on", window, report))?;
    scaler(programs, "1 pool, metrics on", window, report)?;
    occupy(&mut fleet)?;
    scraped(&fleet, || watch(&fleet, "busy, metrics on", BUSY, report))
}

/// Does this while the pages of all agents are read, and fails when one cannot be.
fn scraped(fleet: &Fleet, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let addresses = living(fleet.snapshot()?)
        .map(|it| it.agent.and_then(|agent| agent.0["metrics"].as_str().map(str::to_owned)))
        .collect::<Option<Vec<_>>>()
        .context("an agent does not say where its metrics are")?;
    ensure!(addresses.len() == SIZE, "{} agents show metrics", addresses.len());
    let (done, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let reader = scope.spawn(move || -> Result<()> {
            loop {
                for address in &addresses {
                    let (status, page) = http::send("GET", &format!("http://{address}/metrics"), "text/plain", "")?;
                    ensure!(status == 200 && page.contains("cicd_workers"), "{address}: HTTP {status}: {page}");
                }
                if over.recv_timeout(SCRAPE) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return Ok(());
                }
            }
        });
        let worked = work();
        drop(done);
        reader.join().expect("it does not panic")?;
        worked
    })
}
