//! Which endings of which requests somebody may ask about.

use crate::{
    agent::{
        action::{Request, Rung},
        event::Outcome,
    },
    platform::Drained,
    record::IncidentKind,
};

/// What went wrong, and whose answer it was.
pub(super) fn trouble(request: Request, outcome: &Outcome) -> Option<(IncidentKind, String)> {
    let kind = match (request, outcome) {
        (Request::Prepare { .. }, Outcome::Denied(_)) => IncidentKind::BeforeRegisterFailed,
        (Request::FindHook, Outcome::NoHook) => {
            let detail = "when something else than this agent ends the instance, jobs have no time to finish";
            return Some((IncidentKind::NoHook, detail.into()));
        }
        (Request::ExtendHook, Outcome::NoHook) => {
            return Some((IncidentKind::HeartbeatRefused, "no termination hook waits".into()));
        }
        (Request::Drain, Outcome::Drained(Drained::Refused)) => {
            return Some((IncidentKind::DrainFailed, "the platform refuses".into()));
        }
        (Request::Register | Request::GetReady, Outcome::Failed(_) | Outcome::Rejected(_) | Outcome::Denied(_)) => {
            IncidentKind::RegistrationFailed
        }
        (Request::Drain, Outcome::Failed(_) | Outcome::Rejected(_) | Outcome::Denied(_) | Outcome::Alone(_)) => {
            IncidentKind::DrainFailed
        }
        (Request::Deregister, Outcome::Failed(_) | Outcome::Rejected(_) | Outcome::Denied(_)) => {
            IncidentKind::DeregistrationFailed
        }
        (Request::ExtendHook, Outcome::Failed(_) | Outcome::Rejected(_) | Outcome::Denied(_)) => {
            IncidentKind::HeartbeatRefused
        }
        (Request::End(_), Outcome::Failed(_) | Outcome::Rejected(_) | Outcome::Denied(_))
        | (
            Request::Describe
            | Request::GroupSize
            | Request::Protect(_)
            | Request::ExtendLaunchHook
            | Request::CompleteLaunchHook
            | Request::FindHook
            | Request::CompleteHook
            | Request::RecordReady
            | Request::RecordReason(_),
            Outcome::Denied(_),
        ) => IncidentKind::CloudRefused,
        _ => return None,
    };
    let (Outcome::Failed(why) | Outcome::Rejected(why) | Outcome::Denied(why) | Outcome::Alone(why)) = outcome else {
        return None;
    };
    let detail = if kind == IncidentKind::CloudRefused { format!("{}: {why}", words(request)) } else { why.clone() };
    Some((kind, detail))
}

/// A request in words.
pub(super) fn words(request: Request) -> &'static str {
    match request {
        Request::Save(_) | Request::NoteProof => "writing the journal",
        Request::Prepare { .. } => "running agent.before_register",
        Request::GetReady => "getting ready for the launch hook",
        Request::ExtendLaunchHook => "extending the launch hook",
        Request::CompleteLaunchHook => "answering the launch hook",
        Request::Register => "registering the runner",
        Request::Drain => "asking for no more jobs",
        Request::Undrain => "taking a drain back",
        Request::Abort { .. } => "failing the jobs",
        Request::Deregister => "removing the registration",
        Request::MakeRoom => "making room for jobs",
        Request::Probe => "asking all probes",
        Request::Describe => "asking for the instance's place in its group",
        Request::GroupSize => "asking for the group's room",
        Request::Protect(true) => "protecting the instance from scale-in",
        Request::Protect(false) => "lifting the protection from scale-in",
        Request::FindHook => "looking for the termination hook",
        Request::ExtendHook => "extending the termination hook",
        Request::CompleteHook => "answering the termination hook",
        Request::End(rung) => match rung {
            Rung::Abandon => "giving the launch up",
            Rung::Decrement => "ending the instance in its group, with decrement",
            Rung::Replace => "ending the instance in its group, without decrement",
            Rung::Unhealthy => "telling the group that the instance is unhealthy",
            Rung::Terminate => "terminating the machine",
            Rung::PowerOff => "switching the machine off",
        },
        Request::RecordReady => "writing on the instance that it is ready",
        Request::RecordReason(_) => "writing the reason on the instance",
    }
}
