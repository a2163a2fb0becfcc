//! The operator's own programs: the one before the runner registers, and the one that makes room.

use std::{collections::BTreeMap, sync::Arc};

use lightsout_core::{exchange::Text, platform::HostContext, settings::AgentSettings};
use lightsout_io::command_line::Failure;

use crate::{before_register::BeforeRegister, runner_user::own_variables, space::Cleaner};

/// The operator's own program for this boot. It finds what the runner finds in its environment, and where it is.
pub(super) fn before_register(
    settings: &AgentSettings,
    context: &HostContext,
    in_unit: bool,
) -> Result<Option<Arc<BeforeRegister>>, Failure> {
    let Some(argv) = settings.before_register.clone() else { return Ok(None) };
    let environment = environment(settings, context);
    let folder = settings.socket.with_file_name("before-register");
    let program = BeforeRegister::new(argv, environment, in_unit, folder);
    match program {
        Ok(program) => Ok(Some(Arc::new(program))),
        Err(error) => Err(Failure::Failed(format!("cannot tell which boot this is: {error}"))),
    }
}

/// The operator's own program that makes room, with the same in its environment.
pub(super) fn cleaner(settings: &AgentSettings, context: &HostContext, unit: bool) -> Option<Cleaner> {
    let argv = settings.clean.clone()?;
    let output = settings.socket.with_file_name("clean.output");
    Some(Cleaner { argv, environment: environment(settings, context), unit, output })
}

/// What an operator's own program finds in its environment.
fn environment(settings: &AgentSettings, context: &HostContext) -> BTreeMap<String, Text> {
    let own =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    settings.runner_environment.environment(own, own_variables(), &context.variables())
}
