//! A StackGuardian runner on the instance.

use secrecy::SecretString;

use super::{
    NAME, StackGuardianRunnerSettings,
    api::{Api, group},
    introspection,
    registration::{self, Registration, Stage},
    settings::{VERSIONS, check_api_key, check_token},
};
use crate::{
    activity::Activity,
    exchange::{Call, Effect, EffectResult, ErrorKind, ExchangeError, Reply, Text},
    platform::{
        DrainRules, Drained, File, HostContext, Launch, Probe, RegisterFor, RunnerPlatform, RunnerSettings, Selection,
        Versions,
        answer::{self, Remedies, refuse},
        cached_probe::{ProbeCache, cached_probe},
        steps::{Next, Transition, steps},
    },
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
    token: SecretString,
    api: Api,
    cache: ProbeCache,
}

impl StackGuardianRunner {
    /// A runner with these settings and the runner group's token (StackGuardian: "sg-node-token"). An API key
    /// (`sgu_...`, `sgo_...`) is for draining and for the task counts; without it the token is tried for these.
    ///
    /// # Errors
    /// When a secret cannot be one of StackGuardian.
    pub fn new(
        settings: StackGuardianRunnerSettings,
        token: SecretString,
        api_key: Option<SecretString>,
    ) -> Result<Self, ExchangeError> {
        check_token(&token)?;
        api_key.as_ref().map_or(Ok(()), check_api_key)?;
        let (key, remedies) = match api_key {
            Some(key) => (key, WITH_KEY),
            None => (token.clone(), WITH_TOKEN),
        };
        let api = Api {
            url: settings.url.clone(),
            organization: settings.organization.clone(),
            runner_group: settings.runner_group.clone(),
            key,
            remedies,
        };
        Ok(Self { settings, token, api, cache: ProbeCache::default() })
    }

    /// An exchange about this machine's registration: reads the journal first.
    fn about<S: Send + 'static, T: 'static>(
        host: &HostContext,
        mut registered: impl FnMut(Registration) -> Next<Effect, S, T> + Send + 'static,
        mut next: impl FnMut(S, EffectResult) -> Next<Effect, S, T> + Send + 'static,
    ) -> Call<T> {
        let (journal, host) = (registration::ask(host), host.clone());
        steps(
            move || Ok(Transition::Perform(journal.clone(), None)),
            move |at, result| {
                let next = match at {
                    None => registered(registration::read(result, &host)?)?,
                    Some(at) => next(at, result)?,
                };
                Ok(match next {
                    Transition::Perform(ask, at) => Transition::Perform(ask, Some(at)),
                    Transition::Done(output) => Transition::Done(output),
                })
            },
        )
    }

    /// Registers the machine, unless it is registered; what an earlier registration left is removed first.
    fn register_machine(&self, host: &HostContext) -> Call<Launch> {
        let (adopt, register) = (self.adopting(host), self.registering(host));
        let (api, anew) = (self.api.clone(), register.clone());
        self.cache.forget();
        Self::about(
            host,
            move |found| match found {
                Registration { failures: failures @ MOST_FAILURES.., why, .. } => refuse(format!(
                    "StackGuardian: this machine's registration failed {failures} times in a row, last: {why}; look into \
                     /var/log/sg_runner.log, check token, organization and runner_group, and the group's maximum of runners",
                )),
                Registration { stage: Stage::Registered, .. } => Ok(Transition::Done(adopt.clone())),
                Registration { runner: Some(old), .. } => Ok(Transition::Perform(api.deregister(&old), ())),
                Registration { runner: None, .. } => Ok(Transition::Done(register.clone())),
            },
            {
                let api = self.api.clone();
                move |(), result| {
                    let context = api.context("remove an earlier registration of this machine");
                    let reply = context.reply(result)?;
                    if success(&reply) || unknown(&reply) {
                        return Ok(Transition::Done(anew.clone()));
                    }
                    Err(context.refusal(&reply))
                }
            },
        )
    }

    /// Serves a machine that is registered, and needs no token.
    fn adopting(&self, host: &HostContext) -> Launch {
        self.supervisor(host, "adopt")
    }

