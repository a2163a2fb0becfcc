//! `doctor`: looks at everything that the agent depends on, and changes nothing. What the facts mean, the core says
//! ([`lightsout_core::doctor`]). It is a program of its own; [`program`] is how the agent finds it.

mod cloud;
mod guard;
mod image;
mod machine;
mod platform;
pub(crate) mod program;
mod root;
mod settings;
mod software;
mod units;

use std::{
    env, fs, io,
    io::Write,
    os::unix::{ffi::OsStringExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
};

use lightsout_core::doctor::{Facts, Finding, Place, Verdict, examine, facts::Machine, summary};
use lightsout_io::http::Driver;
use serde_json::Value;

use crate::{
    args::Doctor,
    control::client,
    docker::{Engine, EngineInfo},
    settings::Tags,
};
use root::Root;

/// Set when this process has the environment of the agent that runs.
const BORROWED: &str = "LIGHTSOUT_DOCTOR_OF";

/// Looks, and prints what was found. Exits with 0 when nothing is wrong, 1 when something is, 2 when the settings cannot work.
pub(crate) async fn run(args: &Doctor) -> ExitCode {
    let facts = gather(args, &Root::default()).await;
    let findings = examine(&facts);
    print(&findings, args.json);
    let wrong = |finding: &Finding| finding.verdict == Verdict::Wrong;
    match findings.iter().find(|finding| wrong(finding)) {
        None => ExitCode::SUCCESS,
        Some(_) if findings.iter().any(|finding| wrong(finding) && finding.id == "settings") => ExitCode::from(2),
        Some(_) => ExitCode::FAILURE,
    }
}

async fn gather(args: &Doctor, root: &Root) -> Facts {
    let settings = settings::read(&args.config.config, root, &Tags::new());
    let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (doctor)"));
    let mut facts =
        Facts { place: if args.image { Place::Image } else { Place::Instance }, settings, ..Facts::default() };
    let mut info = EngineInfo::default();
    if args.image {
        facts.left_in_image = Some(image::leftovers(root));
    } else {
        let status = status(&facts).await;
        if let Ok(status) = &status {
            borrow_environment(status);
        }
        let program = facts.settings.settings.as_ref().map(|settings| settings.cloud.clone()).unwrap_or_default();
        facts.settings = settings::read(&args.config.config, root, &cloud::tags(&program).await);
        let docker = facts.settings.settings.as_ref().map(|settings| &settings.docker);
        let docker = docker.filter(|docker| docker.enabled).map(|docker| Engine::new(&docker.socket));
        if let Some(engine) = &docker {
            info = engine.info().await.unwrap_or_default();
        }
        facts.machine = machine::running(&facts.settings, root, status, docker.as_ref()).await;
        let (identity, secrets) = cloud::look(&mut facts).await;
        if let Some(settings) = &facts.settings.settings {
            facts.platform = platform::look(settings, identity.as_ref(), &*secrets, &driver).await;
        }
    }
    let engine = software::engine_needed(&facts.settings, root, args.image);
    let (disks, guard) =
        (machine::disks(&facts.settings, root, engine, &info), guard::look(&facts.settings, root, args.image).await);
    facts.machine = Machine { disks, guard, engine_needed: engine, ..facts.machine };
    facts.software = software::installed(&facts, root, &info).await;
    facts
}

/// What the agent that runs says.
async fn status(facts: &Facts) -> Result<Value, String> {
    let usual = || PathBuf::from("/run/lightsout/agent.sock");
    let socket = facts.settings.settings.as_ref().map_or_else(usual, |settings| settings.socket.clone());
    client::round_trip(&socket, &crate::control::Request::Status).await
}

/// Starts this program anew with the environment of the agent that runs, once: its proxies, certificates, addresses and secrets are what
/// is to be looked at, and a person's shell has others. Without the right to see it, it goes on with its own.
fn borrow_environment(status: &Value) {
    let Some(pid) = status.get("pid").and_then(Value::as_u64) else { return };
    if env::var_os(BORROWED).is_some() {
        return;
    }
    let Ok(text) = fs::read(format!("/proc/{pid}/environ")) else { return };
    let pairs = text.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let word = |bytes: &[u8]| std::ffi::OsString::from_vec(bytes.to_vec());
        Some((word(&pair[..at]), word(&pair[at + 1..])))
    });
    // It returns only when it failed.
    let _ = Command::new("/proc/self/exe")
        .args(env::args_os().skip(1))
        .env_clear()
        .envs(pairs)
        .env(BORROWED, pid.to_string())
        .exec();
}

fn print(findings: &[Finding], json: bool) {
    let mut out = io::stdout().lock();
    for finding in findings {
        let line = if json { serde_json::to_string(finding).unwrap_or_default() } else { finding.to_string() };
        let _ = writeln!(out, "{line}");
    }
    if !json {
        let _ = writeln!(out, "\n{}", summary(findings));
    }
    let _ = out.flush();
}

#[cfg(test)]
mod tests;
