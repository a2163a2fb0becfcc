use super::{
    Calls,
    search::{Found, Search},
};
use crate::{
    platform::{
        Drained, ErrorKind, PlatformError, Talk,
        github::refusal::refusal,
        walk::{Next, Turn, walk},
    },
    wire::{Ask, Method, Request, Told},
};

/// What became of the registration.
pub(super) enum Removed {
    /// It is not there: nothing runs and nothing can come.
    Gone,
    /// It stays, because a job runs.
    Busy(PlatformError),
}

/// As the answer to a drain.
pub(super) fn drained(removed: &Removed) -> Drained {
    match removed {
        Removed::Gone => Drained::Empty,
        Removed::Busy(_) => Drained::Refused,
    }
}

/// As the answer to a deregistration.
pub(super) fn gone(removed: Removed) -> Result<(), PlatformError> {
    match removed {
        Removed::Gone => Ok(()),
        Removed::Busy(error) => Err(error),
    }
}

/// Which answer is awaited.
enum At {
    /// The registration's number; `lost` after a deletion found nothing under the number at hand.
    Number { search: Search, lost: bool },
    /// The deletion.
    Deletion { lost: bool },
}

/// Removes this instance's registration: GitHub deletes it in one step, or refuses because a job runs.
///
/// A 404 alone proves nothing, because GitHub also says so to a token that may not see the runner: only a list without the name does.
pub(super) fn remove<T: 'static>(
    calls: Calls,
    read: impl Fn(Removed) -> Result<T, PlatformError> + Send + 'static,
) -> Talk<T> {
    let begin = {
        let calls = calls.clone();
        move || {
            Ok(match calls.registered.id() {
                Some(id) => delete(&calls, id, false),
                None => search(&calls, false),
            })
        }
    };
    walk(begin, move |at, told| match go(&calls, at, told)? {
        Turn::Ask(ask, at) => Ok(Turn::Ask(ask, at)),
        Turn::Done(removed) => Ok(Turn::Done(read(removed)?)),
    })
}

fn go(calls: &Calls, at: At, told: Told) -> Next<Ask, At, Removed> {
    let asked = calls.asked("remove this machine's runner");
    let reply = asked.reply(told)?;
    match at {
        At::Number { search, lost } => match search.read(&asked, &reply, &calls.name)? {
            Found::More(search) => Ok(Turn::Ask(search.ask(), At::Number { search, lost })),
            Found::None => Ok(removed(calls)),
            Found::One(found) if lost && calls.registered.id() == Some(found.id) => {
                Err(asked.malformed("GitHub lists this runner, but does not find it when it is to be removed"))
            }
            Found::One(found) => Ok(delete(calls, found.id, lost)),
        },
        At::Deletion { lost } => match reply.status {
            204 => Ok(removed(calls)),
            404 if !lost => Ok(search(calls, true)),
            422 => Ok(Turn::Done(Removed::Busy(PlatformError { kind: ErrorKind::Refused, ..refusal(&asked, &reply) }))),
            _ => Err(refusal(&asked, &reply)),
        },
    }
}

fn removed<A, S>(calls: &Calls) -> Turn<A, S, Removed> {
    calls.registered.set(None);
    Turn::Done(Removed::Gone)
}

fn search<T>(calls: &Calls, lost: bool) -> Turn<Ask, At, T> {
    let search = Search::new(calls.list());
    Turn::Ask(search.ask(), At::Number { search, lost })
}

fn delete<T>(calls: &Calls, id: u64, lost: bool) -> Turn<Ask, At, T> {
    let request = Request::new(Method::Delete, calls.runners(&format!("/{id}")));
    Turn::Ask(Ask::Http(request), At::Deletion { lost })
}