    /// Registers the machine, with the token, which the supervisor takes out of its file.
    fn registering(&self, host: &HostContext) -> Launch {
        let token = host.runner_dir.join("token");
        let mut launch = self.supervisor(host, "register");
        launch.argv.push(token.to_string_lossy().into_owned());
        launch.files.push(File { path: token, contents: Text::Secret(self.token.clone()), mode: 0o600 });
        launch
    }

    /// What both have in common.
    fn supervisor(&self, host: &HostContext, mode: &str) -> Launch {
        let (script, journal) = (host.runner_dir.join("supervisor.sh"), registration::journal(host));
        let settings = &self.settings;
        let argv = [
            "/bin/sh",
            &script.to_string_lossy(),
            mode,
            &journal.to_string_lossy(),
            &host.instance_id,
            &settings.program,
            &settings.organization,
            &settings.runner_group,
            &settings.register_timeout.get().to_string(),
        ];
        Launch {
            argv: argv.map(str::to_owned).into(),
            env: vec![("SG_BASE_API".to_owned(), format!("{}/api/v1", settings.url).into())],
            files: vec![File { path: script, contents: SUPERVISOR.into(), mode: 0o600 }],
            doubts: Vec::new(),
        }
    }
}

impl RunnerPlatform for StackGuardianRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        VERSIONS
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |_| runner.register_machine(&host))
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn drain_call(&self, host: &HostContext) -> Call<Drained> {
        let (api, cache) = (self.api.clone(), self.cache.clone());
        Self::about(
            host,
            {
                let api = api.clone();
                move |found| {
                    let id = own_id(found)?;
                    Ok(Transition::Perform(api.set_status(&id, "DRAINING"), Draining::Status { id }))
                }
            },
            move |at, result| {
                cache.forget();
                drain(&api, at, result)
            },
        )
    }

    fn undrain_call(&self, host: &HostContext) -> Call<()> {
        let (api, cache) = (self.api.clone(), self.cache.clone());
        Self::about(
            host,
            {
                let api = api.clone();
                move |found| Ok(Transition::Perform(api.set_status(&own_id(found)?, "ACTIVE"), ()))
            },
            move |(), result| {
                cache.forget();
                let context = api.context("take the drain of this machine back");
                let reply = context.reply(result)?;
                if success(&reply) { Ok(Transition::Done(())) } else { Err(context.refusal(&reply)) }
            },
        )
    }

    fn deregister(&self, host: &HostContext) -> Call<()> {
        let api = self.api.clone();
        Self::about(
            host,
            {
                let api = api.clone();
                move |found| match found.runner {
                    Some(id) => Ok(Transition::Perform(api.deregister(&id), Removing::Deregister { id })),
                    None => Ok(Transition::Done(())),
                }
            },
            move |at, result| {
                let context = api.context("deregister this machine");
                match at {
                    Removing::Deregister { id } => {
                        let reply = context.reply(result)?;
                        if success(&reply) {
                            Ok(Transition::Done(()))
                        } else if unknown(&reply) {
                            Ok(Transition::Perform(
                                api.read_group(),
                                Removing::Look { id, refusal: context.refusal(&reply) },
                            ))
                        } else {
                            Err(context.refusal(&reply))
                        }
                    }
                    Removing::Look { id, refusal } => match group(&context, result)?.own(&context, &id)? {
                        Some(_) => Err(refusal),
                        None => Ok(Transition::Done(())),
                    },
                }
            },
        )
    }

    fn check(&self, _: &HostContext) -> Option<Call<String>> {
        let context = self.api.context("read the runner group");
        Some(answer::once(self.api.read_group(), move |result| {
            group(&context, result).map(|_| "the runner group can be read".to_owned())
        }))
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        let label = "com.amazonaws.ecs.task-arn".to_owned();
        let mut probes = vec![Probe::Containers(Selection {
            labels: vec![(label.clone(), None)],
            except: ["ecs-agent", "fluentbit-agent"].map(str::to_owned).into(),
            job_label: Some(label),
        })];
        probes.extend(self.settings.introspection.as_ref().map(|at| Probe::Runner(introspection::probe(at))));
        let api = self.api.clone();
        let counts = Self::about(
            host,
            {
                let api = api.clone();
                move |found| match found {
                    Registration { runner: Some(id), stage, .. } => {
                        Ok(Transition::Perform(api.read_group(), (id, stage)))
                    }
                    Registration { stage: Stage::None | Stage::Over, .. } => Ok(Transition::Done(Activity::Quiet)),
                    Registration { stage: Stage::Begun | Stage::Registered, .. } => {
                        own_id(found).map(|_| Transition::Done(Activity::Unknown(String::new())))
                    }
                }
            },
            move |(id, stage), result| counts(&api, &id, stage, result).map(Transition::Done),
        );
        // Not Probe::Runner: the ECS agent may outlive the supervisor.
        probes.push(Probe::Call(cached_probe(counts, self.cache.clone())));
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
        refusal: Option<ExchangeError>,
        /// Whether a reading before this one said the same.
        again: bool,
    },
}

