//! What has changed since a chart was drawn: a reader that has the one makes the other of it, without being sent all of it again.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Chart, ChartInstance, Cost, Pool, Reading, Waits};

/// What makes a [`Chart`] of the one before it. Instances without an end that are not among `lanes` did what they did before, until `to`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Update<'a> {
    /// When the new one begins.
    pub from: i64,
    /// When the new one ends.
    pub to: i64,
    /// Instances that are new, and those that did anything but go on; each takes its own place, which is that of its start, then of its name.
    pub lanes: Vec<&'a ChartInstance>,
    /// Each pool.
    pub pools: Vec<PoolUpdate<'a>>,
    pub cost: &'a [Cost],
    /// What could not be seen of instances.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub unseen: &'a [String],
}

/// What has changed of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolUpdate<'a> {
    pub pool: &'a str,
    /// So many of its readings are as they were, from the first on.
    pub kept: usize,
    /// What follows on them.
    pub readings: &'a [Reading],
    /// How jobs waited.
    pub waits: Waits,
    /// Whether it is drawn.
    pub drawn: bool,
}

impl Chart {
    /// What makes this chart of the one `before`. `None` where it does not go on from there, since an instance or a pool has been forgotten
    /// meanwhile, or its time has not gone on: then it is to be drawn anew.
    pub fn since(&self, before: &Self) -> Option<Update<'_>> {
        let (was, is) = (before.by_name(), self.by_name());
        let forgotten = was.0.keys().any(|it| !is.0.contains_key(it)) || was.1.keys().any(|it| !is.1.contains_key(it));
        if self.to < before.to || forgotten {
            return None;
        }
        let changed = |life: &&ChartInstance| {
            was.0.get(life.instance.as_str()).is_none_or(|before| before.gone_on(self.to) != **life)
        };
        let pools = self.pools.iter().map(|pool| {
            let was = was.1.get(pool.pool.as_str()).map_or(&[][..], |it| &it.readings);
            let kept = was.iter().zip(&pool.readings).take_while(|(was, is)| was == is).count();
            PoolUpdate {
                pool: &pool.pool,
                kept,
                readings: &pool.readings[kept..],
                waits: pool.waits,
                drawn: pool.drawn,
            }
        });
        Some(Update {
            from: self.from,
            to: self.to,
            lanes: self.lanes.iter().filter(changed).collect(),
            pools: pools.collect(),
            cost: &self.cost,
            unseen: &self.unseen,
        })
    }

    /// Instances and pools by their names.
    fn by_name(&self) -> (BTreeMap<&str, &ChartInstance>, BTreeMap<&str, &Pool>) {
        let lanes = self.lanes.iter().map(|life| (life.instance.as_str(), life));
        (lanes.collect(), self.pools.iter().map(|pool| (pool.pool.as_str(), pool)).collect())
    }
}

impl ChartInstance {
    /// The same life when nothing more happened until then.
    fn gone_on(&self, to: i64) -> Self {
        let mut life = self.clone();
        if life.end.is_none()
            && let Some(last) = life.spans.last_mut()
        {
            last.to = to;
        }
        life
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{at, fleet},
        *,
    };

    /// What a reader does with it; the page has the same in its script.
    fn taken_in(mut chart: Chart, update: &Update<'_>) -> Chart {
        let lanes: Vec<ChartInstance> = chart
            .lanes
            .iter()
            .filter(|life| update.lanes.iter().all(|new| new.instance != life.instance))
            .map(|life| life.gone_on(update.to))
            .chain(update.lanes.iter().map(|life| (*life).clone()))
            .collect();
        chart.lanes = lanes;
        chart.lanes.sort_by_key(|life| (life.spans[0].from, life.instance.clone()));
        let pool = |it: &PoolUpdate<'_>| {
            let was = chart.pools.iter().find(|pool| pool.pool == it.pool);
            let kept = was.map_or(&[][..], |pool| &pool.readings[..it.kept]);
            Pool { pool: it.pool.to_owned(), readings: [kept, it.readings].concat(), waits: it.waits, drawn: it.drawn }
        };
        let pools = update.pools.iter().map(pool).collect();
        Chart {
            from: update.from,
            to: update.to,
            pools,
            cost: update.cost.to_vec(),
            unseen: update.unseen.to_vec(),
            ..chart
        }
    }

    #[test]
    fn whoever_takes_in_each_update_has_the_chart_that_is_drawn_anew() {
        let evidence = fleet();
        let seconds = ["00:00", "00:05", "00:07", "00:10", "00:15", "00:16", "00:20", "00:31", "00:45", "00:52"];
        let mut had = Chart::new(&evidence, at(seconds[0]), |_, _| Some(1.0));
        for second in seconds {
            let anew = Chart::new(&evidence, at(second), |_, _| Some(1.0));
            had = taken_in(had.clone(), &anew.since(&had).expect("it goes on"));
            assert_eq!(had, anew, "at {second}");
        }
    }

    #[test]
    fn an_instance_that_only_goes_on_is_not_sent_again() {
        let at_once = Chart::new(&fleet(), at("00:45"), |_, _| None);
        let later = Chart::new(&fleet(), at("00:46"), |_, _| None);
        let update = later.since(&at_once).expect("it goes on");
        assert_eq!((update.lanes.len(), update.pools[0].kept, update.pools[0].readings.len()), (0, 4, 0));
        // Nor does what is said of it grow older by the second.
        let at_once = Chart::new(&fleet(), at("40:00"), |_, _| None);
        assert_eq!(Chart::new(&fleet(), at("40:01"), |_, _| None).since(&at_once).map(|it| it.lanes.len()), Some(0));
    }

    #[test]
    fn what_is_forgotten_is_no_update() {
        let before = Chart::new(&fleet(), at("00:45"), |_, _| None);
        let without = |forgotten: &str| {
            let mut evidence = fleet();
            evidence.retain(|it| it.said.of() != forgotten);
            Chart::new(&evidence, at("00:46"), |_, _| None)
        };
        assert!(without("nobody").since(&before).is_some());
        assert_eq!(without("i-2").since(&before), None);
        assert_eq!(without("linux").since(&before), None);
        assert_eq!(before.since(&without("nobody")), None);
    }
}
