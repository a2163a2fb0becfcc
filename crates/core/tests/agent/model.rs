//! The real agent in a small world, explored: every interleaving of answers, jobs, faults, crashes and notices, breadth first up to a
//! bound, then long random walks. In every state that is met: no job has died by our own action, and once the faults stop, the
//! instance ends or serves.

use lightsout_core::cloud::{Membership, Room, TargetState};
use std::collections::{HashSet, VecDeque};

use lightsout_core::{
    activity::Activity,
    agent::{
        Agent,
        action::{Action, Request, Rung},
        event::{Event, Order, Outcome},
        phase::{Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    platform::Drained,
    time::Tick,
};

use crate::rig::secs;

/// How the platform is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// A signal; the exit is the proof (GitLab, CircleCI, Buildkite).
    Signal,
    /// The platform stops sending and says whether a job runs (StackGuardian, Spacelift).
    Drain,
    /// The platform refuses while a job runs (GitHub).
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Runner {
    accepting: bool,
    told: bool,
    job: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    InService,
    Waiting,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    kind: Kind,
    policy: AgentPolicy,
    agent: Agent,
    now: Tick,
    open: Vec<Action>,
    runner: Option<Runner>,
    queued: u8,
    journal: Saved,
    place: Place,
    protected: bool,
    /// A snapshot that was taken and has not arrived yet.
    snapshot: Option<Activity>,
    exit_news: bool,
    target_news: bool,
    spot: Option<Tick>,
    /// What may still go wrong.
    faults: u8,
    crashes: u8,
    notices: u8,
    orders: u8,
    jobs: u8,
    /// What must never happen.
    wrong: Option<&'static str>,
}

/// One thing that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Answer(usize),
    /// The request fails and had no effect.
    Lose(usize),
    /// The request had its effect, but the answer says that it failed.
    LoseAnswer(usize),
    Enqueue,
    Assign,
    Finish,
    Exit,
    ExitNews,
    Look,
    LookBlind,
    Arrive,
    RunnerDies,
    Crash,
    Choose,
    TargetNews,
    Spot,
    Drain,
    Undrain,
    Rebalance,
    Time,
}

impl World {
    fn new(kind: Kind, protection: Protection) -> Self {
        let policy = AgentPolicy {
            idle_timeout: Some(secs(60)),
            protection,
            boot_deadline: secs(3600),
            ..AgentPolicy::default()
        };
        let now = Tick(1_000_000);
        let mut world = Self {
            kind,
            agent: Agent::new(policy.clone(), now),
            policy,
            now,
            open: Vec::new(),
            runner: None,
            queued: 0,
            journal: Saved::Serving,
            place: Place::InService,
            protected: true,
            snapshot: None,
            exit_news: false,
            target_news: false,
            spot: None,
            faults: 1,
            crashes: 1,
            notices: 1,
            orders: 2,
            jobs: 2,
            wrong: None,
        };
        world.collect();
        world
    }

    /// A world whose runner is registered and whose agent has seen that all is quiet.
    fn idle(kind: Kind, protection: Protection) -> Self {
        let mut world = Self::new(kind, protection);
        world.step(Move::Answer(0));
        world.step(Move::Answer(0));
        world.step(Move::Look);
        world.step(Move::Arrive);
        assert!(matches!(world.agent.phase(), Phase::Idle { .. }));
        world
    }

    fn job_runs(&self) -> bool {
        self.runner.is_some_and(|runner| runner.job)
    }

    fn collect(&mut self) {
        while let Some(action) = self.agent.poll_action() {
            self.open.push(action);
        }
    }

    fn tell(&mut self, event: Event) {
        self.agent.handle(event, self.now);
        self.collect();
    }

    /// Everything that may happen next.
    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.place == Place::Gone || self.wrong.is_some() {
            return moves;
        }
        let on_lane = |request: &Request| {
            matches!(request, Request::Register | Request::Drain | Request::Undrain | Request::Deregister)
        };
        let first_on_lane = self.open.iter().position(|action| on_lane(&action.request));
        for (index, action) in self.open.iter().enumerate() {
            if on_lane(&action.request) && Some(index) != first_on_lane {
                continue;
            }
            moves.push(Move::Answer(index));
            if self.faults > 0 {
                moves.push(Move::Lose(index));
                moves.push(Move::LoseAnswer(index));
            }
        }
        let mut may = |holds: bool, then: Move| {
            if holds {
                moves.push(then);
            }
        };
        let runner = self.runner;
        may(self.jobs > 0, Move::Enqueue);
        may(self.queued > 0 && runner.is_some_and(|runner| runner.accepting && !runner.job), Move::Assign);
        may(self.job_runs(), Move::Finish);
        may(self.kind == Kind::Signal && runner.is_some_and(|runner| runner.told && !runner.job), Move::Exit);
        may(self.exit_news, Move::ExitNews);
        may(self.snapshot.is_none(), Move::Look);
        may(self.snapshot.is_none() && self.faults > 0, Move::LookBlind);
        may(self.snapshot.is_some(), Move::Arrive);
        may(runner.is_some_and(|runner| !runner.job) && self.faults > 0, Move::RunnerDies);
        may(self.crashes > 0, Move::Crash);
        may(self.notices > 0 && self.place == Place::InService, Move::Choose);
        may(self.target_news, Move::TargetNews);
        may(self.notices > 0 && self.spot.is_none(), Move::Spot);
        may(self.notices > 0, Move::Rebalance);
        may(self.orders > 0, Move::Drain);
        may(self.orders == 1 && self.agent.can_undrain(), Move::Undrain);
        may(self.agent.poll_timeout().is_some(), Move::Time);
        moves
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Answer(index) => {
                let action = self.open.remove(index);
                if action.request == Request::Drain && self.runner.is_some() && !self.agent.runner_alive() {
                    self.tell(Event::RunnerFound);
                }
                let outcome = self.perform(action.request);
                self.tell(Event::Completed { id: action.id, outcome });
            }
            Move::Lose(index) => {
                self.faults -= 1;
                let action = self.open.remove(index);
                let why = "no answer".to_owned();
                let alone = action.request == Request::Drain && self.runner.is_none();
                let outcome = if alone { Outcome::Alone(why) } else { Outcome::Failed(why) };
                self.tell(Event::Completed { id: action.id, outcome });
            }
            Move::LoseAnswer(index) => {
                self.faults -= 1;
                let action = self.open.remove(index);
                self.perform(action.request);
                self.tell(Event::Completed { id: action.id, outcome: Outcome::Failed("no answer".into()) });
            }
            Move::Enqueue => {
                self.jobs -= 1;
                self.queued += 1;
            }
            Move::Assign => {
                self.queued -= 1;
                self.runner.as_mut().unwrap().job = true;
            }
            Move::Finish => self.runner.as_mut().unwrap().job = false,
            Move::Exit => self.lose_runner(),
            Move::ExitNews => {
                self.exit_news = false;
                self.tell(Event::RunnerExited);
            }
            Move::Look => self.snapshot = Some(self.truth()),
            Move::LookBlind => {
                self.faults -= 1;
                self.snapshot = Some(Activity::Unknown("docker".into()));
            }
            Move::Arrive => {
                let snapshot = self.snapshot.take().unwrap();
                self.tell(Event::Activity(snapshot));
            }
            Move::RunnerDies => {
                self.faults -= 1;
                self.lose_runner();
            }
            Move::Crash => {
                self.crashes -= 1;
                self.open.clear();
                self.snapshot = None;
                self.exit_news = false;
                let alive = self.runner.is_some();
                self.agent = Agent::resume(self.policy.clone(), self.journal, alive, 0, Tick(1_000_000), self.now);
                self.target_news = self.place == Place::Waiting;
                self.collect();
                if let Some(at) = self.spot {
                    self.tell(Event::Spot { at });
                }
            }
            Move::Choose => {
                // A scale-in of an unprotected one, a refresh, an operator: with the hook.
                self.notices -= 1;
                self.place = Place::Waiting;
                self.target_news = true;
            }
            Move::TargetNews => {
                self.target_news = false;
                self.tell(Event::TargetState(TargetState::Terminated));
            }
            Move::Spot => {
                self.notices -= 1;
                let at = self.now + secs(120);
                self.spot = Some(at);
                self.tell(Event::Spot { at });
            }
            Move::Rebalance => {
                self.notices -= 1;
                self.tell(Event::Rebalance);
            }
            Move::Drain => {
                self.orders -= 1;
                self.tell(Event::Order(Order::Drain));
            }
            Move::Undrain => {
                self.orders -= 1;
                self.tell(Event::Order(Order::Undrain));
            }
            Move::Time => {
                self.now = self.agent.poll_timeout().unwrap().max(self.now);
                self.agent.handle_timeout(self.now);
                self.collect();
            }
        }
    }

    fn lose_runner(&mut self) {
        if self.job_runs() {
            self.wrong = Some("a job died with its runner");
        }
        self.runner = None;
        self.exit_news = true;
    }

    fn truth(&self) -> Activity {
        if self.job_runs() { Activity::busy("job") } else { Activity::Quiet }
    }

    /// Jobs may be cut only for a spot deadline, and only when it is near.
    fn may_cut(&self) -> bool {
        self.spot.is_some_and(|at| at.since(self.now) <= self.policy.abort_margin)
    }

    fn cut(&mut self, wrong: &'static str) {
        if self.job_runs() {
            if !self.may_cut() {
                self.wrong = Some(wrong);
            }
            self.runner.as_mut().unwrap().job = false;
        }
    }

    /// What a request does to the world, as the shell does it.
    fn perform(&mut self, request: Request) -> Outcome {
        match request {
            Request::Save(saved) => {
                self.journal = saved;
                Outcome::Done
            }
            Request::Register => match self.runner {
                Some(runner) if runner.told => Outcome::Failed("the old one still runs".into()),
                Some(_) => Outcome::Registered,
                None => {
                    self.runner = Some(Runner { accepting: true, told: false, job: false });
                    Outcome::Registered
                }
            },
            Request::Drain => match (&mut self.runner, self.kind) {
                (None, _) => Outcome::Drained(Drained::Empty),
                (Some(runner), Kind::Signal) => {
                    runner.accepting = false;
                    runner.told = true;
                    Outcome::Signalled
                }
                (Some(runner), Kind::Drain) => {
                    runner.accepting = false;
                    Outcome::Drained(if runner.job { Drained::StillBusy } else { Drained::Empty })
                }
                (Some(runner), Kind::Remove) if runner.job => Outcome::Drained(Drained::Refused),
                (Some(runner), Kind::Remove) => {
                    runner.accepting = false;
                    Outcome::Drained(Drained::Empty)
                }
            },
            Request::Undrain => match (&mut self.runner, self.kind) {
                (Some(runner), Kind::Signal | Kind::Remove) if !runner.told && runner.accepting => Outcome::Done,
                (_, Kind::Signal) => Outcome::Relaunch,
                (_, Kind::Remove) => {
                    // Removed at the platform and idle: its process is ended, and it registers anew.
                    if self.runner.is_some() {
                        self.lose_runner();
                    }
                    Outcome::Relaunch
                }
                (runner, Kind::Drain) => match runner {
                    Some(runner) => {
                        runner.accepting = true;
                        Outcome::Done
                    }
                    None => Outcome::Relaunch,
                },
            },
            Request::Abort => {
                self.cut("a job was aborted too early");
                if self.runner.is_some() {
                    self.lose_runner();
                }
                Outcome::Done
            }
            Request::Deregister => {
                self.cut("a job died when its runner was deregistered");
                if self.runner.is_some() {
                    self.lose_runner();
                }
                Outcome::Done
            }
            Request::Probe => Outcome::Snapshot(self.truth()),
            Request::Describe => Outcome::Member(match self.place {
                Place::InService => Membership::InService { protected: self.protected },
                Place::Waiting => Membership::Terminating { waiting: true },
                Place::Gone => Membership::Outside,
            }),
            Request::Room => Outcome::Room(Room { desired: 2, min: 0, floor: 0, members: 2 }),
            Request::Protect(on) => {
                self.protected = on;
                Outcome::Done
            }
            Request::Heartbeat => Outcome::Done,
            Request::CompleteHook => match self.place {
                Place::Waiting => {
                    self.end();
                    Outcome::Done
                }
                Place::InService | Place::Gone => Outcome::NoHook,
            },
            Request::End(Rung::Shrink | Rung::Replace | Rung::Unhealthy) => {
                if self.place == Place::InService {
                    self.place = Place::Waiting;
                    self.target_news = true;
                }
                Outcome::Done
            }
            Request::End(Rung::Terminate | Rung::PowerOff) => {
                self.end();
                Outcome::Done
            }
        }
    }

    fn end(&mut self) {
        self.cut("a job died with its instance");
        self.place = Place::Gone;
    }

    /// Ended, or ready for jobs.
    fn good(&self) -> bool {
        let serves = matches!(self.agent.phase(), Phase::Idle { .. } | Phase::Busy);
        self.place == Place::Gone || (serves && self.runner.is_some_and(|runner| runner.accepting))
    }

    /// Without further faults and notices, everything that is pending happens, jobs end, and time passes: does it end well?
    fn settle(mut self) -> Result<(), Box<Self>> {
        (self.faults, self.crashes, self.notices, self.orders, self.jobs, self.queued) = (0, 0, 0, 0, 0, 0);
        for round in 0..4_000 {
            if self.wrong.is_some() {
                return Err(Box::new(self));
            }
            if self.place == Place::Gone || (self.good() && self.open.is_empty()) {
                return Ok(());
            }
            let moves = self.moves();
            let pick = |wanted: fn(&Move) -> bool| moves.iter().copied().find(wanted);
            let next = pick(|step| {
                matches!(step, Move::Finish | Move::Exit | Move::ExitNews | Move::TargetNews | Move::Arrive)
            })
            .or_else(|| pick(|step| matches!(step, Move::Answer(_))))
            .or_else(|| (round % 8 == 0).then(|| pick(|step| *step == Move::Look)).flatten())
            .or_else(|| pick(|step| *step == Move::Time))
            .or_else(|| pick(|step| *step == Move::Look));
            match next {
                Some(step) => self.step(step),
                None => return Err(Box::new(self)),
            }
        }
        Err(Box::new(self))
    }
}

