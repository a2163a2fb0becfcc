//! What an agent says about itself, read leniently: the file belongs to the agent.

use lightsout_localcloud::fleet::InstanceView;

/// The agent's phase, such as `idle`; none before its first word.
pub(crate) fn phase(instance: &InstanceView) -> Option<String> {
    text(instance, "phase")
}

/// Why the instance leaves or left: the agent's reason, else the cloud's.
pub(crate) fn leaving(instance: &InstanceView) -> Option<String> {
    text(instance, "why").or_else(|| instance.cause.clone())
}

/// The last thing that the agent wants an operator to know.
pub(crate) fn note(instance: &InstanceView) -> Option<String> {
    text(instance, "note")
}

fn text(instance: &InstanceView, key: &str) -> Option<String> {
    Some(instance.agent.as_ref()?.0.get(key)?.as_str()?.to_owned())
}
