//! Prints what comes of a made trace in a fleet with the shipped settings, for `tests/rules`, which changes the rules of the core beneath it.

use lightsout_simulate::{Fleet, LightsoutSettings, Setup, made, simulate};

fn main() {
    let outcome = simulate(&made(1, 600, 1), &Setup::default(), &Fleet::Lightsout(LightsoutSettings::default()));
    let seconds = outcome.seconds;
    println!(
        "launched {} booting {:.0} idle {:.0} busy {:.0} draining {:.0}",
        outcome.launched, seconds.booting, seconds.idle, seconds.busy, seconds.draining
    );
}