fn scenarios() -> impl Iterator<Item = (Kind, Protection)> {
    [Kind::Signal, Kind::Drain, Kind::Remove]
        .into_iter()
        .flat_map(|kind| [Protection::Always, Protection::WhileBusy].map(|protection| (kind, protection)))
}

fn check(world: &World, path: &[Move]) {
    assert_eq!(world.wrong, None, "after {path:?}\n{:#?}", world.agent);
}

/// Breadth first from both a fresh and an idle instance. The bound is in states, so that the time it takes is too.
fn explore(start: &World, most: usize) -> usize {
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([(start.clone(), Vec::new())]);
    while let Some((world, path)) = queue.pop_front() {
        for step in world.moves() {
            let mut next = world.clone();
            next.step(step);
            let mut path: Vec<Move> = path.clone();
            path.push(step);
            check(&next, &path);
            if seen.len() < most && seen.insert(next.clone()) {
                queue.push_back((next, path));
            }
        }
    }
    for world in seen.iter().step_by(7) {
        if let Err(end) = world.clone().settle() {
            panic!("neither ends nor serves: from {world:?}\nto {end:?}");
        }
    }
    seen.len()
}

#[test]
fn no_interleaving_kills_a_job() {
    for (kind, protection) in scenarios() {
        for start in [World::new(kind, protection), World::idle(kind, protection)] {
            let states = explore(&start, 25_000);
            assert!(states >= 1_000, "the world has become too small to prove anything: {states}");
        }
    }
}

/// Deep runs that breadth first does not reach: a generator of its own, so that a failure is found again by its seed.
#[test]
fn no_long_run_kills_a_job() {
    for (kind, protection) in scenarios() {
        for seed in 1..=400_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut random = |below: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % below as u64).unwrap()
            };
            let mut world = World::idle(kind, protection);
            (world.faults, world.crashes, world.notices, world.jobs) = (6, 3, 3, 20);
            let mut path = Vec::new();
            for _ in 0..400 {
                let moves = world.moves();
                if moves.is_empty() {
                    break;
                }
                let step = moves[random(moves.len())];
                world.step(step);
                path.push(step);
                check(&world, &path);
            }
            if let Err(end) = world.clone().settle() {
                panic!("seed {seed}: neither ends nor serves: from {world:?}\nto {end:?}");
            }
        }
    }
}

#[test]
fn the_model_can_fail() {
    // A proof that is worth something notices an agent whose machine is ended under a job.
    let mut world = World::idle(Kind::Signal, Protection::Always);
    world.step(Move::Enqueue);
    world.step(Move::Assign);
    world.perform(Request::End(Rung::Terminate));
    assert_eq!(world.wrong, Some("a job died with its instance"));
}
