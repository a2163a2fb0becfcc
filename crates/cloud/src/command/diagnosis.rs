//! A look at what an instance of the program's cloud, or a group, depends on, for a diagnosis: `describe` is asked once, and nothing that changes anything.

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
        program: Some(ProgramFacts { capabilities, membership: Some(membership), group }),
        ..CloudFacts::default()
    };
    let Some(name) = identity.group else { return facts(Ok(Membership::Outside), None) };
    let program = CloudProgram::new(&settings.program);
    match program.read(Verb::Describe, &[&name], answer::parse::<Description>).await {
        Ok(described) => {
            let membership = described.membership(&identity.instance);
            facts(membership, Some(Ok(of_group(described, &name))))
        }
        Err(error) if error.kind == CloudErrorKind::NotFound => facts(Ok(Membership::Outside), None),
        Err(error) => facts(Err(error.to_string()), Some(Err(error.to_string()))),
    }
}

/// What the program says of a group, to a person. What it can do only an instance is told, by `whoami`.
pub(super) async fn group(program: &CloudProgram, name: &str) -> CloudFacts {
    let group = match program.read(Verb::Describe, &[name], answer::parse::<Description>).await {
        Ok(described) => of_group(described, name),
        Err(error) if error.kind == CloudErrorKind::NotFound => return CloudFacts::default(),
        // The program may be one of the scaler's machine, which this one need not be.
        Err(error) => return CloudFacts { group: Some(Err(error.to_string())), ..CloudFacts::default() },
    };
    let program = ProgramFacts { capabilities: CAPABILITIES, membership: None, group: Some(Ok(group)) };
    CloudFacts { group_name: Some(name.to_owned()), program: Some(program), ..CloudFacts::default() }
}

fn of_group(described: Description, name: &str) -> ProgramGroup {
    let view = described.view(name);
    ProgramGroup { min: view.min, max: view.max, desired: view.desired, versioned: view.version.is_some() }
}
