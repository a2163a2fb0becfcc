//! The table of all metrics.

use super::{Dimension, Id, Kind, Label, Metric, Panel, Program, Unit};

/// From a second to eight hours: waits and jobs alike.
const JOBS: Kind = Kind::Histogram(&[
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0,
]);
const BOOT: Kind = Kind::Histogram(&[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0]);
const TICK: Kind = Kind::Histogram(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);

const RUN_STATE: Dimension =
    Dimension { label: Label::State, attribute: "cicd.pipeline.run.state", values: &["pending", "executing"] };
const WAIT_SOURCE: &[&str] = &["platform", "first_seen"];
const LEAVE_REASON: Dimension = Dimension {
    label: Label::Reason,
    attribute: "lightsout.reason",
    values: &[
        "idle",
        "limit",
        "age",
        "runner-expired",
        "operator",
        "rebalance",
        "maintenance",
        "scale-in",
        "spot",
        "broken",
    ],
};

const fn state(values: &'static [&'static str]) -> Dimension {
    Dimension { label: Label::State, attribute: "lightsout.state", values }
}

const fn source(values: &'static [&'static str]) -> Dimension {
    Dimension { label: Label::Source, attribute: "lightsout.source", values }
}

const fn scaler(id: Id, name: &'static str, panel: Panel, kind: Kind, unit: Unit, help: &'static str) -> Metric {
    Metric { id, name, kind, unit, dimensions: &[], program: Program::Scaler, panel, help }
}

const fn agent(id: Id, name: &'static str, panel: Panel, kind: Kind, unit: Unit, help: &'static str) -> Metric {
    Metric { id, name, kind, unit, dimensions: &[], program: Program::Agent, panel, help }
}

const INSTANCE: Unit = Unit::Of("instance");
const JOB: Unit = Unit::Of("job");

