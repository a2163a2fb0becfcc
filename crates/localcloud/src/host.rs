//! The cloud as a running thing: the handle that owns its sockets and its driver.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};

use crate::{
    aws::{
        commands::Commands, functions::Functions, keys::Keys, logs::Logs, model::Cloud, objects::Objects,
        secrets::Secrets,
    },
    azure::{identity::Tokens, ingestion::Ingestion, model::Azure, vault::Vault},
    ci::{Ci, webhook::Webhook},
    driver,
    faults::{Fault, Faults},
    fleet::{Counters, FleetEvent, Forgotten, NewJobs, Snapshot},
    machine::Machines,
    options::LocalCloudOptions,
    server::{Front, serve},
    snapshot,
    state::{FleetState, RunState, Shared},
    time::Timestamp,
    timeline::Timeline,
    webhooks,
};

/// A running cloud with its CI platform: one HTTP listener on 127.0.0.1 for the AWS APIs, the platform's API and the control
/// API below `/_lightsout/`, and one more for each instance's metadata service.
///
/// Dropping it closes the sockets at once and lets go of the machines; [`LocalCloud::down`] is the orderly end.
pub struct LocalCloud {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    driver: JoinHandle<()>,
    poster: JoinHandle<()>,
}

impl LocalCloud {
    /// Starts it, within a Tokio runtime.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(options: LocalCloudOptions, machines: Arc<dyn Machines>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let LocalCloudOptions { cloud, azure, port: _, platform, lost_after, webhook, secrets, ended_kept } = options;
        let ci = Ci::new(platform.open(), url.clone(), lost_after, webhook);
        let (region, account) = (cloud.region.clone(), cloud.account.clone());
        let since = Timestamp(jiff::Timestamp::now().as_millisecond());
        let state = FleetState {
            faults: Faults::new(cloud.seed),
            ci,
            tokens: Tokens::new(azure.seed),
            vault: Vault::new(&secrets, &azure.tenant, since),
            ingestion: Ingestion::default(),
            azure: Azure::new(azure),
            secrets: Secrets::new(secrets, &region, &account, since),
            commands: Commands::default(),
            logs: Logs::new(&region, &account),
            functions: Functions::new(&region, &account),
            keys: Keys::new(&region, &account),
            objects: Objects::new(),
            cloud: Cloud::new(cloud),
            counters: Counters::default(),
            timeline: Timeline::default(),
            hosts: BTreeMap::new(),
            reported: VecDeque::new(),
            ended_kept,
            forgotten: Forgotten::default(),
        };
        let (shared, inboxes) = Shared::new(url, region, account, machines, state);
        let server = tokio::spawn(serve(listener, Front::new(Arc::clone(&shared))));
        let driver = tokio::spawn(driver::run(Arc::clone(&shared), inboxes.launches));
        let poster = tokio::spawn(webhooks::run(inboxes.deliveries));
        Ok(Self { shared, server, driver, poster })
    }

    /// Where it answers, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Everything about the fleet, now.
    pub fn snapshot(&self) -> Snapshot {
        snapshot::take(&self.shared)
    }

    /// The timeline from now on. Whoever falls more than 4,096 events behind misses some.
    pub fn events(&self) -> broadcast::Receiver<FleetEvent> {
        self.shared.events.subscribe()
    }

    /// Puts jobs into the queue and returns their ids.
    #[expect(clippy::needless_pass_by_value, reason = "a caller has no more use for the order")]
    pub fn enqueue(&self, jobs: NewJobs) -> Vec<u64> {
        self.shared.update(|state, now| state.ci.enqueue(&jobs, now))
    }

    /// Puts a fault in force, as `POST /_lightsout/faults` does.
    ///
    /// # Errors
    /// What does not make sense about it.
    pub fn add_fault(&self, fault: Fault) -> Result<(), String> {
        self.shared.update(|state, now| state.add_fault(fault, now))
    }

    /// From now on the platform posts its job events there; none: nowhere. Also `POST` and `DELETE /_lightsout/webhook`.
    pub fn post_events(&self, webhook: Option<Webhook>) {
        self.shared.update(|state, _| state.ci.post_events(webhook));
    }

    /// Resolves when somebody asked for the end through the control API and every machine is off.
    pub async fn ended(&self) {
        // The sender lives as long as `self`.
        let _ = self.shared.run_state.subscribe().wait_for(|run_state| *run_state == RunState::Off).await;
    }

    /// Powers every machine off, waits until nothing of them runs, and closes the sockets.
    pub async fn down(self) {
        self.shared.close();
        self.ended().await;
        // Whoever asked for the end through the control API is still to hear of it.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Drop for LocalCloud {
    fn drop(&mut self) {
        self.server.abort();
        self.driver.abort();
        self.poster.abort();
    }
}
