//! What an instance of the program's cloud may do to itself.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, GroupSize, Leave, Membership};

use super::{
    CAPABILITIES,
    answer::{self, Description},
    program::{CloudProgram, Verb},
};
use crate::{CloudFuture, Host, Identity};

/// The variable in which the programs that end an instance find why.
const REASON: &str = "LIGHTSOUT_REASON";

/// This machine, as the program knows it.
#[derive(Debug)]
pub(super) struct CommandHost {
    program: CloudProgram,
    identity: Identity,
    reason: Mutex<Option<String>>,
}

impl CommandHost {
    pub(super) fn new(program: CloudProgram, identity: Identity) -> Self {
        Self { program, identity, reason: Mutex::default() }
    }

    fn group_name(&self) -> Result<&str, CloudError> {
        self.identity.group.as_deref().ok_or_else(|| {
            let why =
                format!("{} is in no group: `whoami` of {} names none", self.identity.instance, self.program.name());
            CloudError::new(CloudErrorKind::NotFound, why)
        })
    }

    async fn described<T>(&self, read: impl FnOnce(Description) -> Result<T, String>) -> Result<T, CloudError> {
        let group = self.group_name()?;
        self.program.read(Verb::Describe, &[group], |printed| read(answer::parse(printed)?)).await
    }

    /// Asks for this instance's end, and says why.
    async fn end(&self, verb: Verb, more: &[&str]) -> Result<(), CloudError> {
        let group = match verb {
            // Past its group, whether or not it has one.
            Verb::Terminate => self.identity.group.as_deref().unwrap_or_default(),
            Verb::Describe
            | Verb::Raise
            | Verb::Floor
            | Verb::Whoami
            | Verb::Protect
            | Verb::Ready
            | Verb::Leave
            | Verb::Notice => self.group_name()?,
        };
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let env = reason.map(|reason| (REASON.to_owned(), reason.into())).into_iter().collect();
        let arguments: Vec<&str> = [group, &self.identity.instance].into_iter().chain(more.iter().copied()).collect();
        self.program.ask_with(verb, &arguments, env).await.map(drop)
    }
}

impl Host for CommandHost {
    fn capabilities(&self) -> Capabilities {
        self.identity.capabilities.unwrap_or(CAPABILITIES)
    }

    fn group(&self) -> Option<String> {
        self.identity.group.clone()
    }

    fn membership(&self) -> CloudFuture<'_, Membership> {
        Box::pin(async {
            match self.described(|group| group.membership(&self.identity.instance)).await {
                Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Membership::Outside),
                seen => seen,
            }
        })
    }

    fn group_size(&self) -> CloudFuture<'_, GroupSize> {
        Box::pin(async {
            let size = self.described(|group| group.group_size(&self.identity.instance, Timestamp::now())).await?;
            size.ok_or_else(|| {
                let why = format!("{} is no member of its group, or not any more", self.identity.instance);
                CloudError::new(CloudErrorKind::NotFound, why)
            })
        })
    }

    fn protect(&self, on: bool) -> CloudFuture<'_, ()> {
        Box::pin(async move {
            if !on {
                let why = "protection is given up by leaving alone, where no ending can be held off";
                return Err(CloudError::new(CloudErrorKind::Denied, why));
            }
            self.program.ask(Verb::Protect, &[self.group_name()?, &self.identity.instance]).await.map(drop)
        })
    }

    fn leave(&self, how: Leave) -> CloudFuture<'_, ()> {
        let keeps = how == Leave::Replace && !self.capabilities().leaving_lowers_capacity;
        Box::pin(async move { self.end(Verb::Leave, &[if keeps { "keep" } else { "lower" }]).await })
    }

    fn report_unhealthy(&self) -> CloudFuture<'_, ()> {
        let why = "a cloud of your own program takes no word of its instances on their health";
        Box::pin(std::future::ready(Err(CloudError::new(CloudErrorKind::Denied, why))))
    }

    /// Whoever asks is alive: one whom the program does not know has not ended, and asks again.
    fn terminate(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.end(Verb::Terminate, &[]))
    }

    /// A program that keeps no sign of it prints none, and is not asked.
    fn record_ready(&self) -> CloudFuture<'_, ()> {
        Box::pin(async {
            if !self.described(|group| group.keeps_ready(&self.identity.instance)).await? {
                return Ok(());
            }
            self.program.ask(Verb::Ready, &[self.group_name()?, &self.identity.instance]).await.map(drop)
        })
    }

    /// It is handed to whatever ends the instance.
    fn record_reason<'a>(&'a self, reason: &'a str) -> CloudFuture<'a, ()> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn forget(&self) {}
}
