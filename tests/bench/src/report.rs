//! What was measured: values with their unit, and of many samples the median and the worst.

use std::fmt;

use serde::Serialize;

use crate::machine::Machine;

/// One measured thing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub median: f64,
    pub worst: f64,
    /// How many samples.
    pub samples: usize,
}

/// Everything that was measured, and where.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    figures: Vec<Figure>,
}

impl Report {
    /// An empty report of this machine.
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, figures: Vec::new() }
    }

    /// Adds what was measured, and returns the median; nothing without a sample. Says it on standard error, because the whole takes minutes.
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: &'static str, mut samples: Vec<f64>) -> Option<f64> {
        samples.sort_by(f64::total_cmp);
        let (Some(&median), Some(&worst)) = (samples.get(samples.len() / 2), samples.last()) else { return None };
        let figure = Figure { name: name.into(), unit, median, worst, samples: samples.len() };
        eprintln!("{}: {} {unit}", figure.name, number(figure.median));
        self.figures.push(figure);
        Some(median)
    }

    /// As one line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a report has only text keys")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
        writeln!(f, "{}\n", self.machine)?;
        writeln!(f, "| {:widest$} |     median |      worst | samples |", "measured")?;
        writeln!(f, "|-{}-|-----------:|-----------:|--------:|", "-".repeat(widest))?;
        self.figures.iter().try_for_each(|figure| {
            let with_unit = |value: f64| format!("{} {}", number(value), figure.unit);
            let (median, worst) = (with_unit(figure.median), with_unit(figure.worst));
            writeln!(f, "| {:widest$} | {median:>10} | {worst:>10} | {:>7} |", figure.name, figure.samples)
        })
    }
}

/// Three significant digits are enough for anything measured here.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_worst_of_the_samples_are_told() {
        let mut report = Report::new(Machine::default());
        assert_eq!(report.add("delay", "ms", vec![30.0, 10.0, 20.0]), Some(20.0));
        assert_eq!(report.add("nothing", "ms", Vec::new()), None);
        assert_eq!(report.figures.len(), 1);
        assert_eq!((report.figures[0].median, report.figures[0].worst), (20.0, 30.0));
        assert!(report.to_string().contains("|    20.0 ms |    30.0 ms |       3 |"), "{report}");
    }
}
