//! A few permits for calls, of which the neediest gets the next one.

use std::{cell::RefCell, cmp::Reverse, collections::BTreeMap, rc::Rc};

use tokio::sync::oneshot;

/// So many calls at once. Whoever finds them all taken waits, and goes before everybody with a smaller need.
#[derive(Clone, Debug)]
pub(crate) struct CallPermits(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// By need, the largest first, and among equals who came first.
    waiting: BTreeMap<(Reverse<u64>, u64), oneshot::Sender<CallPermit>>,
    next: u64,
}

/// The right to make a call, until it is dropped.
#[derive(Debug)]
pub(crate) struct CallPermit(CallPermits);

impl CallPermits {
    /// So many, all free.
    pub(crate) fn new(count: usize) -> Self {
        Self(Rc::new(RefCell::new(State { free: count, waiting: BTreeMap::new(), next: 0 })))
    }

    /// Waits for one.
    pub(crate) async fn acquire(&self, need: u64) -> CallPermit {
        let turn = {
            let mut state = self.0.borrow_mut();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                return CallPermit(self.clone());
            }
            let (turn, wait) = oneshot::channel();
            let key = (Reverse(need), state.next);
            state.next += 1;
            state.waiting.insert(key, turn);
            wait
        };
        match turn.await {
            Ok(permit) => permit,
            // Its sender is only ever used: there is always one who holds the permits.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.0.borrow_mut();
            let next = loop {
                match state.waiting.pop_first() {
                    // It gave up waiting.
                    Some((_, next)) if next.is_closed() => {}
                    Some((_, next)) => break Some(next),
                    None => break None,
                }
            };
            if next.is_none() {
                state.free += 1;
            }
            next
        };
        // One that is not taken any more is dropped, and so goes to whoever is next.
        next.map(|next| next.send(CallPermit(self.0.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{FutureExt, future::join_all};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_neediest_goes_first_and_equals_in_turn() {
        let permits = CallPermits::new(1);
        let held = permits.acquire(0).await;
        let order = RefCell::new(Vec::new());
        let calls = [("few", 1), ("many", 9), ("many, later", 9), ("some", 4)].map(|(name, need)| {
            let (permits, order) = (&permits, &order);
            async move {
                let _permit = permits.acquire(need).await;
                order.borrow_mut().push(name);
            }
        });
        let mut all = Box::pin(join_all(calls));
        assert!(all.as_mut().now_or_never().is_none(), "the one permit is taken");
        drop(held);
        all.await;
        assert_eq!(order.into_inner(), ["many", "many, later", "some", "few"]);
    }

    #[tokio::test]
    async fn a_permit_is_not_lost_with_one_who_gave_up() {
        let permits = CallPermits::new(2);
        let (one, two) = (permits.acquire(0).await, permits.acquire(0).await);
        let soon = Duration::from_millis(10);
        assert!(timeout(soon, permits.acquire(5)).await.is_err(), "none is free");
        // Given its permit and then dropped, without ever having looked.
        let mut third = Box::pin(permits.acquire(3));
        assert!(third.as_mut().now_or_never().is_none());
        drop(one);
        drop(third);
        drop(two);
        let all = (permits.acquire(0).now_or_never(), permits.acquire(0).now_or_never());
        assert!(all.0.is_some() && all.1.is_some(), "both are free again");
        assert!(permits.acquire(0).now_or_never().is_none(), "and no third one came about");
    }
}
