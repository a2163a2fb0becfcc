use super::{
    NAME, StackGuardianRunnerSettings,
    api::{Api, group},
    base, introspection, refuse,
    registration::{self, Registration, Stage},
};
use crate::{
    activity::Activity,
    platform::{
        Drain, Drained, ErrorKind, File, Launch, Me, PlatformError, Probe, Runner, Signal, Talk, Undrain,
        answer::{self, Remedies},
        seldom::{Memory, seldom},
        walk::{Next, Turn, walk},
    },
    wire::{Ask, Reply, Text, Told},
};

const SUPERVISOR: &str = include_str!("supervisor.sh");

/// Failed registrations in a row after which no more are tried.
const MOST_FAILURES: u32 = 3;

const NOT_FOUND: &str = "there is no such organization, runner group or runner; correct organization and runner_group, and check that \
                         the url is that of your region";

/// When the calls are made with an API key.
const WITH_KEY: Remedies = Remedies {
    unauthorized: "the API key is wrong, expired or deleted; create one in StackGuardian's settings (sgu_... or sgo_...) and put it into \
                   the secret that the instances read as api_key",
    forbidden: "the API key's role does not allow this: it must allow GET on the runner group and POST on its runner_status and deregister",
    not_found: NOT_FOUND,
};

/// When they are made with the runner group's token.
const WITH_TOKEN: Remedies = Remedies {
    unauthorized: "the runner group's token is wrong, or it may not do this; check it, or give an API key (sgu_... or sgo_...) as api_key",
    forbidden: "the runner group's token may not do this; give an API key (sgu_... or sgo_...) as api_key",
    not_found: NOT_FOUND,
};

/// Runs a StackGuardian runner on the instance: see [`crate::platform::stackguardian`].
#[derive(Clone, Debug)]
pub struct StackGuardianRunner {
    settings: StackGuardianRunnerSettings,
    api: Api,
    memory: Memory,
}

impl StackGuardianRunner {
    /// A runner with these settings.
    pub fn new(settings: StackGuardianRunnerSettings) -> Self {
        let (key, remedies) = match &settings.api_key {
            Some(key) => (key.clone(), WITH_KEY),
            None => (settings.token.clone(), WITH_TOKEN),
        };
        let api = Api {
            url: settings.url.clone(),
            organization: settings.organization.clone(),
            runner_group: settings.runner_group.clone(),
            key,
            remedies,
        };
        Self { settings, api, memory: Memory::default() }
    }

    /// A conversation about this machine's registration: reads the journal first.
    fn about<S: Send + 'static, T: 'static>(
        &self,
        me: &Me,
        mut registered: impl FnMut(Registration) -> Next<Ask, S, T> + Send + 'static,
        mut go: impl FnMut(S, Told) -> Next<Ask, S, T> + Send + 'static,
    ) -> Talk<T> {
        if let Err(error) = self.settings.check() {
            return answer::failed(error);
        }
        let (journal, me) = (registration::ask(me), me.clone());
        walk(
            move || Ok(Turn::Ask(journal.clone(), None)),
            move |at, told| {
                let next = match at {
                    None => registered(registration::read(told, &me)?)?,
                    Some(at) => go(at, told)?,
                };
                Ok(match next {
                    Turn::Ask(ask, at) => Turn::Ask(ask, Some(at)),
                    Turn::Done(output) => Turn::Done(output),
                })
            },
        )
    }

    fn launch(&self, me: &Me, mode: &str) -> Launch {
        let (script, journal) = (me.runner_dir.join("supervisor.sh"), registration::journal(me));
        let settings = &self.settings;
        let argv = [
            "/bin/sh",
            &script.to_string_lossy(),
            mode,
            &journal.to_string_lossy(),
            &me.instance_id,
            &settings.program,
            &settings.organization,
            &settings.runner_group,
            &settings.register_timeout.as_secs().to_string(),
        ];
        Launch {
            argv: argv.map(str::to_owned).into(),
            env: vec![
                ("SG_NODE_TOKEN".to_owned(), Text::Secret(settings.token.clone())),
                ("SG_BASE_API".to_owned(), format!("{}/api/v1", base(&settings.url)).into()),
            ],
            files: vec![File { path: script, contents: SUPERVISOR.into(), mode: 0o600 }],
        }
    }
}

