//! StackGuardian's runner: what `sg-runner`, the ECS agent that it installs, and the Docker engine below that are to StackGuardian and to the
//! agent. `sg-runner register` registers the machine, writes `ecs.config` and starts the ECS agent, which takes tasks until it is stopped.
//! There the ECS agent is a container; here it is a process, for all machines of the fleet share one engine. The few words of `docker` and
//! `systemctl` with which it is looked at and stopped are answered by [`tools`].

mod tasks;
pub mod tools;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Parser, Subcommand};
use futures_util::future::BoxFuture;
use hyper::Method;
use serde_json::{Value, json};

use self::tasks::Tasks;
use super::{
    Stop,
    desk::{self, Desk, Hello, Job, Mode},
    page,
    shift::{self, Manners, Trade, Work},
    shop::Shop,
};
use crate::http::Http;

/// The vendor's name for the program that registers a machine.
pub const PROGRAM: &str = "sg-runner";
/// The word with which this program is the ECS agent.
pub const ECS_AGENT: &str = "ecs-agent";
/// Where the ECS agent tells its tasks, as `host:port`.
pub const INTROSPECTION: &str = "LIGHTSOUT_ECS_INTROSPECTION";
/// How many tasks fit on the machine.
pub const SLOTS: &str = "LIGHTSOUT_SLOTS";

const TOKEN: &str = "SG_NODE_TOKEN";
const ATTRIBUTES: &str = "ECS_INSTANCE_ATTRIBUTES";

/// The small built-in StackGuardian runner of `lightsout up`.
#[derive(Parser)]
#[command(name = PROGRAM, version)]
struct Args {
    #[command(subcommand)]
    command: Word,
}

#[derive(Subcommand)]
enum Word {
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

/// Runs the registration with these arguments (without the program's name).
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    super::with_args(PROGRAM, args, |args: Args| {
        let Word::Register { organization, runner_group, sg_node_token } = args.command;
        crate::block_on(register(&organization, &runner_group, &sg_node_token))
    })
}

/// Is the ECS agent.
pub fn ecs_agent() -> ExitCode {
    super::ended(crate::block_on(serve()))
}

/// The folder of the ECS agent's files.
fn folder() -> Result<PathBuf> {
    env::var_os("ECS_CONFIG_DIR")
        .map(PathBuf::from)
        .context("ECS_CONFIG_DIR is not set: this works within `lightsout up` only")
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
    let told = reply.value()?;
    let text = |path: &str| told.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let attributes = json!({
        "sg_organization": text("/data/OrgId"),
        "sg_runner_id": text("/data/RunnerId"),
        "sg_runner_group_id": text("/data/RunnerGroupId"),
    });
    let folder = folder()?;
    fs::create_dir_all(&folder)?;
    let config = format!(
        "ECS_CLUSTER={}\nAWS_DEFAULT_REGION={}\nECS_EXTERNAL=true\n{ATTRIBUTES}={attributes}\n",
        text("/data/RegistrationMetadata/0/ECSCluster"),
        text("/data/RegistrationMetadata/0/AWSDefaultRegion"),
    );
    fs::write(folder.join("ecs.config"), config).context("cannot write ecs.config")?;
    start_agent(&folder, token)?;
    let give_up = Instant::now() + Duration::from_secs(10);
    while !tools::agent_runs()? {
        ensure!(
            Instant::now() < give_up,
            "the ECS agent does not come up; see {}",
            folder.join("ecs-agent.log").display()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("registered as {}", text("/data/RunnerId"));
    Ok(())
}

/// Starts the ECS agent in a process group of its own, so that it outlives whoever registers.
fn start_agent(folder: &std::path::Path, token: &str) -> Result<()> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("ecs-agent.log"))?;
    Command::new(env::current_exe()?)
        .args(["runner", ECS_AGENT])
        .env(TOKEN, token)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(File::try_clone(&log)?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the ECS agent")?;
    Ok(())
}

async fn serve() -> Result<()> {
    let folder = folder()?;
    let _lock = tools::hold(&folder)?;
    let name = runner_id(&fs::read_to_string(folder.join("ecs.config")).context("cannot read ecs.config")?)?;
    let slots = env::var(SLOTS).ok().and_then(|slots| slots.parse().ok()).unwrap_or(1);
    let tasks = Arc::new(Tasks::new(&folder));
    if let Ok(address) = env::var(INTROSPECTION) {
        let shown = Arc::clone(&tasks);
        page::serve(&address, "/v1/tasks", "application/json", move || shown.page()).await?;
    }
    let hello = Hello {
        platform: "stackguardian",
        token: env::var(TOKEN).with_context(|| format!("{TOKEN} is not set"))?,
        name,
        instance_id: desk::instance(),
        metadata: BTreeMap::new(),
        slots,
        mode: Mode::Continuous,
    };
    // Nobody stops the ECS agent before its tasks, but to end them.
    let manners = Manners { slots, single: false, signalled: |_, _| Stop::Abort };
    let agent = EcsAgent { shop: Shop::open().await?, tasks };
    shift::serve(Desk::new(&desk::embedded()?, hello, false), manners, Arc::new(agent)).await
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
    shop: Shop,
    tasks: Arc<Tasks>,
}

impl Trade for EcsAgent {
    fn begin(&self, job: &Job) -> BoxFuture<'_, Result<Work>> {
        let job = job.clone();
        Box::pin(async move {
            // Known before its container runs, as an image that is still pulled is.
            let arn = self.tasks.add(job.id)?;
            let name = format!("ecs-sg-workflow-{}-runner-{}", job.id, super::container::unique());
            let labels = [("task-arn", arn.as_str()), ("cluster", "lightsout"), ("container-name", "runner")];
            let labels = labels.map(|(key, value)| (format!("com.amazonaws.ecs.{key}"), value.to_owned()));
            self.shop.run(&job, name, labels.into(), &[TOKEN]).await
        })
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
