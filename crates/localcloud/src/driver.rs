//! Runs the cloud's timers, and a machine for each instance that the cloud launches.

use std::{future::pending, io, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use crate::{
    fleet::Source,
    machine::{Boot, Machine},
    server::{MetadataService, serve},
    state::{Launch, RunState, Shared},
};

/// Runs until the cloud is closed and every machine is off.
pub(crate) async fn run(shared: Arc<Shared>, mut launches: mpsc::UnboundedReceiver<Launch>) {
    let mut run_state = shared.run_state.subscribe();
    let mut machines = JoinSet::new();
    loop {
        let due = shared.advance();
        tokio::select! {
            launch = launches.recv() => match launch {
                Some(launch) => {
                    machines.spawn(machine(Arc::clone(&shared), launch));
                }
                None => return,
            },
            Some(ended) = machines.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a machine's task ended badly: it is a bug in localcloud");
                }
            }
            () = shared.changed.notified() => {}
            () = timer(due) => {}
            closing = run_state.wait_for(|run_state| *run_state >= RunState::Closing) => {
                drop(closing);
                break;
            }
        }
    }
    // What was launched before the end has its own signal to stop already.
    while let Ok(launch) = launches.try_recv() {
        machines.spawn(machine(Arc::clone(&shared), launch));
    }
    while machines.join_next().await.is_some() {}
    shared.record(Source::Machine, None, "every machine is off");
    shared.run_state.send_replace(RunState::Off);
    // The sockets go on answering until the owner lets go.
    pending::<()>().await;
}

async fn timer(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => pending().await,
    }
}

/// One machine from power-on to the end of the last thing that runs on it, with its metadata service.
async fn machine(shared: Arc<Shared>, Launch { id, mut stop, reboot }: Launch) {
    let lived = if *stop.borrow() { Ok(()) } else { live(&shared, &id, &mut stop, &reboot).await };
    let ended = shared.update(|state, now| {
        state.machine_gone(&id, now);
        match lived {
            Ok(()) => state.powered_off(&id, now),
            Err(error) => {
                tracing::warn!(instance = id, %error, "a machine does not boot");
                state.boot_failed(&id, &error.to_string(), now);
            }
        }
        state.has_ended(&id).unwrap_or(true)
    });
    if ended {
        shared.machines.discard(&id);
    }
}

async fn live(shared: &Arc<Shared>, id: &str, stop: &mut watch::Receiver<bool>, reboot: &Notify) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let metadata = format!("http://{}", listener.local_addr()?);
    let service = MetadataService { shared: Arc::clone(shared), instance: id.to_owned() };
    let life = async {
        while run_once(shared, id, &metadata, stop, reboot).await? {
            shared.record(Source::Machine, Some(id), "restarts");
        }
        Ok(())
    };
    tokio::select! {
        () = serve(listener, service) => Ok(()),
        ended = life => ended,
    }
}

/// From power-on to the end of the last thing that runs. True when it was a reboot that ended it.
async fn run_once(
    shared: &Arc<Shared>,
    id: &str,
    metadata: &str,
    stop: &mut watch::Receiver<bool>,
    reboot: &Notify,
) -> io::Result<bool> {
    let machine: Arc<dyn Machine> = Arc::from(shared.machines.boot(boot(shared, id, metadata.to_owned())).await?);
    shared.update(|state, _| {
        if let Some(host) = state.hosts.get_mut(id) {
            host.machine = Some(Arc::clone(&machine));
        }
    });
    let reboots = tokio::select! {
        () = machine.off() => {
            shared.update(|state, now| {
                state.machine_gone(id, now);
                state.powered_off(id, now);
            });
            false
        }
        _ = stop.wait_for(|stop| *stop) => false,
        () = reboot.notified() => true,
    };
    machine.power_off().await;
    let last_report = machine.report();
    shared.update(|state, now| {
        if reboots {
            state.machine_gone(id, now);
        }
        state.machine_ended(id, last_report);
    });
    // It may have been told to end meanwhile.
    Ok(reboots && !*stop.borrow())
}

fn boot(shared: &Shared, id: &str, imds: String) -> Boot {
    let (group, user_data, hop_limit) = shared.read(|state, _| {
        let group = state.group_of(id).unwrap_or_default();
        if let Some(machine) = state.azure.machine(id) {
            // The metadata service cannot be kept from containers by a number of hops.
            return (group, machine.user_data.clone(), u8::MAX);
        }
        let instance = state.cloud.instance(id);
        let user_data = instance.map(|instance| instance.user_data.clone()).unwrap_or_default();
        (group, user_data, instance.map_or(1, |instance| instance.metadata.hop_limit))
    });
    let (aws, region) = (shared.url.clone(), shared.region.clone());
    Boot { id: id.to_owned(), group, imds, aws, region, user_data, hop_limit }
}
