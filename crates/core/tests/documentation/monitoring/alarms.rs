//! The six alarms.

use lightsout_core::metrics::Program;

/// One alarm, for Prometheus and for CloudWatch.
pub(super) struct Alarm {
    pub(super) name: &'static str,
    /// What is wrong, as a sentence without its end. `POOL` is the pool's name.
    pub(super) what: &'static str,
    /// What to do, with the command to run next: `EXPLAIN` and `LOOK` stand for those that are called otherwise elsewhere.
    pub(super) next: &'static str,
    /// Whose records tell what is wrong.
    pub(super) records: Program,
    pub(super) severity: &'static str,
    /// In PromQL; `FRESH` stands for pools whose scaler works.
    pub(super) expression: &'static str,
    /// How long that must hold.
    pub(super) lasting: &'static str,
    /// In CloudWatch's metric math: 1 or more is bad. The metrics that it names, by id: name and statistic.
    pub(super) math: &'static str,
    pub(super) metrics: &'static [(&'static str, &'static str, &'static str)],
    /// In seconds, and how many of them in a row.
    pub(super) period: (u32, u32),
    /// What it means that there is no data.
    pub(super) silence: &'static str,
    /// In Azure's query language, of what `DECISIONS` or `DEPARTURES` give: a row is bad. Over how many minutes it looks.
    pub(super) kusto: &'static str,
    pub(super) window: u32,
}

/// A pool whose ticks go well: what is known of another is old, and its own alarm says so.
pub(super) const FRESH: &str = "(min by (pool) (lightsout_tick_age_seconds) < 300)";

impl Alarm {
    /// What is wrong and what to do, with these words for `POOL`, `EXPLAIN` and `LOOK`.
    pub(super) fn says(&self, pool: &str, explain: &str, look: &str) -> (String, String) {
        let said = |text: &str| text.replace("EXPLAIN", explain).replace("LOOK", look).replace("POOL", pool);
        (said(self.what), said(self.next))
    }
}

const OLDEST: [(&str, &str, &str); 2] = [
    ("oldest_a", "lightsout.queue.oldest.platform", "Maximum"),
    ("oldest_b", "lightsout.queue.oldest.first_seen", "Maximum"),
];
const UNMET: [(&str, &str, &str); 2] =
    [("unmet_a", "lightsout.pool.unmet.maximum", "Minimum"), ("unmet_b", "lightsout.pool.unmet.futile", "Minimum")];

