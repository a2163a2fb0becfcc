//! An exchange of which what it finds out is put otherwise.

use super::{Call, EffectId, EffectResult, Exchange, ExchangeStep};

/// The same exchange, with what it finds out put otherwise.
pub(crate) fn map<T: 'static, U: 'static>(call: Call<T>, put: fn(T) -> U) -> Call<U> {
    Box::new(Mapped { call, put })
}

struct Mapped<T, U> {
    call: Call<T>,
    put: fn(T) -> U,
}

impl<T, U> Mapped<T, U> {
    fn put(&self, step: ExchangeStep<T>) -> ExchangeStep<U> {
        match step {
            ExchangeStep::Perform(id, effect) => ExchangeStep::Perform(id, effect),
            ExchangeStep::Wait => ExchangeStep::Wait,
            ExchangeStep::Done(found) => ExchangeStep::Done(found.map(self.put)),
        }
    }
}

impl<T, U> Exchange for Mapped<T, U> {
    type Output = U;

    fn start(&mut self) -> ExchangeStep<U> {
        let step = self.call.start();
        self.put(step)
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<U> {
        let step = self.call.resume(id, result);
        self.put(step)
    }

    fn more(&mut self) -> ExchangeStep<U> {
        let step = self.call.more();
        self.put(step)
    }

    fn cut(&mut self) -> Option<U> {
        self.call.cut().map(self.put)
    }
}