impl Runner for StackGuardianRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn register(&self, me: &Me) -> Talk<Launch> {
        let (adopt, register) = (self.launch(me, "adopt"), self.launch(me, "register"));
        let api = self.api.clone();
        self.memory.forget();
        self.about(
            me,
            move |found| match found {
                Registration { failures: failures @ MOST_FAILURES.., why, .. } => refuse(&format!(
                    "StackGuardian: this machine's registration failed {failures} times in a row, last: {why}; look into \
                     /var/log/sg_runner.log, check token, organization and runner_group, and the group's maximum of runners",
                )),
                Registration { stage: Stage::Registered, .. } => Ok(Turn::Done(adopt.clone())),
                Registration { runner: Some(old), .. } => Ok(Turn::Ask(api.deregister(&old), ())),
                Registration { runner: None, .. } => Ok(Turn::Done(register.clone())),
            },
            {
                let (api, register) = (self.api.clone(), self.launch(me, "register"));
                move |(), told| {
                    let asked = api.asked("remove an earlier registration of this machine");
                    let reply = asked.reply(told)?;
                    if success(&reply) || unknown(&reply) {
                        return Ok(Turn::Done(register.clone()));
                    }
                    Err(asked.refusal(&reply))
                }
            },
        )
    }

    fn drain(&self, me: &Me) -> Drain {
        let (api, memory) = (self.api.clone(), self.memory.clone());
        Drain::Ask(self.about(
            me,
            {
                let api = api.clone();
                move |found| {
                    let id = own_id(found)?;
                    Ok(Turn::Ask(api.set_status(&id, "DRAINING"), Draining::Status { id }))
                }
            },
            move |at, told| {
                memory.forget();
                drain(&api, at, told)
            },
        ))
    }

    fn undrain(&self, me: &Me) -> Undrain {
        let (api, memory) = (self.api.clone(), self.memory.clone());
        Undrain::Ask(self.about(
            me,
            {
                let api = api.clone();
                move |found| Ok(Turn::Ask(api.set_status(&own_id(found)?, "ACTIVE"), ()))
            },
            move |(), told| {
                memory.forget();
                let asked = api.asked("take the drain of this machine back");
                let reply = asked.reply(told)?;
                if success(&reply) { Ok(Turn::Done(())) } else { Err(asked.refusal(&reply)) }
            },
        ))
    }

    /// Ends the tasks first, so that the ECS agent can tell that they stopped.
    fn abort(&self) -> Signal {
        Signal::Term
    }

    fn deregister(&self, me: &Me) -> Talk<()> {
        let api = self.api.clone();
        self.about(
            me,
            {
                let api = api.clone();
                move |found| match found.runner {
                    Some(id) => Ok(Turn::Ask(api.deregister(&id), Removing::Deregister { id })),
                    None => Ok(Turn::Done(())),
                }
            },
            move |at, told| {
                let asked = api.asked("deregister this machine");
                match at {
                    Removing::Deregister { id } => {
                        let reply = asked.reply(told)?;
                        if success(&reply) {
                            Ok(Turn::Done(()))
                        } else if unknown(&reply) {
                            Ok(Turn::Ask(api.read_group(), Removing::Look { id, refusal: asked.refusal(&reply) }))
                        } else {
                            Err(asked.refusal(&reply))
                        }
                    }
                    Removing::Look { id, refusal } => match group(&asked, told)?.own(&asked, &id)? {
                        Some(_) => Err(refusal),
                        None => Ok(Turn::Done(())),
                    },
                }
            },
        )
    }

    fn probes(&self, me: &Me) -> Vec<Probe> {
        let label = "com.amazonaws.ecs.task-arn".to_owned();
        let mut probes = vec![Probe::Containers {
            labels: vec![(label.clone(), None)],
            except: ["ecs-agent", "fluentbit-agent"].map(str::to_owned).into(),
            job_label: Some(label),
        }];
        probes.extend(self.settings.introspection.as_deref().map(|at| Probe::Runner(introspection::probe(at))));
        let api = self.api.clone();
        let counts = self.about(
            me,
            {
                let api = api.clone();
                move |found| match found {
                    Registration { runner: Some(id), stage, .. } => Ok(Turn::Ask(api.read_group(), (id, stage))),
                    Registration { stage: Stage::None | Stage::Over, .. } => Ok(Turn::Done(Activity::Quiet)),
                    Registration { stage: Stage::Begun | Stage::Registered, .. } => {
                        own_id(found).map(|_| Turn::Done(Activity::Unknown(String::new())))
                    }
                }
            },
            move |(id, stage), told| counts(&api, &id, stage, told).map(Turn::Done),
        );
        // Not Probe::Runner: the ECS agent may outlive the supervisor.
        probes.push(Probe::Ask(seldom(counts, self.memory.clone())));
        probes
    }
}

