//! How many tasks of the resource classes wait and run.

use std::collections::BTreeSet;

use secrecy::SecretString;

use super::{CircleCiQueueSettings, NAME, settings::check_personal_token};
use crate::{
    exchange::{Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, Request, Step, Text},
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
    reading: Option<UnderWay>,
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
#[derive(Debug)]
struct UnderWay {
    /// The classes that are not yet read through; the last is at hand.
    classes: Vec<String>,
    count: Count,
    /// Whether the other version has answered this very question with 404.
    turned: bool,
    waiting: u32,
    running: u32,
    /// Whether any count came.
    counted: bool,
    /// The first failure.
    missing: Option<ExchangeError>,
}

impl CircleCiQueue {
    /// A reader that has remembered nothing yet, with a personal API token.
    ///
    /// # Errors
    /// When the token or a setting cannot be one of CircleCI.
    pub fn new(settings: CircleCiQueueSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_personal_token(&token)?;
        settings.check()?;
        Ok(Self { settings, token, version: Version::V3, reading: None })
    }

    fn begin(&mut self) -> Step<Reading> {
        // Each class once, in order from the last.
        let classes: BTreeSet<_> = self.settings.resource_classes.iter().cloned().collect();
        let classes = classes.into_iter().rev().collect();
        self.ask(UnderWay {
            classes,
            count: Count::Waiting,
            turned: false,
            waiting: 0,
            running: 0,
            counted: false,
            missing: None,
        })
    }

    fn ask(&mut self, reading: UnderWay) -> Step<Reading> {
        let Some(class) = reading.classes.last() else { return Step::Done(self.finish(reading)) };
        let url = format!(
            "{}{}{}?resource-class={}",
            self.settings.url,
            self.version.tasks(),
            reading.count.path(),
            percent_encode(class)
        );
        self.reading = Some(reading);
        let request = Request::get(url)
            .header("circle-token", Text::Secret(self.token.clone()))
            .header("accept", "application/json");
        Step::perform(Effect::Http(request))
    }

    /// The count that was asked for; `None` when the other version of the API is to be asked.
    fn count(&mut self, reading: &mut UnderWay, result: EffectResult) -> Result<Option<u32>, ExchangeError> {
        let class = reading.classes.last().map_or("", String::as_str);
        let context = self.context(format!("count the {} tasks of resource class {class}", reading.count.what()));
        let reply = context.reply(result)?;
        if reply.status == 404 {
            self.version = self.version.other();
            if !std::mem::replace(&mut reading.turned, true) {
                return Ok(None);
            }
        }
        if reply.status != 200 {
            return Err(context.refusal(&reply));
        }
        context.json(&reply)?.root().key(reading.count.key())?.count().map(Some)
    }

    fn go_on(&mut self, mut reading: UnderWay, result: EffectResult) -> Step<Reading> {
        match self.count(&mut reading, result) {
            Ok(None) => return self.ask(reading),
            Ok(Some(tasks)) => {
                reading.counted = true;
                match reading.count {
                    Count::Waiting => {
                        reading.waiting = reading.waiting.saturating_add(tasks);
                        reading.count = Count::Running;
                    }
                    Count::Running => {
                        reading.running = reading.running.saturating_add(tasks);
                        reading.count = Count::Waiting;
                        reading.classes.pop();
                    }
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
                    | ErrorKind::Malformed => {
                        drop(reading.classes.pop());
                    }
                    ErrorKind::Unauthorized
                    | ErrorKind::Throttled(_)
                    | ErrorKind::Server
                    | ErrorKind::Unreachable
                    | ErrorKind::TimeOver => reading.classes.clear(),
                }
                reading.count = Count::Waiting;
                reading.missing.get_or_insert(error);
            }
        }
        reading.turned = false;
        self.ask(reading)
    }

    fn finish(&self, reading: UnderWay) -> Result<Reading, ExchangeError> {
        let UnderWay { waiting, running, counted, missing, .. } = reading;
        if let Some(error) = missing.as_ref().filter(|_| !counted) {
            return Err(error.clone());
        }
        let room = self.settings.max_concurrency.map_or(u32::MAX, |most| most.saturating_sub(running));
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

    fn start(&mut self) -> Step<Reading> {
        self.begin()
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> Step<Reading> {
        match self.reading.take() {
            Some(reading) => self.go_on(reading, result),
            None => Step::Done(Err(unasked())),
        }
    }
}

impl Queue for CircleCiQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}