/// Every metric, in the order of [`Id`].
pub const METRICS: &[Metric] = &[
    Metric {
        dimensions: &[RUN_STATE],
        ..scaler(
            Id::Jobs,
            "cicd.pipeline.run.active",
            Panel::Jobs,
            Kind::Gauge,
            Unit::Of("run"),
            "Jobs that wait or run, as the platform tells",
        )
    },
    Metric {
        dimensions: &[RUN_STATE, source(&["platform", "first_seen", "agent"])],
        program: Program::Both,
        ..scaler(
            Id::JobDuration,
            "cicd.pipeline.run.duration",
            Panel::Jobs,
            JOBS,
            Unit::Seconds,
            "How long jobs waited (pending, of the scaler: by the platform's time stamps, or from when they were first seen) and ran (executing, of the agent)",
        )
    },
    Metric {
        dimensions: &[source(WAIT_SOURCE)],
        ..scaler(
            Id::OldestWait,
            "lightsout.queue.oldest",
            Panel::Jobs,
            Kind::Gauge,
            Unit::Seconds,
            "For how long the job has been waiting that waits longest; 0 when none waits",
        )
    },
    scaler(
        Id::Need,
        "lightsout.pool.need",
        Panel::Capacity,
        Kind::Gauge,
        INSTANCE,
        "Instances that the jobs need, before any limit",
    ),
    scaler(
        Id::Desired,
        "lightsout.pool.desired",
        Panel::Capacity,
        Kind::Gauge,
        INSTANCE,
        "The group's desired capacity, as it was read or raised last",
    ),
    scaler(
        Id::Max,
        "lightsout.pool.max",
        Panel::Capacity,
        Kind::Gauge,
        INSTANCE,
        "The most instances that the pool may have",
    ),
    Metric {
        dimensions: &[Dimension {
            label: Label::Reason,
            attribute: "lightsout.reason",
            values: &["maximum", "futile"],
        }],
        ..scaler(
            Id::Unmet,
            "lightsout.pool.unmet",
            Panel::Capacity,
            Kind::Gauge,
            INSTANCE,
            "Instances that jobs would need and that are not raised: the pool is at its maximum, or raises for these jobs were in vain",
        )
    },
    scaler(
        Id::Silent,
        "lightsout.pool.silent",
        Panel::Capacity,
        Kind::Gauge,
        INSTANCE,
        "Instances of the desired capacity that neither took a waiting job nor left in silent_after",
    ),
    Metric {
        dimensions: &[state(&["raised", "would_raise", "queued", "failed"])],
        ..scaler(
            Id::Raises,
            "lightsout.raises",
            Panel::Capacity,
            Kind::Counter,
            Unit::Of("raise"),
            "Raises of the desired capacity, and what became of them",
        )
    },
    scaler(
        Id::Launches,
        "lightsout.launches",
        Panel::Capacity,
        Kind::Counter,
        INSTANCE,
        "Instances that raises asked for",
    ),
    Metric {
        dimensions: &[Dimension {
            label: Label::Reason,
            attribute: "lightsout.reason",
            values: &["capacity", "quota", "key", "hook", "settings", "other", "suspended"],
        }],
        ..scaler(
            Id::FailedLaunches,
            "lightsout.launches.failed",
            Panel::Capacity,
            Kind::Gauge,
            INSTANCE,
            "Launches that failed in the last 10 minutes, by the group's own words, at most three; looked up while jobs wait and nothing comes of a raise",
        )
    },
    // An alarm of CloudWatch takes ten metrics, and the causes alone are seven.
    scaler(
        Id::FailingLaunches,
        "lightsout.launches.failing",
        Panel::Capacity,
        Kind::Gauge,
        INSTANCE,
        "All of these together, and one more while launches are suspended: more than 0 is bad whatever the cause",
    ),
    scaler(
        Id::RaiseWait,
        "lightsout.raise.wait",
        Panel::Capacity,
        JOBS,
        Unit::Seconds,
        "From the beginning of the tick that first saw that instances are missing until the capacity was raised",
    ),
    Metric {
        dimensions: &[state(&["held", "raised", "would_raise", "queued", "standby", "failed"])],
        ..scaler(
            Id::Ticks,
            "lightsout.ticks",
            Panel::Scaler,
            Kind::Counter,
            Unit::Of("tick"),
            "Ticks of a pool, and what became of them",
        )
    },
    scaler(
        Id::TickAge,
        "lightsout.tick.age",
        Panel::Scaler,
        Kind::Gauge,
        Unit::Seconds,
        "How long ago the pool's last good tick ended; from the program's start when there was none",
    ),
    scaler(
        Id::TickDuration,
        "lightsout.tick.duration",
        Panel::Scaler,
        TICK,
        Unit::Seconds,
        "How long a tick of a pool took",
    ),
    scaler(
        Id::PartialReadings,
        "lightsout.readings.partial",
        Panel::Scaler,
        Kind::Counter,
        Unit::Of("reading"),
        "Readings of the queue that were made in part",
    ),
    Metric {
        dimensions: &[
            Dimension {
                label: Label::Source,
                attribute: "cicd.system.component",
                values: &["queue", "group", "raise", "platform", "cloud"],
            },
            Dimension {
                label: Label::Reason,
                attribute: "error.type",
                values: &[
                    "unauthorized",
                    "forbidden",
                    "not_found",
                    "throttled",
                    "server",
                    "unreachable",
                    "timeout",
                    "malformed",
                    "refused",
                    "other",
                ],
            },
        ],
        program: Program::Both,
        ..scaler(
            Id::Errors,
            "cicd.system.errors",
            Panel::Scaler,
            Kind::Counter,
            Unit::Of("error"),
            "Calls that failed: the scaler's to read a queue, to read a group, to raise it; an agent's to the platform and to the cloud",
        )
    },
    Metric {
        dimensions: &[Dimension {
            label: Label::State,
            attribute: "cicd.worker.state",
            values: &["booting", "available", "busy", "draining"],
        }],
        ..agent(
            Id::Workers,
            "cicd.worker.count",
            Panel::Instances,
            Kind::Gauge,
            INSTANCE,
            "Instances by what they do: each agent counts itself, so add them up",
        )
    },
    Metric {
        dimensions: &[state(&[
            "kernel",
            "network",
            "system",
            "metadata",
            "tags",
            "before_register",
            "in_service",
            "secrets",
            "registered",
            "ready",
        ])],
        ..agent(
            Id::BootDuration,
            "lightsout.boot.duration",
            Panel::Instances,
            BOOT,
            Unit::Seconds,
            "How long each part of a boot took, up to ready for jobs",
        )
    },
    Metric {
        dimensions: &[state(&["booting", "idle", "busy", "draining"])],
        ..agent(
            Id::InstanceTime,
            "lightsout.instance.time",
            Panel::Instances,
            Kind::Counter,
            Unit::Seconds,
            "How long instances were booting, idle, busy and draining",
        )
    },
    Metric {
        dimensions: &[state(&["booting", "idle", "busy", "draining"])],
        ..agent(
            Id::InstanceCost,
            "lightsout.instance.cost",
            Panel::Instances,
            Kind::Counter,
            Unit::Money,
            "What that time cost, by the prices in the agent's settings",
        )
    },
    Metric {
        dimensions: &[LEAVE_REASON],
        ..agent(
            Id::Departures,
            "lightsout.departures",
            Panel::Instances,
            Kind::Counter,
            INSTANCE,
            "Instances that end themselves, and why",
        )
    },
    Metric {
        dimensions: &[LEAVE_REASON],
        ..agent(
            Id::JobsCut,
            "lightsout.jobs.cut",
            Panel::Jobs,
            Kind::Counter,
            JOB,
            "Jobs that were failed because their instance was about to be taken away",
        )
    },
    agent(
        Id::Cpu,
        "lightsout.instance.cpu",
        Panel::Load,
        Kind::Gauge,
        Unit::Ratio,
        "How much of its processors' time an instance used, since the last look",
    ),
    agent(
        Id::Memory,
        "lightsout.instance.memory",
        Panel::Load,
        Kind::Gauge,
        Unit::Ratio,
        "How much of its memory an instance uses",
    ),
    agent(
        Id::Disk,
        "lightsout.instance.disk",
        Panel::Load,
        Kind::Gauge,
        Unit::Ratio,
        "How full the file system of the agent's state folder is",
    ),
];

/// The metric of this name in the code.
pub fn metric(id: Id) -> &'static Metric {
    &METRICS[id as usize]
}

#[cfg(test)]
mod tests;