/// Where a drain is.
enum Draining {
    /// The status is being set.
    Status { id: String },
    /// The counts are being read.
    Counts {
        id: String,
        /// Why the status could not be set, when StackGuardian does not seem to know the runner.
        refusal: Option<PlatformError>,
        /// Whether a reading before this one said the same.
        again: bool,
    },
}

enum Removing {
    Deregister { id: String },
    Look { id: String, refusal: PlatformError },
}

fn drain(api: &Api, at: Draining, told: Told) -> Next<Ask, Draining, Drained> {
    let asked = api.asked("drain this machine");
    let (id, refusal, again) = match at {
        Draining::Status { id } => {
            let reply = asked.reply(told)?;
            let refusal = if success(&reply) { None } else { Some(asked.refusal(&reply)) };
            return match refusal {
                Some(refusal) if !unknown(&reply) => Err(refusal),
                refusal => Ok(Turn::Ask(api.read_group(), Draining::Counts { id, refusal, again: false })),
            };
        }
        Draining::Counts { id, refusal, again } => (id, refusal, again),
    };
    let group = group(&asked, told)?;
    match (group.own(&asked, &id)?, &refusal) {
        // It is there, so the refusal meant something else: for instance that it is not ready to be drained yet.
        (Some(_), Some(refusal)) => return Err(refusal.clone()),
        (Some(own), None) => {
            let Some(tasks) = own.tasks else {
                return Err(asked.malformed("the task counts of this machine are missing"));
            };
            if tasks > 0 {
                return Ok(Turn::Done(Drained::StillBusy));
            }
            if !own.takes_no_more() {
                let rest =
                    format!("it was accepted, but the runner is still shown as {}; it is asked again", own.status());
                return Err(asked.error(ErrorKind::Server, rest));
            }
        }
        (None, Some(_)) => {}
        (None, None) => {
            let rest = format!("it was accepted, but runner {id} is not in the group's list; it is asked again");
            return Err(asked.error(ErrorKind::Malformed, rest));
        }
    }
    Ok(if again {
        Turn::Done(Drained::Empty)
    } else {
        Turn::Ask(api.read_group(), Draining::Counts { id, refusal, again: true })
    })
}

/// What StackGuardian counts on this machine.
fn counts(api: &Api, id: &str, stage: Stage, told: Told) -> Result<Activity, PlatformError> {
    let asked = api.asked("count this machine's tasks");
    let group = group(&asked, told)?;
    match group.own(&asked, id)? {
        Some(own) => match own.tasks {
            Some(0) => Ok(Activity::Quiet),
            Some(tasks) => Ok(Activity::busy(format!("stackguardian-tasks={tasks}"))),
            None => Err(asked.malformed("the task counts of this machine are missing")),
        },
        None if stage == Stage::Over => Ok(Activity::Quiet),
        None => Err(asked.malformed(&format!("runner {id} is not in the group's list"))),
    }
}

/// The id, which is never sent blank.
fn own_id(found: Registration) -> Result<String, PlatformError> {
    found.runner.ok_or_else(|| {
        let message =
            "StackGuardian: this machine has no runner id yet, its registration is under way; it is asked again";
        PlatformError::new(ErrorKind::Unreachable, message)
    })
}

fn success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// Whether it may mean that StackGuardian does not know the runner.
fn unknown(reply: &Reply) -> bool {
    matches!(reply.status, 400 | 404)
}
