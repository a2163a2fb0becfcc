//! Machines made of processes: each instance is the real agent, kept as systemd keeps it, and whatever the agent starts.

mod engine_proxy;
mod settings;

pub(super) use settings::quoted;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::Docker;
use futures_util::future::BoxFuture;
use lightsout_localcloud::{Boot, Machine, Machines, fleet::AgentReport};
use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::{
    net::{UnixDatagram, UnixListener},
    process::{Child, Command},
    sync::watch,
};

use self::engine_proxy::EngineProxy;
use super::{
    environment,
    platform::{self, Platform},
};
use crate::{
    containers,
    fleet_dir::FleetDir,
    processes::{self, ProcessScope},
};

/// The word with which an agent switches its machine off: `lightsout machine-off DIR`.
pub const MACHINE_OFF: &str = "machine-off";

/// How long a machine that is switched off may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// How long after the agent died it is started again.
const RESTART: Duration = Duration::from_secs(1);

/// What all machines of a fleet have in common.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The fleet's directory; each machine has its own below it.
    pub fleet_dir: FleetDir,
    /// The CI platform.
    pub platform: Platform,
    /// This program.
    pub program: PathBuf,
    /// A program that is the agent; without it this one is.
    pub agent: Option<PathBuf>,
    /// A program that is the scaler; without it this one is.
    pub scaler: Option<PathBuf>,
    /// The platform's runner.
    pub runner: PathBuf,
    /// The Docker engine and the image for jobs; without it jobs are plain processes.
    pub docker: Option<(Docker, String)>,
    /// The agents' idle timeout.
    pub idle_timeout: Duration,
    /// Jobs that a machine takes at once.
    pub slots: u32,
}

impl FleetConfig {
    /// The command that is the agent.
    fn agent(&self) -> Command {
        program_or_subcommand(self.agent.as_ref(), &self.program, "agent")
    }

    /// The command that is the scaler.
    pub fn scaler(&self) -> Command {
        program_or_subcommand(self.scaler.as_ref(), &self.program, "scaler")
    }
}

/// A program of its own, or else the part of this program with that word.
fn program_or_subcommand(other: Option<&PathBuf>, program: &Path, word: &str) -> Command {
    let mut command = Command::new(other.map_or(program, PathBuf::as_path));
    if other.is_none() {
        command.arg(word);
    }
    command
}

/// Powers machines of this kind on.
#[derive(Clone, Debug)]
pub struct ProcessMachines(pub Arc<FleetConfig>);

impl Machines for ProcessMachines {
    fn boot(&self, boot: Boot) -> BoxFuture<'static, io::Result<Box<dyn Machine>>> {
        let config = Arc::clone(&self.0);
        Box::pin(
            async move { ProcessMachine::boot(config, &boot).map(|machine| Box::new(machine) as Box<dyn Machine>) },
        )
    }
}

