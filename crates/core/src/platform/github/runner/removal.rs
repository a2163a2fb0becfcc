//! Removes the registration of this instance, which is the drain.

use super::{
    Calls,
    search::{Found, Search},
};
use crate::{
    exchange::{Call, Effect, EffectResult, ErrorKind, ExchangeError, Method, Request},
    platform::{
        Drained,
        github::refusal::refusal,
        steps::{Next, Transition, steps},
    },
};

/// What became of the registration.
pub(super) enum RemovalResult {
    /// It is not there: nothing runs and nothing can come.
    Gone,
    /// It stays, because a job runs.
    Busy(ExchangeError),
}

/// As the answer to a drain.
pub(super) fn drained(removed: &RemovalResult) -> Drained {
    match removed {
        RemovalResult::Gone => Drained::Empty,
        RemovalResult::Busy(_) => Drained::Refused,
    }
}

/// As the answer to a deregistration.
pub(super) fn gone(removed: RemovalResult) -> Result<(), ExchangeError> {
    match removed {
        RemovalResult::Gone => Ok(()),
        RemovalResult::Busy(error) => Err(error),
    }
}

/// Which answer is awaited.
enum At {
    /// The registration's number; `lost` after a deletion found nothing under the number at hand.
    Number {
        search: Search,
        lost: bool,
    },
    Deletion {
        lost: bool,
    },
}

/// Removes this instance's registration: GitHub deletes it in one step, or refuses because a job runs.
///
/// A 404 alone proves nothing, because GitHub also says so to a token that may not see the runner: only a list without
/// the name does.
pub(super) fn remove<T: 'static>(
    calls: Calls,
    read: impl Fn(RemovalResult) -> Result<T, ExchangeError> + Send + 'static,
) -> Call<T> {
    let begin = {
        let calls = calls.clone();
        move || {
            Ok(match calls.registered.id() {
                Some(id) => delete(&calls, id, false),
                None => search(&calls, false),
            })
        }
    };
    steps(begin, move |at, result| match advance(&calls, at, result)? {
        Transition::Perform(ask, at) => Ok(Transition::Perform(ask, at)),
        Transition::Done(removed) => Ok(Transition::Done(read(removed)?)),
    })
}

fn advance(calls: &Calls, at: At, result: EffectResult) -> Next<Effect, At, RemovalResult> {
    let context = calls.context("remove this machine's runner");
    let reply = context.reply(result)?;
    match at {
        At::Number { search, lost } => match search.read(&context, &reply, &calls.name)? {
            Found::More(search) => Ok(Transition::Perform(search.ask(), At::Number { search, lost })),
            Found::None => Ok(removed(calls)),
            Found::One(found) if lost && calls.registered.id() == Some(found.id) => {
                Err(context.malformed("GitHub lists this runner, but does not find it when it is to be removed"))
            }
            Found::One(found) => Ok(delete(calls, found.id, lost)),
        },
        At::Deletion { lost } => match reply.status {
            204 => Ok(removed(calls)),
            404 if !lost => Ok(search(calls, true)),
            422 => Ok(Transition::Done(RemovalResult::Busy(ExchangeError {
                kind: ErrorKind::Refused,
                ..refusal(&context, &reply)
            }))),
            _ => Err(refusal(&context, &reply)),
        },
    }
}

fn removed<A, S>(calls: &Calls) -> Transition<A, S, RemovalResult> {
    calls.registered.set(None);
    Transition::Done(RemovalResult::Gone)
}

fn search<T>(calls: &Calls, lost: bool) -> Transition<Effect, At, T> {
    let search = Search::new(calls.settings.url.clone(), calls.list());
    Transition::Perform(search.ask(), At::Number { search, lost })
}

fn delete<T>(calls: &Calls, id: u64, lost: bool) -> Transition<Effect, At, T> {
    let request = Request::new(Method::Delete, calls.runners(&format!("/{id}")));
    Transition::Perform(Effect::Http(request), At::Deletion { lost })
}