pub(super) const ALARMS: &[Alarm] = &[
    Alarm {
        name: "LightsoutJobsWaitAndNothingIsRaised",
        what: "Jobs of POOL have been waiting for more than 10 minutes, need more instances than are desired, and nothing was raised",
        next: "Run EXPLAIN: a dry run, a cooldown, a second scaler, or raises that fail",
        records: Program::Scaler,
        severity: "critical",
        expression: "max by (pool) (lightsout_queue_oldest_seconds) > 600\n\
                     and on (pool) (max by (pool) (lightsout_pool_need) > on (pool) max by (pool) (lightsout_pool_desired))\n\
                     and on (pool) (sum by (pool) (increase(lightsout_raises_total{state=\"raised\"}[10m])) == 0)\n\
                     and on (pool) FRESH\n\
                     unless on (pool) (sum by (pool) (lightsout_pool_unmet) > 0)",
        lasting: "5m",
        math: "IF(MAX([FILL(oldest_a,0),FILL(oldest_b,0)]) > 600 AND need > desired AND FILL(raised,0) == 0 AND FILL(unmet_a,0) + FILL(unmet_b,0) == 0, 1, 0)",
        metrics: &[
            OLDEST[0],
            OLDEST[1],
            ("need", "lightsout.pool.need", "Minimum"),
            ("desired", "lightsout.pool.desired", "Maximum"),
            ("raised", "lightsout.raises.raised", "Sum"),
            UNMET[0],
            UNMET[1],
        ],
        period: (300, 3),
        silence: "notBreaching",
        kusto: "summarize looks = count(), bad = countif(toint(r.why.queued) > 0 and toint(r.why.need) > toint(r.why.desired) and r.result != \"raised\" and UNLIMITED) by pool\n\
                | where looks > 1 and bad == looks",
        window: 15,
    },
    Alarm {
        name: "LightsoutRaisedAndNothingComes",
        what: "As many instances as the jobs of POOL need are desired, and yet a job has been waiting for more than 15 minutes, or instances are silent, or launches fail",
        next: "Run EXPLAIN: no capacity, a quota, a key, or instances that boot and never register",
        records: Program::Scaler,
        severity: "critical",
        expression: "(\n\
                     \x20 max by (pool) (lightsout_queue_oldest_seconds) > 900\n\
                     \x20 and on (pool) (max by (pool) (lightsout_pool_need) > 0)\n\
                     \x20 and on (pool) (max by (pool) (lightsout_pool_desired) >= on (pool) max by (pool) (lightsout_pool_need))\n\
                     \x20 and on (pool) (max by (pool) (cicd_pipeline_run_active{state=\"executing\"}) >= 0)\n\
                     \x20 or on (pool) max by (pool) (lightsout_pool_silent) > 0\n\
                     \x20 or on (pool) sum by (pool) (lightsout_launches_failed) > 0\n\
                     )\n\
                     and on (pool) FRESH\n\
                     unless on (pool) (sum by (pool) (lightsout_pool_unmet) > 0)",
        lasting: "5m",
        math: "IF((MAX([FILL(oldest_a,0),FILL(oldest_b,0)]) > 900 AND need > 0 AND desired >= need AND FILL(running,-1) >= 0 OR silent > 0 OR failing > 0) AND FILL(unmet_a,0) + FILL(unmet_b,0) == 0, 1, 0)",
        metrics: &[
            OLDEST[0],
            OLDEST[1],
            ("need", "lightsout.pool.need", "Minimum"),
            ("desired", "lightsout.pool.desired", "Minimum"),
            // Where the platform does not tell how many run, instances may be busy.
            ("running", "cicd.pipeline.run.active.executing", "Minimum"),
            ("silent", "lightsout.pool.silent", "Minimum"),
            ("failing", "lightsout.launches.failing", "Minimum"),
            UNMET[0],
            UNMET[1],
        ],
        period: (300, 2),
        silence: "notBreaching",
        kusto: "summarize looks = count(), bad = countif(toint(r.why.queued) > 0 and toint(r.why.need) > 0 and toint(r.why.desired) >= toint(r.why.need) and isnotnull(toint(r.why.running)) and UNLIMITED), \
                running = dcount(toint(r.why.running)), silent = countif(toint(r.why.outlook.silent) > 0), failing = countif(array_length(r.failed_launches) > 0) by pool\n\
                | where looks > 1 and (bad == looks and running == 1 or silent == looks or failing == looks)",
        window: 15,
    },
    Alarm {
        name: "LightsoutInstancesLeaveAsBroken",
        what: "Two or more instances of POOL left as broken within half an hour",
        next: "Run EXPLAIN, and `lightsout-agent doctor` on one that boots",
        records: Program::Agent,
        severity: "critical",
        expression: "sum by (pool) (max_over_time(lightsout_departures_total{reason=\"broken\"}[30m])) >= 2",
        lasting: "0m",
        math: "IF(FILL(broken,0) >= 2, 1, 0)",
        metrics: &[("broken", "lightsout.departures.broken", "Sum")],
        period: (1800, 1),
        silence: "notBreaching",
        kusto: "where r.reason == \"broken\"\n| summarize instances = dcount(tostring(r.instance)) by group = tostring(r.group)\n| where instances >= 2",
        window: 30,
    },
    Alarm {
        name: "LightsoutUnmetDemand",
        what: "Jobs of POOL have needed more instances than may be raised for a quarter of an hour: the pool is at its maximum, or raises for them are in vain",
        next: "Run EXPLAIN, then raise the maximum, or mend the tags of the jobs that nobody takes",
        records: Program::Scaler,
        severity: "warning",
        expression: "sum by (pool) (lightsout_pool_unmet) > 0\nand on (pool) FRESH",
        lasting: "15m",
        math: "IF(FILL(unmet_a,0) + FILL(unmet_b,0) > 0, 1, 0)",
        metrics: &UNMET,
        period: (300, 3),
        silence: "notBreaching",
        kusto: "summarize looks = count(), bad = countif(not(UNLIMITED)) by pool\n| where looks > 1 and bad == looks",
        window: 15,
    },
    Alarm {
        name: "LightsoutScalerIsSilent",
        what: "No tick of POOL went well for 5 minutes: nothing is raised for its jobs",
        next: "Run LOOK",
        records: Program::Scaler,
        severity: "critical",
        expression: "min by (pool) (lightsout_tick_age_seconds) > 300\nor absent(lightsout_tick_age_seconds)",
        lasting: "1m",
        math: "IF(FILL(held,0) + FILL(raised,0) + FILL(queued,0) + FILL(standby,0) + FILL(would_raise,0) < 1, 1, 0)",
        metrics: &[
            ("held", "lightsout.ticks.held", "Sum"),
            ("raised", "lightsout.ticks.raised", "Sum"),
            ("queued", "lightsout.ticks.queued", "Sum"),
            ("standby", "lightsout.ticks.standby", "Sum"),
            ("would_raise", "lightsout.ticks.would_raise", "Sum"),
        ],
        period: (60, 5),
        silence: "breaching",
        kusto: "summarize good = countif(r.result in (\"held\", \"raised\", \"queued\", \"standby\", \"would_raise\"))\n| where good == 0",
        window: 10,
    },
    Alarm {
        name: "LightsoutSpotStorm",
        what: "Three or more instances of POOL left within half an hour because of spot interruptions, or because these were likely",
        next: "Run EXPLAIN, then give the group more instance types and zones, or some on-demand capacity",
        records: Program::Agent,
        severity: "warning",
        expression: "sum by (pool) (max_over_time(lightsout_departures_total{reason=~\"spot|rebalance\"}[30m])) >= 3",
        lasting: "0m",
        math: "IF(FILL(spot,0) + FILL(rebalance,0) >= 3, 1, 0)",
        metrics: &[
            ("spot", "lightsout.departures.spot", "Sum"),
            ("rebalance", "lightsout.departures.rebalance", "Sum"),
        ],
        period: (1800, 1),
        silence: "notBreaching",
        kusto: "where r.reason in (\"spot\", \"rebalance\")\n| summarize instances = dcount(tostring(r.instance)) by group = tostring(r.group)\n| where instances >= 3",
        window: 30,
    },
];
