//! Machines that are booted: each instance is a container of the machine image in which systemd starts what it starts on a
//! real one, with a network, a Docker engine and a disk of its own.

mod container;
mod files;
mod network;

use std::{
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::Docker;
use futures_util::future::BoxFuture;
use lightsout_localcloud::{Boot, Machine, Machines, fleet::AgentReport, machine::Ran};
use tokio::{sync::watch, task::AbortHandle};

use self::network::Network;
use super::{ended_logs::EndedLogs, fleet_config::FleetConfig, machine_image::MachineImage};
use crate::{
    containers,
    process_handle::ProcessHandle,
    processes::{self, ProcessScope},
};

/// How long a machine that the cloud ends may take to shut down before it is cut off. EC2 gives it some minutes.
const GRACE: Duration = Duration::from_secs(20);
/// The agent's state on the machine.
const STATUS: &str = "/var/lib/lightsout/status.json";
/// The name of the agent's process.
const AGENT: &str = "lightsout-agent";

/// Boots machines of this kind.
#[derive(Debug)]
pub(crate) struct BootedMachines {
    config: Arc<FleetConfig>,
    image: MachineImage,
    ended: EndedLogs,
}

impl BootedMachines {
    pub(crate) fn new(config: Arc<FleetConfig>, image: MachineImage) -> Self {
        Self { config, image, ended: EndedLogs::default() }
    }
}

impl Machines for BootedMachines {
    fn boot(&self, boot: Boot) -> BoxFuture<'static, io::Result<Box<dyn Machine>>> {
        let (config, image) = (Arc::clone(&self.config), self.image.clone());
        Box::pin(async move {
            let machine = BootedMachine::boot(&config, &image, &boot).await?;
            Ok(Box::new(machine) as Box<dyn Machine>)
        })
    }

    fn discard(&self, id: &str) {
        let (docker, name) = (self.image.docker.clone(), container::name(&self.config, id));
        tokio::spawn(async move {
            if let Err(error) = containers::remove_one(&docker, &name).await {
                tracing::warn!(machine = name, %error, "a machine's disk stays; the end of this run removes it");
            }
        });
        self.ended.add(self.config.fleet_dir.instances().join(id));
    }
}

struct BootedMachine {
    docker: Docker,
    name: String,
    scope: ProcessScope,
    /// Its first process, as this machine numbers it.
    init: u32,
    network: Network,
    off: watch::Receiver<bool>,
    /// Waits for it to be off.
    watcher: AbortHandle,
    /// What its agent said last, once it is off.
    last_report: Arc<Mutex<Option<AgentReport>>>,
}

impl BootedMachine {
    /// Boots it; one that was stopped has its disk from before.
    async fn boot(config: &FleetConfig, image: &MachineImage, boot: &Boot) -> io::Result<Self> {
        let docker = image.docker.clone();
        let name = container::name(config, &boot.id);
        fs::create_dir_all(log_dir(config, &boot.id))?;
        if !container::exists(&docker, &name).await? {
            let files = files::archive(config, image, boot)?;
            container::create(config, image, boot, files).await?;
        }
        let init = container::start(&docker, &name).await?;
        let network = match plug_in(init, boot).await {
            Ok(network) => network,
            Err(error) => {
                // Without a network it would wait for ever.
                let _ = containers::remove_one(&docker, &name).await;
                return Err(error);
            }
        };
        let (is_off, off) = watch::channel(false);
        let watcher = {
            let (docker, name) = (docker.clone(), name.clone());
            tokio::spawn(async move {
                container::until_off(&docker, &name).await;
                is_off.send_replace(true);
            })
        };
        Ok(Self {
            docker,
            name,
            scope: ProcessScope::machine(&config.fleet_dir.fleet_name(), &boot.id),
            init,
            network,
            off,
            watcher: watcher.abort_handle(),
            last_report: Arc::default(),
        })
    }
}

impl Machine for BootedMachine {
    fn off(&self) -> BoxFuture<'static, ()> {
        let mut off = self.off.clone();
        Box::pin(async move {
            if off.wait_for(|off| *off).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn power_off(&self) -> BoxFuture<'static, ()> {
        let (docker, name, last_report) = (self.docker.clone(), self.name.clone(), Arc::clone(&self.last_report));
        Box::pin(async move {
            if let Err(error) = container::stop(&docker, &name, GRACE).await {
                tracing::error!(machine = name, %error, "a machine cannot be switched off");
            }
            let report =
                container::read(&docker, &name, STATUS).await.and_then(|text| serde_json::from_slice(&text).ok());
            *last_report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        })
    }

    fn run(&self, script: &str) -> BoxFuture<'static, io::Result<Ran>> {
        let (docker, name, script) = (self.docker.clone(), self.name.clone(), script.to_owned());
        Box::pin(async move { container::run(&docker, &name, &script).await })
    }

    fn crash_agent(&self) -> io::Result<()> {
        let agents = processes::named(&self.scope, AGENT);
        if agents.is_empty() {
            return Err(io::Error::other("the agent does not run now"));
        }
        agents.iter().try_for_each(ProcessHandle::kill)
    }

    fn set_hop_limit(&self, limit: u8) {
        if let Err(error) = self.network.set_hop_limit(limit) {
            tracing::error!(machine = self.name, %error, "the hop limit of a metadata service stays as it was");
        }
    }

    fn report(&self) -> Option<AgentReport> {
        if let Some(last) = &*self.last_report.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(last.clone());
        }
        serde_json::from_slice(&fs::read(format!("/proc/{}/root{STATUS}", self.init)).ok()?).ok()
    }
}

impl Drop for BootedMachine {
    /// What it held ends with it. Its container is the disk, which stays until the instance is gone for good.
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Gives a machine its network.
async fn plug_in(init: u32, boot: &Boot) -> io::Result<Network> {
    Network::plug_in(init, address(&boot.imds)?, boot.hop_limit, address(&boot.aws)?).await
}

/// The socket behind `http://ADDRESS:PORT`.
fn address(url: &str) -> io::Result<SocketAddr> {
    let address = url.strip_prefix("http://").unwrap_or(url).parse();
    address.map_err(|error| io::Error::other(format!("{url} names no socket: {error}")))
}

/// Where this machine's log is written, for `lightsout logs`.
fn log_dir(config: &FleetConfig, id: &str) -> PathBuf {
    config.fleet_dir.instances().join(id)
}
