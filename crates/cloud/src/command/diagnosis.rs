//! A look at what an instance of the program's cloud depends on, for a diagnosis: `describe` is asked once, and nothing that changes anything.

use lightsout_core::{
    cloud::{CloudErrorKind, Membership},
    doctor::facts::{CloudFacts, ProgramFacts, ProgramGroup},
};

use super::{
    CAPABILITIES,
    answer::{self, Description},
    program::{CloudProgram, Verb},
};
use crate::{HostSettings, Identity};

/// What the program says of this instance and of its group.
pub(super) async fn instance(identity: Identity, settings: HostSettings) -> CloudFacts {
    let capabilities = identity.capabilities.unwrap_or(CAPABILITIES);
    let facts = |membership, group| CloudFacts {
        program: Some(ProgramFacts { capabilities, membership, group }),
        ..CloudFacts::default()
    };
    let Some(name) = identity.group else { return facts(Ok(Membership::Outside), None) };
    let program = CloudProgram::new(&settings.program);
    match program.read(Verb::Describe, &[&name], answer::parse::<Description>).await {
        Ok(described) => {
            let membership = described.membership(&identity.instance);
            let view = described.view(&name);
            let versioned = view.version.is_some();
            let group = ProgramGroup { min: view.min, max: view.max, desired: view.desired, versioned };
            facts(membership, Some(Ok(group)))
        }
        Err(error) if error.kind == CloudErrorKind::NotFound => facts(Ok(Membership::Outside), None),
        Err(error) => facts(Err(error.to_string()), Some(Err(error.to_string()))),
    }
}
