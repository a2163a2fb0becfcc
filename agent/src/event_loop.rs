//! The event loop: it takes one input, hands it to the agent, and passes on what the agent wants. It decides nothing,
//! waits for nothing else and writes no file, so that nothing keeps a notice waiting.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use lightsout_core::{
    agent::{
        Agent, Correction, Output,
        action::Request as AgentRequest,
        event::{Event, Order, OrderId, Outcome},
        host::{CloudCall, HostEffect},
        phase::Phase,
    },
    duration::format_about,
    time::Tick,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    clock::{Clock, SuspendDetector, uptime},
    control::Request,
    effects::Effects,
    input::{Input, Reply},
    life_sign::{self, LifeSign},
    memory,
    meter::Meter,
    records::Records,
    status::{StatusPublisher, StatusReport},
};

/// The loop and what it feeds.
pub(crate) struct EventLoop {
    pub agent: Agent,
    pub effects: Effects,
    pub publisher: StatusPublisher,
    pub records: Records,
    pub meter: Meter,
    pub(crate) life_sign: LifeSign,
    /// The CI platform's name, for the log.
    pub platform: &'static str,
    /// How often the probes are sampled.
    pub sample_interval: watch::Sender<Duration>,
    pub clock: Clock,
    pub stillness: SuspendDetector,
    pub waiting: BTreeMap<OrderId, oneshot::Sender<Reply>>,
}

impl EventLoop {
    /// Runs until the instance is gone, or the second TERM, and until that has been shown.
    pub(crate) async fn run(mut self, inputs: mpsc::Receiver<Input>) {
        self.take_inputs(inputs).await;
        tokio::join!(self.publisher.finish(), self.records.finish());
    }

    async fn take_inputs(&mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut watchdog = tokio::time::interval(watchdog_pause());
        let mut served_once = false;
        let first = life_sign::first_after(sd_notify::watchdog_enabled());
        let mut life_sign = tokio::time::interval_at(Instant::now() + first, life_sign::PERIOD);
        loop {
            self.records.stands(&self.agent);
            while let Some(output) = self.agent.poll_output() {
                self.handle_output(output);
            }
            self.records.say(&self.agent, self.publisher.boot.parts());
            let interval = self.agent.sample_interval();
            self.sample_interval.send_if_modified(|held| std::mem::replace(held, interval) != interval);
            let status = self.agent.status();
            self.meter.saw(&status, self.agent.end_accepted());
            self.publisher.publish(status);
            if !served_once && matches!(self.agent.phase(), Phase::Idle { .. } | Phase::Busy) {
                served_once = true;
                self.meter.booted(self.publisher.boot.parts());
                // It reads what the kernel has mapped for this process, and nobody waits for it.
                tokio::task::spawn_blocking(memory::give_back_files);
            }
            if self.agent.phase() == Phase::Gone {
                return;
            }
            tokio::select! {
                biased;
                _ = watchdog.tick() => {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                }
                _ = life_sign.tick() => {
                    let now = self.clock.now();
                    self.life_sign.renew(self.agent.hold().map_or(Duration::ZERO, |until| until.since(now)));
                }
                input = inputs.recv() => match input {
                    Some(input) => self.handle_input(input),
                    None => return,
                },
                () = sleep_until(self.agent.poll_timeout(), self.clock) => {
                    let now = self.now();
                    self.agent.handle_timeout(now);
                }
            }
        }
    }

    /// The time, after the agent was told if the machine stood still until now.
    fn now(&mut self) -> Tick {
        let now = self.clock.now();
        if let Some(unseen) = self.stillness.over(now, uptime()) {
            tracing::warn!(
                unseen = format_about(unseen),
                "this machine stood still: it was hibernated, suspended, paused or frozen; everything is looked at anew"
            );
            self.agent.handle(Event::Woke { unseen }, now);
        }
        now
    }

    fn handle_input(&mut self, input: Input) {
        self.publisher.boot.on_input(&input);
        self.meter.on_input(&input);
        let now = self.now();
        match input {
            Input::Event(event) => {
                self.records.on_event(&event);
                self.agent.handle(event, now);
            }
            Input::RunnerSaid(said) => self.records.runner_said(&said),
            Input::BeforeRegisterSaid(said) => self.records.before_register_said(said),
            Input::Sampled(activity, token_refused) => self.agent.sampled(activity, token_refused, now),
            Input::Result(id, result) => self.agent.resume(id, result, now),
            Input::Request(request, answer) => self.handle_request(&request, answer, now),
            Input::Reloaded(Ok(policy)) => {
                self.agent.handle(Event::Policy(policy), now);
                tracing::info!(
                    "read the settings again; [agent] policy is in force, everything else at the next start"
                );
            }
            Input::Reloaded(Err(problems)) => {
                tracing::error!("the settings are wrong; the old ones stay in force:\n{problems}");
            }
        }
    }

