//! How many tasks of the resource classes wait and run.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;

use super::{CircleCiQueueSettings, NAME, ResourceClass, settings::check_personal_token};
use crate::{
    exchange::{Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Request, Text},
    platform::{
        Demand, Queue, Reading,
        answer::{Remedies, RequestContext, percent_encode},
        steps::unasked,
    },
};

const RIGHTS: &str = "a personal API token is needed, of a user who may see the namespace: a resource class token, as the runners hold it, \
                      only claims tasks and cannot read the queue";

const REMEDIES: Remedies = Remedies {
    unauthorized: RIGHTS,
    forbidden: RIGHTS,
    not_found: "there is no such resource class (or the token's user may not see it), or no runner API at this url; \
                check the class with: circleci runner resource-class list NAMESPACE",
};

/// Reads the queue of CircleCI: see [`crate::platform::circleci`] for what it can and cannot know.
#[derive(Debug)]
pub struct CircleCiQueue {
    settings: CircleCiQueueSettings,
    token: SecretString,
    /// The version that answered last.
    version: Version,
    reading: UnderWay,
    /// The number of the next request; no two are the same, also of two readings.
    next_id: u64,
}

/// The versions of the runner API; their answers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// What CircleCI documents now.
    V3,
    /// What older servers have.
    V2,
}

impl Version {
    fn other(self) -> Self {
        match self {
            Self::V3 => Self::V2,
            Self::V2 => Self::V3,
        }
    }

    fn tasks(self) -> &'static str {
        match self {
            Self::V3 => "/api/v3/runner/tasks",
            Self::V2 => "/api/v2/tasks",
        }
    }
}

/// The two counts of a resource class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Waiting,
    Running,
}

impl Count {
    fn path(self) -> &'static str {
        match self {
            Self::Waiting => "",
            Self::Running => "/running",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Waiting => "unclaimed_task_count",
            Self::Running => "running_runner_tasks",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
        }
    }
}

/// A reading under way.
#[derive(Debug, Default)]
struct UnderWay {
    /// The classes that are still to be asked about; the last comes first.
    classes: Vec<ResourceClass>,
    open: BTreeMap<EffectId, Open>,
    waiting: u32,
    running: u32,
    /// Whether any count came.
    counted: bool,
    /// The first failure.
    missing: Option<ExchangeError>,
}

/// A count that was asked for.
#[derive(Debug)]
struct Open {
    class: ResourceClass,
    count: Count,
    version: Version,
    /// Whether the other version has answered this very question with 404.
    turned: bool,
}

impl CircleCiQueue {
    /// A reader that has remembered nothing yet, with a personal API token.
    ///
    /// # Errors
    /// When the token cannot be one of CircleCI.
    pub fn new(settings: CircleCiQueueSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_personal_token(&token)?;
        Ok(Self { settings, token, version: Version::V3, reading: UnderWay::default(), next_id: 0 })
    }

    fn ask(&mut self, open: Open) -> ExchangeStep<Reading> {
        let url = format!(
            "{}{}{}?resource-class={}",
            self.settings.url,
            open.version.tasks(),
            open.count.path(),
            percent_encode(&open.class)
        );
        let request = Request::get(url)
            .header("circle-token", Text::Secret(self.token.clone()))
            .header("accept", "application/json");
        let id = EffectId(self.next_id);
        self.next_id += 1;
        self.reading.open.insert(id, open);
        ExchangeStep::Perform(id, Effect::Http(request))
    }

    /// The count that was asked for; `None` when the other version of the API is to be asked.
    fn count(&mut self, open: &Open, result: EffectResult) -> Result<Option<u32>, ExchangeError> {
        let context = self.context(format!("count the {} tasks of resource class {}", open.count.what(), open.class));
        let reply = context.reply(result)?;
        if reply.status == 404 {
            self.version = open.version.other();
            if !open.turned {
                return Ok(None);
            }
        }
        if reply.status != 200 {
            return Err(context.refusal(&reply));
        }
        context.json(&reply)?.root().key(open.count.key())?.count().map(Some)
    }

    fn go_on(&mut self, open: Open, result: EffectResult) -> ExchangeStep<Reading> {
        let counted = self.count(&open, result);
        let (reading, version) = (&mut self.reading, self.version);
        match counted {
            Ok(None) => return self.ask(Open { version, turned: true, ..open }),
            Ok(Some(tasks)) => {
                reading.counted = true;
                match open.count {
                    Count::Waiting => {
                        reading.waiting = reading.waiting.saturating_add(tasks);
                        return self.ask(Open { count: Count::Running, version, turned: false, ..open });
                    }
                    Count::Running => reading.running = reading.running.saturating_add(tasks),
                }
            }
            // The class costs what is counted of it and nothing else, unless the same would befall the others.
            Err(error) => {
                match error.kind {
                    ErrorKind::Forbidden
                    | ErrorKind::NotFound
                    | ErrorKind::NoRunner
                    | ErrorKind::Occupied(_)
                    | ErrorKind::Refused
                    | ErrorKind::Malformed => {}
                    ErrorKind::Unauthorized
                    | ErrorKind::Throttled(_)
                    | ErrorKind::Server
                    | ErrorKind::Unreachable
                    | ErrorKind::TimeOver => reading.classes.clear(),
                }
                reading.missing.get_or_insert(error);
            }
        }
        self.more()
    }

    fn finish(&mut self) -> Result<Reading, ExchangeError> {
        let UnderWay { waiting, running, counted, missing, .. } = std::mem::take(&mut self.reading);
        if let Some(error) = missing.as_ref().filter(|_| !counted) {
            return Err(error.clone());
        }
        let room = self.settings.max_concurrency.map_or(u32::MAX, |most| most.get().saturating_sub(running));
        Ok(Reading { demand: Demand { queued: waiting.min(room), running: Some(running), poll_after: None }, missing })
    }

    fn context(&self, what: String) -> RequestContext {
        RequestContext {
            platform: format!("CircleCI at {}", self.settings.url),
            what,
            remedies: REMEDIES,
            secret: self.token.clone(),
        }
    }
}

impl Exchange for CircleCiQueue {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        // Each class once, in order from the last.
        let classes: BTreeSet<_> = self.settings.resource_classes.iter().cloned().collect();
        self.reading = UnderWay { classes: classes.into_iter().rev().collect(), ..UnderWay::default() };
        self.more()
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        match self.reading.open.remove(&id) {
            Some(open) => self.go_on(open, result),
            None => ExchangeStep::Done(Err(unasked())),
        }
    }

    fn more(&mut self) -> ExchangeStep<Reading> {
        let version = self.version;
        match self.reading.classes.pop() {
            Some(class) => self.ask(Open { class, count: Count::Waiting, version, turned: false }),
            None if self.reading.open.is_empty() => ExchangeStep::Done(self.finish()),
            None => ExchangeStep::Wait,
        }
    }

    fn cut(&mut self) -> Option<Reading> {
        if !self.reading.counted {
            return None;
        }
        let unread: Vec<_> = self.reading.open.values().map(|open| &open.class).chain(&self.reading.classes).collect();
        let message = format!(
            "CircleCI at {}: its time was over before the tasks of {} were counted. Raise `deadline`, or split the pool",
            self.settings.url,
            unread.first().map_or("a class", |class| class)
        );
        self.reading.missing.get_or_insert(ExchangeError::new(ErrorKind::TimeOver, message));
        self.finish().ok()
    }
}

impl Queue for CircleCiQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}
