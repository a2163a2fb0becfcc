//! Conversations of several questions, written as one function from what came to what is next.

use std::marker::PhantomData;

use super::{ErrorKind, PlatformError, Talk};
use crate::wire::{Ask, Conversation, Step, Told};

/// What is next: a question and where we are while it is open, or the end.
pub(super) enum Turn<A, S, T> {
    /// Ask this.
    Ask(A, S),
    /// It is over.
    Done(T),
}

/// What a turn comes to.
pub(super) type Next<A, S, T> = Result<Turn<A, S, T>, PlatformError>;

/// A conversation that opens with `begin` and goes on with `go`.
pub(super) fn walk<S: Send + 'static, T: 'static>(
    begin: impl FnMut() -> Next<Ask, S, T> + Send + 'static,
    go: impl FnMut(S, Told) -> Next<Ask, S, T> + Send + 'static,
) -> Talk<T> {
    Box::new(Walk { begin, go, at: None, output: PhantomData })
}

/// An answer that came without a question.
pub(super) fn unasked() -> PlatformError {
    PlatformError::new(
        ErrorKind::Malformed,
        "an answer came that nobody asked for; nothing is concluded from this answer",
    )
}

struct Walk<B, G, S, T> {
    begin: B,
    go: G,
    at: Option<S>,
    output: PhantomData<fn() -> T>,
}

impl<B, G, S, T> Walk<B, G, S, T> {
    fn step(&mut self, next: Next<Ask, S, T>) -> Step<T> {
        match next {
            Ok(Turn::Ask(ask, at)) => {
                self.at = Some(at);
                Step::Ask(ask)
            }
            Ok(Turn::Done(output)) => Step::Done(Ok(output)),
            Err(error) => Step::Done(Err(error)),
        }
    }
}

impl<B, G, S, T> Conversation for Walk<B, G, S, T>
where
    B: FnMut() -> Next<Ask, S, T> + Send,
    G: FnMut(S, Told) -> Next<Ask, S, T> + Send,
    S: Send,
{
    type Output = T;

    fn start(&mut self) -> Step<T> {
        self.at = None;
        let next = (self.begin)();
        self.step(next)
    }

    fn told(&mut self, told: Told) -> Step<T> {
        let next = match self.at.take() {
            Some(at) => (self.go)(at, told),
            None => Err(unasked()),
        };
        self.step(next)
    }
}
