//! All pools together: who ticks when.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join_all},
    stream::FuturesUnordered,
};
use lightsout_core::record::Decision;
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval, interval_at, sleep_until},
};

use crate::{
    memory::PoolMemory,
    pool::{Pool, RELEASE, TickContext, TickDeadline, groups_of},
};

/// How long after the beginning of a pool's tick a hint may begin the next one.
const HINT_INTERVAL: Duration = Duration::from_secs(1);

/// How long ticks go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// None begins after this, but for the first.
    pub(crate) last: Instant,
    /// None goes on after this.
    pub(crate) cut: TickDeadline,
    /// No longer than this is tried to give back what platforms hold.
    pub(crate) end: Instant,
}

/// The pools, those that tick just now and those that do not.
pub(crate) struct Scheduler {
    context: Rc<TickContext>,
    idle: Vec<Pool>,
    busy: FuturesUnordered<LocalBoxFuture<'static, (Box<Pool>, Decision)>>,
    /// The pools whose platform hinted at waiting jobs since their last tick began.
    hinted: BTreeSet<String>,
    /// What ends ticks that begin from now on and have not ended by themselves.
    cut: Option<TickDeadline>,
}

impl Scheduler {
    /// One in which nothing ticks yet.
    pub(crate) fn new(context: Rc<TickContext>, pools: Vec<Pool>) -> Self {
        Self { context, idle: pools, busy: FuturesUnordered::new(), hinted: BTreeSet::new(), cut: None }
    }

    /// The same pools, with other queues.
    #[cfg(test)]
    pub(crate) fn replace_queues(&mut self, queue: impl Fn(&str) -> Box<dyn lightsout_core::platform::Queue>) {
        let pools = std::mem::take(&mut self.idle);
        let replaced = pools.into_iter().map(|pool| {
            let queue = queue(&pool.settings.name);
            pool.with_queue(queue)
        });
        self.idle = replaced.collect();
    }

