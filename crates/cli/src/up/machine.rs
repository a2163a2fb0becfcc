//! Machines made of processes: each instance is the real agent, kept as systemd keeps it, and whatever the agent starts.

mod engine_proxy;
mod power_switch;
mod shell;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use lightsout_localcloud::{Boot, Machine, Machines, ci::demo::DemoMachine, fleet::AgentReport, machine::Ran};
use rustix::process::geteuid;
use tokio::{net::UnixListener, process::Child, sync::watch, task::AbortHandle};

use self::engine_proxy::EngineProxy;
pub(crate) use self::power_switch::{MACHINE_OFF, machine_off};
use self::shell::Shell;
use super::{
    agent_settings::{self, OwnSettings},
    ended_logs::EndedLogs,
    environment,
    fleet_config::FleetConfig,
    toml::{quoted, quoted_path},
};
use crate::{
    containers,
    process_handle::ProcessHandle,
    processes::{self, ProcessScope},
};

/// How long a machine that is switched off may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// How long after the agent died it is started again.
const RESTART: Duration = Duration::from_secs(1);

/// Powers machines of this kind on.
#[derive(Debug)]
pub(super) struct ProcessMachines {
    config: Arc<FleetConfig>,
    ended: EndedLogs,
}

impl ProcessMachines {
    pub(super) fn new(config: Arc<FleetConfig>) -> Self {
        Self { config, ended: EndedLogs::default() }
    }
}

impl Machines for ProcessMachines {
    fn boot(&self, boot: Boot) -> BoxFuture<'static, io::Result<Box<dyn Machine>>> {
        let config = Arc::clone(&self.config);
        Box::pin(async move {
            let machine = ProcessMachine::boot(config, &boot)?;
            Ok(Box::new(machine) as Box<dyn Machine>)
        })
    }

    fn discard(&self, id: &str) {
        self.ended.add(self.config.fleet_dir.instances().join(id));
    }
}

struct ProcessMachine {
    config: Arc<FleetConfig>,
    scope: ProcessScope,
    dir: PathBuf,
    shell: Shell,
    agent: Arc<Mutex<Option<ProcessHandle>>>,
    /// It is ending: the agent is not started again.
    ending: watch::Sender<bool>,
    /// It switched itself off.
    switched_off: watch::Sender<bool>,
    /// Waits for the agent to switch it off.
    switch: Option<AbortHandle>,
}

impl ProcessMachine {
    fn boot(config: Arc<FleetConfig>, boot: &Boot) -> io::Result<Self> {
        let dir = config.fleet_dir.instances().join(&boot.id);
        fs::create_dir_all(&dir)?;
        // What a machine has in /run does not outlive it, and this stands in for it.
        let _ = fs::remove_dir_all(dir.join("before-register"));
        let fleet = config.fleet_dir.fleet_name();
        let scope = ProcessScope::machine(&fleet, &boot.id);
        let described = DemoMachine {
            dir: &dir,
            runner: &config.runner,
            port: free_port()?,
            slots: config.slots,
            image: config.docker.as_ref().map(|(_, image)| image.as_str()),
            labels: &[(containers::FLEET_LABEL, &fleet), (containers::MACHINE_LABEL, &scope.value())],
        };
        let environment = config.platform.environment(&described);
        let handed_on = environment.iter().map(|(name, _)| *name);
        let settings = agent_settings::agent(&config, &boot.aws, &described, &own_settings(&config, &dir), handed_on);
        fs::write(dir.join("agent.toml"), settings)?;
        let switch = power_switch::bind(&dir)?;
        let shell = Shell::install(&config, &dir, &scope, boot)?;
        let agent = Arc::default();
        let mut machine = Self {
            config,
            scope,
            dir,
            shell,
            agent,
            ending: watch::Sender::new(false),
            switched_off: watch::Sender::new(false),
            switch: None,
        };
        machine.serve_engine()?;
        tokio::spawn(supervise(
            machine.agent_command(boot, environment),
            Arc::clone(&machine.agent),
            machine.ending.subscribe(),
        ));
        let (shut_down, switched_off) = (machine.shut_down(), machine.switched_off.clone());
        let pressed = tokio::spawn(async move {
            power_switch::pressed(switch).await;
            shut_down.await;
            switched_off.send_replace(true);
        });
        machine.switch = Some(pressed.abort_handle());
        Ok(machine)
    }

