//! StackGuardian's runner: what `sg-runner`, the ECS agent that it installs, and the Docker engine below that are to
//! StackGuardian and to the agent. `sg-runner register` registers the machine, writes `ecs.config` and starts the ECS
//! agent, which takes tasks until it is stopped. There the ECS agent is a container; here it is a process, for all
//! machines of the fleet share one engine. The few words of `docker` and `systemctl` with which it is looked at and
//! stopped are answered by [`tools`].

mod tasks;
mod tools;

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Parser, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use self::{
    tasks::Tasks,
    tools::{DOCKER, SYSTEMCTL},
};
use crate::{
    Host, Runner, SUBCOMMAND,
    client::{Connect, PlatformClient, embedded_url},
    container::unique,
    executor::{Executor, JOB_PATH, JobOptions, RunningJob, image_env},
    http::Http,
    job::Job,
    page,
    program::{block_on, exit_code, link, with_args},
    worker::{JobStarter, Stop},
};

pub const RUNNER: Runner = Runner {
    platform: "stackguardian",
    programs: &[(PROGRAM, main), (ECS_AGENT, ecs_agent), (DOCKER, tools::docker), (SYSTEMCTL, tools::systemctl)],
    install,
    environment,
};

/// Registers a machine.
const PROGRAM: &str = "sg-runner";
const ECS_AGENT: &str = "ecs-agent";
/// The directory of the ECS agent's files.
const DIR: &str = "ECS_CONFIG_DIR";
/// Where the ECS agent shows its tasks, as `host:port`.
const INTROSPECTION: &str = "LIGHTSOUT_ECS_INTROSPECTION";
/// How many tasks fit on the machine.
const SLOTS: &str = "LIGHTSOUT_SLOTS";

const TOKEN: &str = "SG_NODE_TOKEN";
const ATTRIBUTES: &str = "ECS_INSTANCE_ATTRIBUTES";

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

fn ecs_agent(_: &[OsString]) -> ExitCode {
    exit_code(block_on(serve()))
}

/// The directory of the ECS agent's files.
fn directory() -> Result<PathBuf> {
    env::var_os(DIR)
        .map(PathBuf::from)
        .with_context(|| format!("{DIR} is not set: this works within `lightsout up` only"))
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
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    let config = format!(
        "ECS_CLUSTER={}\nAWS_DEFAULT_REGION={}\nECS_EXTERNAL=true\n{ATTRIBUTES}={attributes}\n",
        text("/data/RegistrationMetadata/0/ECSCluster"),
        text("/data/RegistrationMetadata/0/AWSDefaultRegion"),
    );
    fs::write(directory.join("ecs.config"), config).context("cannot write ecs.config")?;
    start_agent(&directory, token)?;
    let give_up = Instant::now() + Duration::from_secs(10);
    while !tools::agent_runs()? {
        ensure!(
            Instant::now() < give_up,
            "the ECS agent does not come up; see {}",
            directory.join("ecs-agent.log").display()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("registered as {}", text("/data/RunnerId"));
    Ok(())
}

/// Starts the ECS agent in a process group of its own, so that it outlives whoever registers.
fn start_agent(directory: &Path, token: &str) -> Result<()> {
    let log = OpenOptions::new().create(true).append(true).open(directory.join("ecs-agent.log"))?;
    Command::new(env::current_exe()?)
        .args([SUBCOMMAND, ECS_AGENT])
        .env(TOKEN, token)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(File::try_clone(&log)?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the ECS agent")?;
    Ok(())
}

async fn serve() -> Result<()> {
    let directory = directory()?;
    let _lock = tools::hold(&directory)?;
    let name = runner_id(&fs::read_to_string(directory.join("ecs.config")).context("cannot read ecs.config")?)?;
    let slots = env::var(SLOTS).ok().and_then(|slots| slots.parse().ok()).unwrap_or(1);
    let tasks = Arc::new(Tasks::new(&directory));
    if let Ok(address) = env::var(INTROSPECTION) {
        let shown = Arc::clone(&tasks);
        page::serve(&address, "/v1/tasks", "application/json", move || shown.page()).await?;
    }
    let token = env::var(TOKEN).with_context(|| format!("{TOKEN} is not set"))?;
    let connect = Connect { slots, ..Connect::new(RUNNER.platform, token, name) };
    let agent = EcsAgent { executor: Executor::from_env().await?, tasks };
    // Nobody stops the ECS agent before its tasks, but to end them.
    PlatformClient::new(&embedded_url()?, connect, false).work(agent, |_, _| Stop::Abort).await
}

/// The runner's id in `ecs.config`.
fn runner_id(config: &str) -> Result<String> {
    let line = config.lines().find_map(|line| line.strip_prefix(ATTRIBUTES)?.strip_prefix('='));
    let attributes: Value =
        serde_json::from_str(line.with_context(|| format!("there is no {ATTRIBUTES} in ecs.config"))?)?;
    let id = attributes.get("sg_runner_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    id.map(str::to_owned).context("there is no sg_runner_id in ecs.config")
}

struct EcsAgent {
    executor: Executor,
    tasks: Arc<Tasks>,
}

impl JobStarter<Job> for EcsAgent {
    fn claimed(&self, job: &Job) -> Result<()> {
        // Known before its container runs, as one is whose image is still pulled.
        self.tasks.add(job.id)
    }

    async fn prepare(&self, job: &Job) -> Result<()> {
        self.executor.prepare(job).await
    }

    async fn start(&self, job: &Job) -> Result<RunningJob> {
        let arn = tasks::arn(job.id);
        let labels = [("task-arn", arn.as_str()), ("cluster", "lightsout"), ("container-name", "runner")];
        let options = JobOptions {
            name: format!("ecs-sg-workflow-{}-runner-{}", job.id, unique()),
            labels: labels.map(|(key, value)| (format!("com.amazonaws.ecs.{key}"), value.to_owned())).into(),
            hidden: &[TOKEN],
            ..JobOptions::default()
        };
        self.executor.start(job, options).await
    }

    fn ended(&self, job: &Job) {
        self.tasks.stopped(job.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_id_is_read_back() {
        let config = "ECS_CLUSTER=c\nECS_INSTANCE_ATTRIBUTES={\"sg_runner_id\":\"r-1\"}\n";
        assert_eq!(runner_id(config).unwrap(), "r-1");
        assert!(runner_id("ECS_CLUSTER=c\n").is_err());
        assert!(runner_id("ECS_INSTANCE_ATTRIBUTES={}\n").unwrap_err().to_string().contains("sg_runner_id"));
    }
}
