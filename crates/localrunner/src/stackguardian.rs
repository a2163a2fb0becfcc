//! StackGuardian's runner: what `sg-runner`, the ECS agent that it installs, and the Docker engine below that are to
//! StackGuardian and to the agent. `sg-runner register` registers the machine, writes `ecs.config` and starts the ECS
//! agent, which takes tasks until it is stopped. There the ECS agent is a container; here it is a process, for all
//! machines of the fleet share one engine. The few words of `docker` and `systemctl` with which it is looked at and
//! stopped are answered by [`tools`].

mod ecs_agent;
mod tasks;
mod tools;

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Parser, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use self::{
    ecs_agent::{ATTRIBUTES, DIR, INTROSPECTION, SLOTS, TOKEN},
    tools::{DOCKER, SYSTEMCTL},
};
use crate::{
    executor::{JOB_PATH, image_env},
    http::Http,
    program::{block_on, exit_code, link, with_args},
    runner::{Host, Runner},
};

pub(crate) const RUNNER: Runner = Runner {
    platform: "stackguardian",
    programs: &[(PROGRAM, main), (ecs_agent::PROGRAM, serve), (DOCKER, tools::docker), (SYSTEMCTL, tools::systemctl)],
    install,
    environment,
};

/// Registers a machine.
const PROGRAM: &str = "sg-runner";

/// The small built-in StackGuardian runner of `lightsout up`.
#[derive(Parser)]
#[command(name = PROGRAM, version)]
struct Args {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Registers this machine and starts the ECS agent
    Register {
        /// The organization's name
        #[arg(long)]
        organization: String,
        /// The runner group's name
        #[arg(long)]
        runner_group: String,
        /// The runner group's token
        #[arg(long, env = TOKEN, hide_env_values = true)]
        sg_node_token: String,
    },
}

fn install(program: &Path, bin: &Path) -> io::Result<PathBuf> {
    link(program, bin, DOCKER)?;
    link(program, bin, SYSTEMCTL)?;
    link(program, bin, PROGRAM)
}

fn environment(host: &Host<'_>) -> Vec<(&'static str, OsString)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = host.runner.parent().unwrap_or(host.runner).to_owned();
    let with_tools = env::join_paths(std::iter::once(tools).chain(env::split_paths(&path)));
    let own = [
        ("PATH", with_tools.unwrap_or_else(|_| path.clone())),
        (JOB_PATH, path),
        (DIR, host.dir.join("ecs").into()),
        (SLOTS, host.slots.to_string().into()),
        (INTROSPECTION, format!("127.0.0.1:{}", host.port).into()),
    ];
    image_env(host.image).into_iter().chain(own).collect()
}

fn main(args: &[OsString]) -> ExitCode {
    with_args(PROGRAM, args, |args: Args| {
        let Subcommands::Register { organization, runner_group, sg_node_token } = args.command;
        block_on(register(&organization, &runner_group, &sg_node_token))
    })
}

fn serve(_: &[OsString]) -> ExitCode {
    exit_code(block_on(ecs_agent::serve(RUNNER.platform)))
}

async fn register(organization: &str, group: &str, token: &str) -> Result<()> {
    let base = env::var("SG_BASE_API").context("SG_BASE_API is not set")?;
    let url = format!("{base}/orgs/{organization}/runnergroups/{group}/register/");
    let key = format!("apikey {token}");
    let reply =
        Http::new(Duration::from_secs(10)).send(Method::POST, &url, &[("authorization", &key)], Bytes::new()).await?;
    ensure!(
        reply.status.is_success(),
        "StackGuardian refuses the registration: HTTP {}: {}",
        reply.status,
        reply.text()
    );
    let body = reply.value()?;
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let attributes = json!({
        "sg_organization": text("/data/OrgId"),
        "sg_runner_id": text("/data/RunnerId"),
        "sg_runner_group_id": text("/data/RunnerGroupId"),
    });
    let directory = ecs_agent::directory()?;
    fs::create_dir_all(&directory)?;
    let config = format!(
        "ECS_CLUSTER={}\nAWS_DEFAULT_REGION={}\nECS_EXTERNAL=true\n{ATTRIBUTES}={attributes}\n",
        text("/data/RegistrationMetadata/0/ECSCluster"),
        text("/data/RegistrationMetadata/0/AWSDefaultRegion"),
    );
    fs::write(directory.join("ecs.config"), config).context("cannot write ecs.config")?;
    ecs_agent::start(&directory, token)?;
    let give_up = Instant::now() + Duration::from_secs(10);
    while !ecs_agent::is_running()? {
        ensure!(
            Instant::now() < give_up,
            "the ECS agent does not come up; see {}",
            directory.join(ecs_agent::LOG).display()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("registered as {}", text("/data/RunnerId"));
    Ok(())
}