enum Removing {
    Deregister { id: String },
    Look { id: String, refusal: ExchangeError },
}

fn drain(api: &Api, at: Draining, result: EffectResult) -> Next<Effect, Draining, Drained> {
    let context = api.context("drain this machine");
    let (id, refusal, again) = match at {
        Draining::Status { id } => {
            let reply = context.reply(result)?;
            let refusal = if success(&reply) { None } else { Some(context.refusal(&reply)) };
            return match refusal {
                Some(refusal) if !unknown(&reply) => Err(refusal),
                refusal => Ok(Transition::Perform(api.read_group(), Draining::Counts { id, refusal, again: false })),
            };
        }
        Draining::Counts { id, refusal, again } => (id, refusal, again),
    };
    let group = group(&context, result)?;
    match (group.own(&context, &id)?, &refusal) {
        // It is there, so the refusal meant something else: for instance that it is not ready to be drained yet.
        (Some(_), Some(refusal)) => return Err(refusal.clone()),
        (Some(own), None) => {
            let Some(tasks) = own.tasks else {
                return Err(context.malformed("the task counts of this machine are missing"));
            };
            if tasks > 0 {
                return Ok(Transition::Done(Drained::StillBusy));
            }
            if !own.takes_no_more() {
                let rest =
                    format!("it was accepted, but the runner is still shown as {}; it is asked again", own.status());
                return Err(context.error(ErrorKind::Server, rest));
            }
        }
        (None, Some(_)) => {}
        (None, None) => {
            let rest = format!("it was accepted, but runner {id} is not in the group's list; it is asked again");
            return Err(context.error(ErrorKind::Malformed, rest));
        }
    }
    Ok(if again {
        Transition::Done(Drained::Empty)
    } else {
        Transition::Perform(api.read_group(), Draining::Counts { id, refusal, again: true })
    })
}

/// What StackGuardian counts on this machine.
fn counts(api: &Api, id: &str, stage: Stage, result: EffectResult) -> Result<Activity, ExchangeError> {
    let context = api.context("count this machine's tasks");
    let group = group(&context, result)?;
    match group.own(&context, id)? {
        Some(own) => match own.tasks {
            Some(0) => Ok(Activity::Quiet),
            Some(tasks) => Ok(Activity::busy(format!("stackguardian-tasks={tasks}"))),
            None => Err(context.malformed("the task counts of this machine are missing")),
        },
        None if stage == Stage::Over => Ok(Activity::Quiet),
        None => Err(context.malformed(&format!("runner {id} is not in the group's list"))),
    }
}

/// The id, which is never sent blank.
fn own_id(found: Registration) -> Result<String, ExchangeError> {
    found.runner.ok_or_else(|| {
        let message =
            "StackGuardian: this machine has no runner id yet, its registration is under way; it is asked again";
        ExchangeError::new(ErrorKind::Unreachable, message)
    })
}

fn success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// Whether it may mean that StackGuardian does not know the runner.
fn unknown(reply: &Reply) -> bool {
    matches!(reply.status, 400 | 404)
}
