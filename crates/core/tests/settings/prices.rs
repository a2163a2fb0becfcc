//! Prices of machines: beside a scaler's settings or alone, and what each mistake says.

use lightsout_core::{cloud::Machine, settings::Prices};

use super::*;

const POOL: &str = "[[pool]]\ngroup = 'ci'\nplatform.command.queue = ['depth']\n";
const TABLE: &str = "[prices]\ncurrency = 'USD'\n[prices.machines]\n'm7i.large' = { on_demand = 0.1008, spot = 0.04 }\nbig.on_demand = 2\n";

fn machine(machine_type: &str, spot: impl Into<Option<bool>>) -> Machine {
    Machine { machine_type: Some(machine_type.into()), spot: spot.into() }
}

#[test]
fn a_machine_has_the_price_of_its_type_and_of_the_way_it_was_bought() {
    for text in [TABLE.to_owned(), format!("{TABLE}{POOL}tick = 'never'")] {
        let prices = Prices::parse(&one(&text)).unwrap_or_else(|problems| panic!("{problems}")).expect("prices");
        assert_eq!(prices.currency.as_deref(), Some("USD"));
        for (of, price, lacks) in [
            (machine("m7i.large", false), Some(0.1008), ""),
            (machine("m7i.large", true), Some(0.04), ""),
            (machine("big", false), Some(2.0), ""),
            (machine("big", true), None, "no prices.machines.\"big\".spot"),
            (machine("m7i.xlarge", false), None, "no prices.machines.\"m7i.xlarge\".on_demand"),
            (machine("m7i.large", None), None, "whether m7i.large was bought on demand or as spot"),
            (Machine { machine_type: None, spot: Some(true) }, None, "nothing tells the type"),
        ] {
            assert_eq!(prices.per_hour(&of), price, "{of:?}");
            assert!(price.is_some() || prices.lacks(&of).contains(lacks), "{}", prices.lacks(&of));
        }
    }
}

#[test]
fn a_scaler_reads_them_and_says_what_is_wrong_with_them() {
    assert!(ScalerSettings::parse(&one(&format!("{TABLE}{POOL}"))).is_ok());
    for (line, problem) in [
        (
            "currency = 3",
            "prices.currency = 3: expected text that is not empty; write it in quotes: currency = \"...\"",
        ),
        ("machine = 1", "prices.machine is not a setting; did you mean machines?"),
        ("machines = 1", "prices.machines = 1: expected a table; write its keys below a line [prices.machines]"),
        (
            "machines.'m7i.large' = 0.1",
            "prices.machines.\"m7i.large\" = 0.1: expected a table of on_demand, spot, or both; write \"m7i.large\" = { on_demand = 0.1008, spot = 0.0403 }",
        ),
        (
            "machines.m7i.large.spot = 0.1",
            "prices.machines.\"m7i\" = {...}: has tables below it, as a type does whose name has a dot; put the type in quotes: \"m7i.large\" = \
             { on_demand = 0.1008, spot = 0.0403 }",
        ),
        (
            "machines.'m7i.large' = {}",
            "prices.machines.\"m7i.large\".on_demand is missing: what an hour of it costs; write \"m7i.large\" = { on_demand = 0.1008, spot = 0.0403 }",
        ),
        ("machines.'m7i.large'.spto = 0.1", "prices.machines.\"m7i.large\".spto is not a setting; did you mean spot?"),
        (
            "machines.'m7i.large'.spot = '0.1'",
            "prices.machines.\"m7i.large\".spot = \"0.1\": expected a number from 0 to 1000000000; leave out the quotes: spot = 0.1",
        ),
        (
            "machines.'m7i.large'.spot = -0.1",
            "prices.machines.\"m7i.large\".spot = -0.1: expected a number from 0 to 1000000000; write for example spot = 0.1008",
        ),
        (
            "machines.'m7i.large'.spot = nan",
            "prices.machines.\"m7i.large\".spot = nan: expected a number from 0 to 1000000000; write for example spot = 0.1008",
        ),
    ] {
        let expected = [format!("f.toml:2: {problem}")];
        let text = format!("[prices]\n{line}\n");
        assert_eq!(problems(Prices::parse(&one(&text))), expected, "{line}");
        assert_eq!(problems(ScalerSettings::parse(&one(&format!("{text}{POOL}")))), expected, "{line}");
    }
}

#[test]
fn settings_without_prices_are_no_table_of_prices() {
    assert_eq!(Prices::parse(&one(POOL)), Ok(None));
}

#[test]
fn an_agent_reads_the_same_table_and_shows_what_is_in_force() {
    const RUNNER: &str = "[platform.command]\nrun = ['/bin/run']\nbusy = ['/bin/busy']\n";
    let settings =
        AgentSettings::parse(&one(&format!("{TABLE}{RUNNER}"))).unwrap_or_else(|problems| panic!("{problems}"));
    let prices = settings.prices.expect("prices");
    assert_eq!(prices.per_hour(&machine("m7i.large", true)), Some(0.04));
    assert_eq!(AgentSettings::parse(&one(RUNNER)).map(|settings| settings.prices), Ok(None));
    assert_eq!(
        problems(AgentSettings::parse(&one(&format!("[prices]\nmachines.big.spto = 1\n{RUNNER}")))),
        ["f.toml:2: prices.machines.\"big\".spto is not a setting; did you mean spot?"]
    );
    let (all, _) = in_force(&one(&format!("{TABLE}{RUNNER}")), &[]).expect("they can work");
    let shown: Vec<_> =
        all.iter().filter(|it| it.key.starts_with("prices")).map(|it| format!("{} = {}", it.key, it.value)).collect();
    assert_eq!(
        shown,
        [
            "prices.currency = \"USD\"",
            "prices.machines.\"big\".on_demand = 2",
            "prices.machines.\"big\".spot = none",
            "prices.machines.\"m7i.large\".on_demand = 0.1008",
            "prices.machines.\"m7i.large\".spot = 0.04"
        ]
    );
}
