//! What a platform holds for one scaler is given back when that scaler ends.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use lightsout_core::{exchange::Call, platform::Ready};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::check::check;

/// A queue whose platform holds something from the first reading on.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    pub(super) held: Arc<AtomicU32>,
    pub(super) given_back: Arc<AtomicU32>,
    /// Whether the token is refused.
    pub(super) refuses: bool,
}

impl Exchange for Holds {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        self.held.store(1, Ordering::Relaxed);
        let refused = || Err(ExchangeError::new(ErrorKind::Unauthorized, "HTTP 401"));
        ExchangeStep::Done(if self.refuses { refused() } else { Ok(Demand::default().into()) })
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<Reading> {
        self.start()
    }
}

impl Queue for Holds {
    fn platform(&self) -> &'static str {
        "fake"
    }

    fn release(&mut self) -> Option<Call<()>> {
        let held = self.held.swap(0, Ordering::Relaxed);
        self.given_back.fetch_add(held, Ordering::Relaxed);
        (held > 0).then(|| Box::new(Ready(())) as Call<()>)
    }
}

fn pools(settings: &ScalerSettings, holds: &Holds) -> Vec<Pool> {
    let pools = Pool::all(settings.pools.clone()).into_iter();
    pools.map(|pool| pool.with_queue(Box::new(holds.clone()))).collect()
}

#[tokio::test]
async fn a_session_is_given_back_when_once_watch_or_check_ends() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let context = Rc::new(context(&settings, &groups));

    let holds = Holds::default();
    Scheduler::new(Rc::clone(&context), pools(&settings, &holds)).once(|_| {}).await;
    assert_eq!(holds.given_back.load(Ordering::Relaxed), 1, "once");

    let (holds, enough) = (Holds::default(), Notify::new());
    let (mut ticks, hints) = (0, mpsc::channel(1).1);
    let done = |_: &Decision| {
        ticks += 1;
        assert_eq!(holds.given_back.load(Ordering::Relaxed), 0, "not while it watches");
        if ticks == 3 {
            enough.notify_one();
        }
    };
    let mut scheduler = Scheduler::new(Rc::clone(&context), pools(&settings, &holds));
    scheduler.watch(Duration::from_millis(5), hints, enough.notified(), done).await;
    assert_eq!(holds.given_back.load(Ordering::Relaxed), 1, "watch");

    let holds = Holds::default();
    check(&context, pools(&settings, &holds), |_| {}).await.unwrap();
    assert_eq!(holds.given_back.load(Ordering::Relaxed), 1, "check");
}

/// Between its readings whoever does more than look may have it.
#[tokio::test]
async fn a_dry_run_holds_nothing_between_its_readings() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut context = context(&settings, &groups);
    context.dry_run = true;
    let (holds, enough) = (Holds::default(), Notify::new());
    let (mut ticks, hints) = (0, mpsc::channel(1).1);
    let done = |_: &Decision| {
        ticks += 1;
        assert_eq!((holds.held.load(Ordering::Relaxed), holds.given_back.load(Ordering::Relaxed)), (0, ticks));
        if ticks == 3 {
            enough.notify_one();
        }
    };
    let mut scheduler = Scheduler::new(Rc::new(context), pools(&settings, &holds));
    scheduler.watch(Duration::from_millis(5), hints, enough.notified(), done).await;
    assert_eq!(holds.given_back.load(Ordering::Relaxed), 3, "and nothing twice");
}
