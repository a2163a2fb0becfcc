//! Exchanges of several questions, written as one function from what came to what is next.

use std::marker::PhantomData;

use crate::exchange::{Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep};

/// What is next: a question and where we are while it is open, or the end.
pub(super) enum Transition<A, S, T> {
    /// Perform this, then go on from here.
    Perform(A, S),
    /// It is over.
    Done(T),
}

/// What a transition comes to.
pub(super) type Next<A, S, T> = Result<Transition<A, S, T>, ExchangeError>;

/// An exchange that opens with `first` and goes on with `next`.
pub(super) fn steps<S: Send + 'static, T: 'static>(
    first: impl FnMut() -> Next<Effect, S, T> + Send + 'static,
    next: impl FnMut(S, EffectResult) -> Next<Effect, S, T> + Send + 'static,
) -> Call<T> {
    Box::new(Steps { first, next, at: None, output: PhantomData })
}

/// An answer that came without a question.
pub(super) fn unasked() -> ExchangeError {
    ExchangeError::new(
        ErrorKind::Malformed,
        "an answer came that nobody asked for; nothing is concluded from this answer",
    )
}

struct Steps<B, G, S, T> {
    first: B,
    next: G,
    at: Option<S>,
    output: PhantomData<fn() -> T>,
}

impl<B, G, S, T> Steps<B, G, S, T> {
    fn step(&mut self, next: Next<Effect, S, T>) -> ExchangeStep<T> {
        match next {
            Ok(Transition::Perform(ask, at)) => {
                self.at = Some(at);
                ExchangeStep::perform(ask)
            }
            Ok(Transition::Done(output)) => ExchangeStep::Done(Ok(output)),
            Err(error) => ExchangeStep::Done(Err(error)),
        }
    }
}

impl<B, G, S, T> Exchange for Steps<B, G, S, T>
where
    B: FnMut() -> Next<Effect, S, T> + Send,
    G: FnMut(S, EffectResult) -> Next<Effect, S, T> + Send,
    S: Send,
{
    type Output = T;

    fn start(&mut self) -> ExchangeStep<T> {
        self.at = None;
        let next = (self.first)();
        self.step(next)
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<T> {
        let next = match self.at.take() {
            Some(at) => (self.next)(at, result),
            None => Err(unasked()),
        };
        self.step(next)
    }
}
