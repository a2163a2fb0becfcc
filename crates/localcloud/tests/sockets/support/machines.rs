//! Machines that run nothing, and do what a test says.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use futures_util::future::BoxFuture;
use lightsout_localcloud::{Boot, Machine, Machines, machine::Ran};
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct FakeMachines {
    all: Mutex<BTreeMap<String, Arc<Fake>>>,
    boots: Mutex<BTreeMap<String, u32>>,
    fail_next: AtomicBool,
}

struct Fake {
    boot: Boot,
    running: AtomicBool,
    switched_off: Notify,
    crashes: AtomicU32,
}

struct Handle(Arc<Fake>);

impl FakeMachines {
    /// What a machine was booted with.
    pub(crate) fn boot(&self, id: &str) -> Boot {
        self.fake(id).expect("a machine").boot.clone()
    }

    /// How often it was booted.
    pub(crate) fn boots(&self, id: &str) -> u32 {
        self.boots.lock().expect("no panic").get(id).copied().unwrap_or(0)
    }

    pub(crate) fn running(&self, id: &str) -> bool {
        self.fake(id).is_some_and(|fake| fake.running.load(Ordering::SeqCst))
    }

    /// Whether anybody but this test holds the machine.
    pub(crate) fn is_held(&self, id: &str) -> bool {
        // The answer of `fake` is one holder, the list of all machines another.
        self.fake(id).is_some_and(|fake| Arc::strong_count(&fake) > 2)
    }

    pub(crate) fn crashes(&self, id: &str) -> u32 {
        self.fake(id).expect("a machine").crashes.load(Ordering::SeqCst)
    }

    /// The machine powers itself off.
    pub(crate) fn switch_off(&self, id: &str) {
        let fake = self.fake(id).expect("a machine");
        fake.running.store(false, Ordering::SeqCst);
        fake.switched_off.notify_one();
    }

    pub(crate) fn fail_next_boot(&self) {
        self.fail_next.store(true, Ordering::SeqCst);
    }

    fn fake(&self, id: &str) -> Option<Arc<Fake>> {
        self.all.lock().expect("no panic").get(id).cloned()
    }
}

impl Machines for FakeMachines {
    fn boot(&self, boot: Boot) -> BoxFuture<'static, io::Result<Box<dyn Machine>>> {
        if self.fail_next.swap(false, Ordering::SeqCst) {
            return Box::pin(async { Err(io::Error::other("out of machines")) });
        }
        let id = boot.id.clone();
        let running = AtomicBool::new(true);
        let fake = Arc::new(Fake { boot, running, switched_off: Notify::new(), crashes: AtomicU32::new(0) });
        *self.boots.lock().expect("no panic").entry(id.clone()).or_default() += 1;
        self.all.lock().expect("no panic").insert(id, Arc::clone(&fake));
        Box::pin(async move { Ok(Box::new(Handle(fake)) as Box<dyn Machine>) })
    }
}

impl Machine for Handle {
    fn off(&self) -> BoxFuture<'static, ()> {
        let fake = Arc::clone(&self.0);
        Box::pin(async move { fake.switched_off.notified().await })
    }

    fn power_off(&self) -> BoxFuture<'static, ()> {
        let fake = Arc::clone(&self.0);
        Box::pin(async move { fake.running.store(false, Ordering::SeqCst) })
    }

    fn run(&self, script: &str) -> BoxFuture<'static, io::Result<Ran>> {
        let out = format!("{} ran {script}", self.0.boot.id);
        Box::pin(async move { Ok(Ran { code: 0, out, err: String::new() }) })
    }

    fn crash_agent(&self) -> io::Result<()> {
        self.0.crashes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