    fn handle_request(&mut self, request: &Request, answer: oneshot::Sender<Reply>, now: Tick) {
        let order = match request {
            Request::Status => {
                let report: StatusReport = self.publisher.report(self.agent.status());
                let _ = answer.send(serde_json::to_value(report).map_err(|error| error.to_string()));
                return;
            }
            Request::Drain => Order::Drain,
            Request::Undrain => Order::Undrain,
            Request::Hold { seconds } => Order::Hold { until: now + Duration::from_secs(*seconds) },
        };
        tracing::info!(?request, "an operator's order");
        let id = OrderId(self.waiting.last_key_value().map_or(0, |(last, _)| last.0.wrapping_add(1)));
        self.waiting.insert(id, answer);
        self.records.ordered(order);
        self.agent.order(id, order, now);
    }

    fn handle_output(&mut self, output: Output) {
        self.publisher.boot.on_output(&output);
        self.meter.on_output(&output, || self.agent.status());
        match output {
            Output::Effect { id, effect } => {
                if let HostEffect::Cloud(CloudCall::RecordReason(why)) = effect {
                    self.effects.say_reason(self.records.tag(why));
                }
                let first = self.records.before(effect, &self.agent, self.publisher.boot.parts());
                self.effects.perform(id, effect, first);
            }
            Output::Reply { id, answer } => {
                if let Some(waiting) = self.waiting.remove(&id) {
                    let _ = waiting.send(answer.map(Into::into));
                }
            }
            Output::Corrected(Correction { by, told, taken }) => {
                let at = |tick| Timestamp::from_millisecond(self.clock.unix_ms_of(tick)).unwrap_or_default();
                tracing::warn!(
                    ending = by.in_words(),
                    told = %format_args!("{:.0}", at(told)),
                    taken = %format_args!("{:.0}", at(taken)),
                    "the time that was told has passed already, or is further off than this cloud announces it: is the clock of this machine, \
                     or of whoever told it, synchronised?"
                );
            }
            Output::Finished { request, outcome } => {
                self.records.finished(request, &outcome);
                log(self.platform, request, &outcome);
            }
        }
    }
}

/// One line for each request that ended otherwise than it should.
fn log(platform: &str, request: AgentRequest, outcome: &Outcome) {
    match outcome {
        Outcome::Alone(why) => tracing::warn!(why, "no runner is left here, but the platform cannot confirm it"),
        Outcome::NoHook if request == AgentRequest::FindHook => tracing::warn!(
            "the group has no termination hook: when something else than this agent ends the \
             instance, jobs have no time to finish"
        ),
        Outcome::Denied(why) => tracing::error!(?request, why, "refused"),
        Outcome::Failed(why) | Outcome::Rejected(why) => tracing::warn!(?request, why, "failed"),
        Outcome::Short(what) => tracing::warn!(?request, "too little room for a job: {what}"),
        Outcome::StillShort { what, said } => tracing::warn!(said, "room was made, and there is too little: {what}"),
        Outcome::RoomUnknown => tracing::warn!("room was made, and how much there is cannot be told; serving"),
        Outcome::Registered => tracing::info!(platform, "the runner is registered and runs"),
        Outcome::Done
        | Outcome::Unneeded
        | Outcome::Drained(_)
        | Outcome::Absent
        | Outcome::Signalled
        | Outcome::Relaunch
        | Outcome::Snapshot(_)
        | Outcome::GroupSize(_)
        | Outcome::Member(_)
        | Outcome::HookFound { .. }
        | Outcome::AtFloor
        | Outcome::NotInGroup
        | Outcome::InProgress
        | Outcome::NoHook => tracing::debug!(?request, ?outcome, "done"),
    }
}

async fn sleep_until(tick: Option<Tick>, clock: Clock) {
    match tick {
        Some(tick) => tokio::time::sleep_until(Instant::from_std(clock.instant_of(tick))).await,
        None => std::future::pending().await,
    }
}

/// Half of what systemd allows, or seldom when it does not watch.
fn watchdog_pause() -> Duration {
    sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |allowed| allowed / 2)
}