    /// Serves the machine's own view of the engine, where its agent needs one.
    fn serve_engine(&self) -> io::Result<()> {
        if self.config.docker.is_none() || !self.config.platform.needs_own_engine() {
            return Ok(());
        }
        let path = engine_socket(&self.dir);
        // A machine that is started again has one from before.
        let _ = fs::remove_file(&path);
        let socket = UnixListener::bind(path)?;
        let label = format!("{}={}", containers::MACHINE_LABEL, self.scope.value());
        let proxy = EngineProxy { engine: engine_proxy::socket(), label };
        let mut ending = self.ending.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                Err(error) = proxy.serve(socket) => tracing::error!(%error, "a machine's view of the engine is gone"),
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
                .args(config.agent_settings.iter().flat_map(|more| ["--config".as_ref(), more.as_os_str()]))
                // It is a service, for whose word nobody waits here.
                .env("NOTIFY_SOCKET", dir.join("notify"))
                // Its metadata is one service, and answers as the cloud whose instance this is.
                .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &boot.imds)
                .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &boot.imds)
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
                let machine = scope.value();
                tracing::warn!(machine, %error, "the job containers cannot be removed; the next start does it");
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

    fn run(&self, script: &str) -> BoxFuture<'static, io::Result<Ran>> {
        self.shell.run(script)
    }

    fn crash_agent(&self) -> io::Result<()> {
        match &*self.agent.lock().expect("no holder panics") {
            Some(agent) => agent.kill(),
            None => Err(io::Error::other("the agent does not run now")),
        }
    }

    fn report(&self) -> Option<AgentReport> {
        serde_json::from_slice(&fs::read(self.dir.join("state/status.json")).ok()?).ok()
    }
}

impl Drop for ProcessMachine {
    /// What it held ends with it. Its files are the disk, which stays until the instance is gone for good.
    fn drop(&mut self) {
        self.switch.iter().for_each(AbortHandle::abort);
    }
}

/// Where the machine's own view of the engine answers.
fn engine_socket(dir: &Path) -> PathBuf {
    dir.join("engine")
}

/// What is not as on a machine of its own: files in the machine's directory, no systemd, and a switch instead of power.
pub(super) fn own_settings(config: &FleetConfig, dir: &Path) -> OwnSettings {
    // Of the caller's own user: what is the caller's would be out of the reach of another one.
    let user = if geteuid().is_root() { "runner_user = \"root\"\n" } else { "" };
    let agent = format!(
        "state_dir = {}\nsocket = {}\nrunner_unit = false\n{user}power_off = [{}, {}, {}]\n",
        quoted_path(&dir.join("state")),
        quoted_path(&dir.join("agent.sock")),
        quoted_path(&config.program),
        quoted(MACHINE_OFF),
        quoted_path(dir),
    );
    let engine = config.platform.needs_own_engine().then(|| format!("socket = {}\n", quoted_path(&engine_socket(dir))));
    OwnSettings { agent, docker: engine.unwrap_or_default() }
}

/// Starts the agent, and starts it again when it dies, but not when it has done its work (`Restart=on-failure`).
async fn supervise(
    start: impl Fn() -> io::Result<Child>,
    agent: Arc<Mutex<Option<ProcessHandle>>>,
    mut ending: watch::Receiver<bool>,
) {
    while !*ending.borrow() {
        match start() {
            Ok(mut child) => {
                *agent.lock().expect("no holder panics") = child.id().and_then(|pid| ProcessHandle::open(pid).ok());
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

/// A port that nobody uses now and the kernel gives to nobody by itself: the fleet's own connections take one of those every moment. Another fleet may
/// still take it first; then the agent's runner fails and is tried again.
pub(super) fn free_port() -> io::Result<u16> {
    const FIRST: u16 = 10_000;
    const TRIES: u16 = 100;
    // ip(7), "ip_local_port_range".
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given: u16 = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(FIRST);
    let unused = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|held| held.local_addr());
    let chosen = match given.saturating_sub(FIRST) {
        0 => None,
        many => (0..TRIES).find_map(|_| unused(FIRST + fastrand::u16(..many)).ok()),
    };
    Ok(chosen.map_or_else(|| unused(0), Ok)?.port())
}

#[cfg(test)]
mod tests;
