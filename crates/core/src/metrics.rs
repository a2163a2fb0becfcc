//! Every metric of agent and scaler, in one place: what it is called, what it means, and how it is shown.
//!
//! [`METRICS`] is the table. A [`Registry`] holds the values of one program, for each pool a fixed number of them: labels have closed sets of values,
//! so that nothing that somebody names (a job, an instance, a branch) can make the number of series grow. [`ScalerMeter`] and [`AgentMeter`] turn
//! what the programs see into values; [`prometheus`] and [`emf`] render them, and crates/io as OTLP. All of it is pure: time comes in as a number.
//!
//! Names are those of OpenTelemetry's semantic conventions for CI/CD where these have one
//! (<https://opentelemetry.io/docs/specs/semconv/cicd/cicd-metrics/>), and begin with `lightsout.` elsewhere.

mod agent;
pub mod emf;
mod first_seen;
mod histogram;
pub mod prometheus;
mod reasons;
mod registry;
mod scaler;
mod table;

pub use agent::{AgentMeter, Load};
pub use histogram::Histogram;
pub use reasons::{cloud_reason, platform_reason};
pub use registry::{Registry, Sample, Value};
pub use scaler::{ScalerMeter, TickExtras};
pub use table::{METRICS, metric};

/// Names a metric in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    Jobs,
    JobDuration,
    OldestWait,
    Need,
    Desired,
    Max,
    Unmet,
    Silent,
    Raises,
    Launches,
    FailedLaunches,
    FailingLaunches,
    RaiseWait,
    Ticks,
    TickAge,
    TickDuration,
    PartialReadings,
    Errors,
    Workers,
    BootDuration,
    InstanceTime,
    InstanceCost,
    Departures,
    JobsCut,
    Cpu,
    Memory,
    Disk,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows, from 0 at the program's start.
    Counter,
    /// It is as it is now.
    Gauge,
    /// How often a measured value was at most each of these; values above the last one count, too.
    Histogram(&'static [f64]),
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    /// From 0 for nothing to 1 for all.
    Ratio,
    /// Money, in the currency of whoever wrote the prices.
    Money,
    /// Things of this name, one of them, as UCUM's annotations have it.
    Of(&'static str),
}

/// Which program has a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Scaler,
    Agent,
    /// Both, each with label values of its own.
    Both,
}

/// Where a metric stands on a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Panel {
    /// How jobs fare.
    Jobs,
    /// What the scaler does about it.
    Capacity,
    /// Whether the scaler can do its work.
    Scaler,
    /// What becomes of instances.
    Instances,
    /// How loaded they are.
    Load,
}

impl Panel {
    pub fn title(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::Capacity => "Capacity",
            Self::Scaler => "Scaler",
            Self::Instances => "Instances",
            Self::Load => "Load",
        }
    }
}

/// The labels that there are beside the pool, which every metric has. Nothing else may become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// What something is doing.
    State,
    Reason,
    /// Where it was seen.
    Source,
}

impl Label {
    /// Its name in Prometheus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Reason => "reason",
            Self::Source => "source",
        }
    }
}

/// A label of a metric, and all values that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension {
    /// Which label.
    pub label: Label,
    /// OpenTelemetry's attribute for it.
    pub attribute: &'static str,
    pub values: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    pub id: Id,
    /// Its name in OpenTelemetry's form.
    pub name: &'static str,
    /// What kind of number.
    pub kind: Kind,
    pub unit: Unit,
    /// Its labels beside the pool.
    pub dimensions: &'static [Dimension],
    /// Who has it.
    pub program: Program,
    /// Where it stands on a dashboard.
    pub panel: Panel,
    /// What it says, as a sentence without its end.
    pub help: &'static str,
}

impl Metric {
    /// How many series a pool has of it, at most.
    pub fn series(&self) -> usize {
        self.dimensions.iter().map(|dimension| dimension.values.len()).product()
    }

    /// The labels of the series at this place, from 0 to [`Self::series`].
    pub fn labels(&self, mut place: usize) -> Vec<(Dimension, &'static str)> {
        let mut labels = Vec::with_capacity(self.dimensions.len());
        for dimension in self.dimensions.iter().rev() {
            labels.push((*dimension, dimension.values[place % dimension.values.len()]));
            place /= dimension.values.len();
        }
        labels.reverse();
        labels
    }

    /// The place of the series with these values, one for each dimension in order; `None` for a value that is not in the table.
    pub(crate) fn place(&self, values: &[&str]) -> Option<usize> {
        if values.len() != self.dimensions.len() {
            return None;
        }
        self.dimensions.iter().zip(values).try_fold(0, |place, (dimension, value)| {
            Some(place * dimension.values.len() + dimension.values.iter().position(|known| known == value)?)
        })
    }

    /// The unit as UCUM writes it, for OpenTelemetry.
    pub fn ucum(&self) -> String {
        match self.unit {
            Unit::Seconds => "s".into(),
            Unit::Ratio => "1".into(),
            Unit::Money => "{currency}".into(),
            Unit::Of(what) => format!("{{{what}}}"),
        }
    }
}
