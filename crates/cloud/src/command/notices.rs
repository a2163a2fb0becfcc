//! Asks the program who this instance is and what is about to happen to it. No answer is no notice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lightsout_core::cloud::{CloudError, CloudErrorKind, Ending, Machine, Notice, TargetState};
use tokio::{sync::mpsc, time::sleep};

use super::{
    answer::{self, News, Time, WhoamiAnswer},
    program::{CloudProgram, Verb},
};
use crate::{CloudFuture, Identity, NoticeIntervals, Notices, notices::until_told};

/// After this many failed looks in a row someone will want to know.
const SILENT: u32 = 10;
/// How long there is, about, when the moment of an interruption has passed and the machine is still there.
const TIME_LEFT: SignedDuration = SignedDuration::from_secs(5);

/// What the program tells this instance.
#[derive(Debug)]
pub(super) struct CommandNotices {
    program: CloudProgram,
}

impl CommandNotices {
    pub(super) fn new(program: CloudProgram) -> Self {
        Self { program }
    }

    async fn ask(&self) -> Result<WhoamiAnswer, CloudError> {
        let who: WhoamiAnswer = self.program.read(Verb::Whoami, &[], answer::parse).await?;
        if who.instance.trim().is_empty() || who.group.as_ref().is_some_and(|group| group.trim().is_empty()) {
            let why =
                format!("`{} whoami` printed an empty `instance` or `group`; see docs/clouds.md", self.program.name());
            return Err(CloudError::new(CloudErrorKind::Other, why));
        }
        Ok(who)
    }

    /// Asks until it is told, for so long.
    async fn who(&self, deadline: Duration) -> Result<WhoamiAnswer, CloudError> {
        let name = format!("`{} whoami` (agent.cloud)", self.program.name());
        until_told((&name, "who this instance is"), deadline, || self.ask()).await
    }
}

impl Notices for CommandNotices {
    fn is_here(&self) -> CloudFuture<'_, ()> {
        Box::pin(async { self.ask().await.map(drop) })
    }

    fn identity(&self, deadline: Duration) -> CloudFuture<'_, Identity> {
        Box::pin(async move {
            let WhoamiAnswer { instance, group, location, machine_type, spot, capabilities, .. } =
                self.who(deadline).await?;
            let machine = Machine { machine_type, spot };
            Ok(Identity { instance, location, group, machine, capabilities: Some(capabilities.into()) })
        })
    }

    fn tags<'a>(&'a self, prefix: &'a str, deadline: Duration) -> CloudFuture<'a, Vec<(String, String)>> {
        Box::pin(async move {
            let tags = self.who(deadline).await?.tags.into_iter();
            Ok(tags.filter(|(name, _)| name.starts_with(prefix)).collect())
        })
    }

    fn watch(&self, every: NoticeIntervals) -> mpsc::Receiver<Notice> {
        let (notices, receiver) = mpsc::channel(16);
        tokio::spawn(watch(self.program.clone(), every.interruption, notices));
        receiver
    }
}

async fn watch(program: CloudProgram, every: Duration, notices: mpsc::Sender<Notice>) {
    let (mut told, mut who, mut failures) = (SeenNews::default(), None, 0_u32);
    while !notices.is_closed() {
        if who.is_none() {
            who = program.read(Verb::Whoami, &[], answer::parse::<WhoamiAnswer>).await.ok();
        }
        let asked = match &who {
            Some(WhoamiAnswer { instance, group, .. }) => {
                let group = group.as_deref().unwrap_or_default();
                program.read(Verb::Notice, &[group, instance], answer::parse::<News>).await
            }
            None => Err(CloudError::new(CloudErrorKind::Unreachable, "it does not say who this instance is")),
        };
        match asked {
            Ok(news) => {
                if std::mem::take(&mut failures) >= SILENT {
                    tracing::info!("the cloud program tells notices again");
                }
                for notice in told.news(news, Timestamp::now()) {
                    tracing::warn!(?notice, "the cloud program has a notice for this instance");
                    if notices.send(notice).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                if failures == SILENT {
                    tracing::warn!(%error, "the cloud program tells no notices; some may be missed");
                }
            }
        }
        sleep(every * (1 << (failures / 3).min(6))).await;
    }
}

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct SeenNews {
    last: News,
    interruption: Option<SeenInterruption>,
}

/// The end that was told and holds.
#[derive(Clone, Copy, Debug)]
struct SeenInterruption {
    by: Ending,
    /// `None` when its time could not be read.
    at: Option<Timestamp>,
}

impl SeenNews {
    pub(super) fn news(&mut self, now_holds: News, now: Timestamp) -> Vec<Notice> {
        let last = std::mem::replace(&mut self.last, now_holds);
        let holds = &self.last;
        let mut news = Vec::new();
        if holds.terminate && !last.terminate {
            news.push(Notice::Target(TargetState::Terminated));
        }
        let by = if holds.terminate { Ending::Termination } else { Ending::Interruption };
        // A moment that has passed is now, and puts nothing off.
        let later = |told: SeenInterruption| match holds.interruption.as_ref().map(Time::read) {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(at)) => told.at.is_some_and(|told| at > told) && at > now,
        };
        if let Some(told) = self.interruption.take_if(|told| later(*told)) {
            news.push(Notice::Lifted(told.by));
        }
        let interruption = holds.interruption.as_ref().map(Time::read);
        if let Some(Err(found)) = &interruption
            && self.interruption.is_none()
        {
            tracing::warn!(
                found,
                "`interruption` of the cloud program is no time: print one as 2026-11-27T06:00:00Z. The instance leaves for it, and fails no job, since it \
                 is not known when it ends"
            );
            self.interruption = Some(SeenInterruption { by, at: None });
            news.push(Notice::Ending { by, at: None });
        }
        if let Some(Ok(told)) = interruption {
            let at = told.max(now.checked_add(TIME_LEFT).unwrap_or(now));
            if self.interruption.and_then(|told| told.at).is_none_or(|told| at < told) {
                if told < now {
                    tracing::warn!(%told, taken = %format_args!("{at:.0}"), "the time that the cloud program tells has passed, and the instance is still here: it ends now");
                }
                if let Some(told) = self.interruption.filter(|told| told.by != by) {
                    news.push(Notice::Lifted(told.by));
                }
                self.interruption = Some(SeenInterruption { by, at: Some(at) });
                news.push(Notice::Ending { by, at: Some(at) });
            }
        }
        if holds.rebalance && !last.rebalance {
            news.push(Notice::Rebalance);
        }
        if last.rebalance && !holds.rebalance {
            news.push(Notice::RebalanceLifted);
        }
        if holds.maintenance && !last.maintenance {
            news.push(Notice::Ending { by: Ending::Maintenance, at: None });
        }
        if last.maintenance && !holds.maintenance {
            news.push(Notice::Lifted(Ending::Maintenance));
        }
        if holds.order != last.order {
            news.push(Notice::Order(holds.order.clone()));
        }
        news
    }
}