/// Asks the machine whose directory is given to switch itself off.
pub fn machine_off(args: &[OsString]) -> ExitCode {
    let told = match args {
        [dir] => std::os::unix::net::UnixDatagram::unbound()
            .and_then(|socket| socket.send_to(b"off", power_switch(Path::new(dir))))
            .map(drop),
        [..] => Err(io::Error::other("give the machine's directory")),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the machine cannot be switched off: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One machine.
struct ProcessMachine {
    config: Arc<FleetConfig>,
    scope: ProcessScope,
    dir: PathBuf,
    agent: Arc<Mutex<Option<OwnedFd>>>,
    /// It is ending: the agent is not started again.
    ending: watch::Sender<bool>,
    /// It switched itself off.
    switched_off: watch::Sender<bool>,
}

impl ProcessMachine {
    fn boot(config: Arc<FleetConfig>, boot: &Boot) -> io::Result<Self> {
        let dir = config.fleet_dir.instances().join(&boot.id);
        fs::create_dir_all(&dir)?;
        let lines = settings::docker_lines(&config.fleet_dir.fleet_name(), &boot.id);
        let described = platform::Machine {
            url: &boot.aws,
            dir: &dir,
            runner: &config.runner,
            port: free_port()?,
            slots: config.slots,
            image: config.docker.as_ref().map(|(_, image)| image.as_str()),
            docker_lines: &lines,
        };
        fs::write(dir.join("agent.toml"), settings::agent(&config, &described))?;
        let environment = config.platform.environment(&described);
        let switch = UnixDatagram::bind(power_switch(&dir))?;
        let scope = ProcessScope::machine(&config.fleet_dir.fleet_name(), &boot.id);
        let agent = Arc::default();
        let machine = Self {
            config,
            scope,
            dir,
            agent,
            ending: watch::Sender::new(false),
            switched_off: watch::Sender::new(false),
        };
        machine.serve_engine()?;
        tokio::spawn(supervise(
            machine.agent_command(boot, environment),
            Arc::clone(&machine.agent),
            machine.ending.subscribe(),
        ));
        tokio::spawn(wait_for_power_switch(switch, machine.shut_down(), machine.switched_off.clone()));
        Ok(machine)
    }

    /// The machine's own proxy of the engine, where its agent needs one.
    fn serve_engine(&self) -> io::Result<()> {
        if self.config.docker.is_none() || !self.config.platform.needs_own_engine() {
            return Ok(());
        }
        let socket = UnixListener::bind(settings::engine_socket(&self.dir))?;
        let label = format!("{}={}", containers::MACHINE_LABEL, self.scope.value());
        let proxy = EngineProxy { engine: engine_proxy::socket(), label };
        let mut ending = self.ending.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                Err(error) = proxy.serve(socket) => tracing::error!(%error, "a machine's proxy of the engine is gone"),
                _ = ending.wait_for(|ending| *ending) => {}
            }
        });
        Ok(())
    }

    /// The agent as systemd would start it.
    fn agent_command(
        &self,
        boot: &Boot,
        variables: Vec<(&'static str, OsString)>,
    ) -> impl Fn() -> io::Result<Child> + Send + 'static {
        let (config, dir, scope, boot) = (Arc::clone(&self.config), self.dir.clone(), self.scope.clone(), boot.clone());
        move || {
            let log = OpenOptions::new().create(true).append(true).open(dir.join("agent.log"))?;
            let mut command = config.agent();
            environment::prepare(&mut command, &scope, &boot.aws, &boot.region);
            command
                .args(["run", "--config"])
                .arg(dir.join("agent.toml"))
                .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &boot.imds)
                .envs(variables.iter().map(|(name, value)| (name, value)))
                .current_dir(&dir)
                .stdin(Stdio::null())
                .stdout(Stdio::from(File::try_clone(&log)?))
                .stderr(Stdio::from(log))
                .process_group(0)
                .spawn()
        }
    }

    /// Everything that a shutdown does.
    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        let (ending, scope, config) = (self.ending.clone(), self.scope.clone(), Arc::clone(&self.config));
        async move {
            ending.send_replace(true);
            processes::end(&scope, GRACE).await;
            if let Some((docker, _)) = &config.docker
                && let Err(error) = containers::remove(docker, containers::MACHINE_LABEL, &scope.value()).await
            {
                tracing::warn!(machine = scope.value(), %error, "the job containers cannot be removed; the next start does it");
            }
        }
    }
}

impl Machine for ProcessMachine {
    fn off(&self) -> BoxFuture<'static, ()> {
        let mut off = self.switched_off.subscribe();
        Box::pin(async move {
            if off.wait_for(|off| *off).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn power_off(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.shut_down())
    }

    fn crash_agent(&self) -> io::Result<()> {
        match &*self.agent.lock().expect("no holder panics") {
            Some(agent) => Ok(pidfd_send_signal(agent, Signal::KILL)?),
            None => Err(io::Error::other("the agent does not run now")),
        }
    }

    fn report(&self) -> Option<AgentReport> {
        serde_json::from_slice(&fs::read(self.dir.join("state/status.json")).ok()?).ok()
    }
}

/// Starts the agent, and starts it again when it dies, but not when it has done its work (`Restart=on-failure`).
async fn supervise(
    start: impl Fn() -> io::Result<Child>,
    agent: Arc<Mutex<Option<OwnedFd>>>,
    mut ending: watch::Receiver<bool>,
) {
    while !*ending.borrow() {
        match start() {
            Ok(mut child) => {
                *agent.lock().expect("no holder panics") = handle(&child).ok();
                let ended = child.wait().await;
                *agent.lock().expect("no holder panics") = None;
                match ended {
                    Ok(status) if status.success() => return,
                    Ok(status) => tracing::info!(%status, "an agent ended"),
                    Err(error) => tracing::error!(%error, "an agent cannot be waited for"),
                }
            }
            Err(error) => tracing::error!(%error, "an agent cannot be started"),
        }
        tokio::select! {
            () = tokio::time::sleep(RESTART) => {}
            _ = ending.wait_for(|ending| *ending) => return,
        }
    }
}

/// Ends the machine when its power switch is pressed.
async fn wait_for_power_switch(switch: UnixDatagram, end: impl Future<Output = ()>, switched_off: watch::Sender<bool>) {
    if switch.recv(&mut [0; 8]).await.is_ok() {
        end.await;
        switched_off.send_replace(true);
    }
}

fn handle(child: &Child) -> io::Result<OwnedFd> {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn power_switch(dir: &Path) -> PathBuf {
    dir.join("power")
}

/// A port that nobody uses now. Another process may take it first; then the agent's runner fails and is tried again.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