    /// One tick of every pool. Gives the names and errors of those that failed, in part or as a whole.
    pub(crate) async fn once(&mut self, mut done: impl FnMut(&Decision)) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        self.tick();
        // Nobody would hear of those that are left alone: the next tick is another run.
        let mut left_alone: Vec<Decision> = self.idle.iter().map(Pool::left_alone).collect();
        while let Some(record) = match left_alone.pop() {
            Some(record) => Some(record),
            None => self.next().await,
        } {
            done(&record);
            if let Some(failure) = record.failure() {
                let failure = failure.to_owned();
                failed.push((record.pool, failure));
            }
        }
        self.release(Instant::now() + RELEASE).await;
        failed.sort();
        failed
    }

    /// What the pools remember for a later run.
    pub(crate) fn memory(&self) -> BTreeMap<String, PoolMemory> {
        self.idle.iter().map(|pool| (pool.settings.name.clone(), pool.memory(&self.context.regions))).collect()
    }

    /// The pools take over what an earlier run remembered.
    pub(crate) fn recall(&mut self, memory: &BTreeMap<String, PoolMemory>) {
        for pool in &mut self.idle {
            if let Some(memory) = memory.get(&pool.settings.name) {
                pool.recall(memory, &self.context.regions);
            }
        }
    }

    /// Gives back what platforms hold for this scaler alone; not after `until`.
    async fn release(&mut self, until: Instant) {
        let time = until.saturating_duration_since(Instant::now());
        join_all(self.idle.iter_mut().map(|pool| pool.release(&self.context, time))).await;
    }

    /// A tick of every pool again and again until `stop`; ticks that have begun are ended. A pool that still ticks when
    /// the next one is due sits that one out, and so does one whose platform asked for patience. `hints` names pools
    /// that should not wait for the next tick; one that still ticks, or began less than a second ago, follows as soon
    /// as it can: any number of hints costs one tick a second at most.
    pub(crate) async fn watch(
        &mut self,
        tick: Duration,
        hints: mpsc::Receiver<String>,
        stop: impl Future<Output = ()>,
        mut done: impl FnMut(&Decision),
    ) {
        self.turns(interval(tick), hints, stop, &mut done).await;
        while let Some(record) = self.next().await {
            done(&record);
        }
        self.release(Instant::now() + RELEASE).await;
    }

    /// A tick of every pool, and with a pause again and again as long as one may begin. All pools are idle afterwards, and hold nothing of their
    /// platforms: nobody reads them until the next spell.
    pub(crate) async fn spell(&mut self, pause: Option<Duration>, span: Span, mut done: impl FnMut(&Decision)) {
        self.cut = Some(span.cut);
        self.tick();
        if let Some(pause) = pause {
            let (_hints, none) = mpsc::channel(1);
            let clock = interval_at((Instant::now() + pause).into(), pause);
            self.turns(clock, none, sleep_until(span.last.into()), &mut done).await;
        }
        while let Some(record) = self.next().await {
            done(&record);
        }
        self.release(span.end).await;
    }

    /// A tick of each of these pools, as soon as a hint may begin one; of none that could not begin before the cut. Afterwards it is as after
    /// [`Self::spell`].
    pub(crate) async fn tick_soon(
        &mut self,
        pools: impl IntoIterator<Item = String>,
        (cut, end): (TickDeadline, Instant),
        mut done: impl FnMut(&Decision),
    ) {
        self.cut = Some(cut);
        self.hinted.extend(pools);
        loop {
            let next_hinted = self.next_hinted().filter(|at| *at < cut.at);
            if next_hinted.is_none() && self.busy.is_empty() {
                break;
            }
            tokio::select! {
                Some(record) = self.next(), if !self.busy.is_empty() => done(&record),
                () = until(next_hinted) => self.tick_hinted(),
            }
        }
        self.hinted.clear();
        self.release(end).await;
    }

    /// A tick of every pool at each beat of the clock, and of a hinted one as soon as it may, until `stop`.
    async fn turns(
        &mut self,
        mut clock: Interval,
        mut hints: mpsc::Receiver<String>,
        stop: impl Future<Output = ()>,
        done: &mut impl FnMut(&Decision),
    ) {
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stop = std::pin::pin!(stop);
        loop {
            let next_hinted = self.next_hinted();
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some((pool, record)) = self.busy.next(), if !self.busy.is_empty() => {
                    self.idle.push(*pool);
                    done(&record);
                }
                _ = clock.tick() => self.tick(),
                Some(pool) = hints.recv() => {
                    self.hinted.insert(pool);
                }
                () = until(next_hinted) => self.tick_hinted(),
            }
        }
    }

    /// Begins a tick of every pool that is free and may.
    fn tick(&mut self) {
        if !self.busy.is_empty() {
            tracing::debug!(pools = self.busy.len(), "these pools still tick and sit this one out");
        }
        self.start_ticks(Pool::is_due);
    }

    /// When the next of the idle pools may tick for a hint.
    fn next_hinted(&self) -> Option<Instant> {
        // Asked after each of a thousand ticks, and mostly there is none.
        if self.hinted.is_empty() {
            return None;
        }
        let hinted = self.idle.iter().filter(|pool| self.hinted.contains(&pool.settings.name));
        hinted.map(|pool| pool.hint_due(HINT_INTERVAL)).min()
    }

    /// Begins a tick of the pools that were hinted at and began their last one long enough ago. Where the platform asked
    /// for patience the hint waits for that.
    fn tick_hinted(&mut self) {
        let now = Instant::now();
        let ready = |pool: &&Pool| pool.hint_due(HINT_INTERVAL) <= now;
        let hinted = self.idle.iter().filter(|pool| self.hinted.contains(&pool.settings.name)).filter(ready);
        let ready: BTreeSet<String> = hinted.map(|pool| pool.settings.name.clone()).collect();
        self.hinted.retain(|name| !ready.contains(name));
        self.start_ticks(|pool| ready.contains(&pool.settings.name));
    }

    /// Begins a tick of each of these pools that is free.
    fn start_ticks(&mut self, chosen: impl Fn(&Pool) -> bool) {
        let (due, idle): (Vec<Pool>, Vec<Pool>) =
            std::mem::take(&mut self.idle).into_iter().partition(|pool| chosen(pool));
        self.idle = idle;
        let describing = self.context.regions.describe(groups_of(&due));
        for mut pool in due {
            pool.began = Some(Instant::now());
            self.hinted.remove(&pool.settings.name);
            let describing = describing[&pool.settings.location()].clone();
            self.busy.push(Box::new(pool).tick(Rc::clone(&self.context), describing, self.cut).boxed_local());
        }
    }

    /// The next pool that ends its tick; `None` when none ticks.
    async fn next(&mut self) -> Option<Decision> {
        let (pool, record) = self.busy.next().await?;
        self.idle.push(*pool);
        Some(record)
    }
}

/// Resolves at this time; never without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
