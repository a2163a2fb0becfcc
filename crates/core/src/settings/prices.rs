//! `[prices]`: what an hour of each type of machine costs, on demand and as spot. Nothing is decided by it: an agent counts by it what its instance
//! costs, and what sums up fleets reads it among the scaler's settings.

use std::collections::BTreeMap;

use super::{
    Fragment, Key, Problems, Side,
    keys::names,
    reader::{Layer, Report, Section, wrong},
    tree::{Node, Table, Value, merged},
};
use crate::cloud::Machine;

/// The keys below `[prices]`.
pub const PRICES_KEYS: &[Key] = &[Key::optional(
    "currency",
    Side::Both,
    "text",
    "none",
    "what the prices are in, such as `\"USD\"`; it is shown, and nothing is converted",
)];

/// The keys of each type of machine, below `[prices.machines."TYPE"]`.
pub const MACHINE_PRICE_KEYS: &[Key] = &[
    Key::optional("on_demand", Side::Both, "number", "none", "what an hour of such a machine costs"),
    Key::optional("spot", Side::Both, "number", "none", "and of one that the cloud may take back"),
];

/// The most that an hour of a machine may cost, in whatever currency.
const MOST: f64 = 1e9;

/// Prices by the types of machines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// What they are in; `None`: not said.
    pub currency: Option<String>,
    machines: BTreeMap<String, MachinePrice>,
}

/// What an hour of one type costs; at least one of both is there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct MachinePrice {
    on_demand: Option<f64>,
    spot: Option<f64>,
}

impl Prices {
    /// Of settings of which everything else is for others: those of a scaler, or prices alone. `None`: they have no `[prices]`.
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse(fragments: &[Fragment]) -> Result<Option<Self>, Problems> {
        let table = merged(fragments).map_err(Problems)?;
        let report = Report::default();
        let root = Section::new(&report, vec![Layer::root(&table, fragments)], []);
        let prices = Self::below(&report, &root);
        report.finish()?;
        Ok(prices)
    }

    /// Those below this section, if it has any.
    pub(super) fn below(report: &Report, root: &Section<'_>) -> Option<Self> {
        root.has("prices").then(|| Self::read(report, root.children("prices").remove(0)))
    }

    /// What an hour of such a machine costs, as far as is known what it is and what that costs.
    pub fn per_hour(&self, machine: &Machine) -> Option<f64> {
        let price = self.machines.get(machine.machine_type.as_deref()?)?;
        if machine.spot? { price.spot } else { price.on_demand }
    }

    /// Why such a machine has no price, in words; for one that has none.
    pub fn lacks(&self, machine: &Machine) -> String {
        let Some(of) = &machine.machine_type else { return "nothing tells the type of the machine".to_owned() };
        match machine.spot {
            None => format!("nothing tells whether {of} was bought on demand or as spot"),
            Some(spot) => {
                let key = if spot { "spot" } else { "on_demand" };
                format!("there is no prices.machines.{of:?}.{key}")
            }
        }
    }

    fn read(report: &Report, layer: Layer<'_>) -> Self {
        let machines = layer.child(report, "machines");
        let s = Section::new(report, vec![layer], names(PRICES_KEYS, Side::Both).chain(["machines"]));
        let currency = s.text("currency");
        s.finish();
        let of = |(name, node): (&String, &Node)| Some((name.clone(), machine(report, name, node)?));
        Self { currency, machines: machines.table.into_iter().flatten().filter_map(of).collect() }
    }
}

fn machine(report: &Report, name: &str, node: &Node) -> Option<MachinePrice> {
    let path = format!("prices.machines.{name:?}");
    let example = format!("write {name:?} = {{ on_demand = 0.1008, spot = 0.0403 }}");
    let Value::Table(table) = &node.value else {
        report.problem(wrong(&path, node, "expected a table of on_demand, spot, or both", example));
        return None;
    };
    if let Some(longer) = split(name, table) {
        let remedy = format!("put the type in quotes: {longer:?} = {{ on_demand = 0.1008, spot = 0.0403 }}");
        report.problem(wrong(&path, node, "has tables below it, as a type does whose name has a dot", remedy));
        return None;
    }
    let layer = Layer { path, table: Some(table), place: Some(node.place.clone()) };
    let s = Section::new(report, vec![layer], names(MACHINE_PRICE_KEYS, Side::Both));
    let price = MachinePrice { on_demand: s.number("on_demand", 0.0..=MOST), spot: s.number("spot", 0.0..=MOST) };
    if table.is_empty() {
        s.missing("on_demand", "what an hour of it costs", example);
    }
    s.finish();
    Some(price)
}

/// The whole name of a type that stands without quotes, so that TOML takes its dot for the way to another table.
fn split(name: &str, table: &Table) -> Option<String> {
    let (below, node) = table.first_key_value()?;
    matches!(node.value, Value::Table(_)).then(|| format!("{name}.{below}"))
}
