//! Facts about what keeps jobs from the metadata service.

use lightsout_core::{
    doctor::facts::{Fact, GuardFacts, SettingsFacts},
    settings::MetadataGuard,
};
use rustix::process::geteuid;

use super::root::Root;
use crate::{metadata_guard, runner_user::RunnerUser};

/// Where packages put nft.
const NFT: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"];

/// Looks at the rules; in an image, at what puts them up.
pub(crate) async fn look(facts: &SettingsFacts, root: &Root, in_image: bool) -> Option<Fact<GuardFacts>> {
    if in_image {
        let off = facts.settings.as_ref().is_some_and(|settings| settings.metadata_guard == MetadataGuard::Off);
        return Some(Ok(match (off, NFT.iter().any(|path| root.has(path))) {
            (true, _) => GuardFacts::Off,
            (false, true) => GuardFacts::Ready,
            (false, false) => {
                GuardFacts::Open(vec!["there is no program nft, and without it nobody is refused".into()])
            }
        }));
    }
    let settings = facts.settings.as_ref()?;
    // Where nobody can be found out, the row of the runner's user says so.
    let user = RunnerUser::on(&root.0, &settings.runner_environment, geteuid().as_raw()).ok().flatten();
    metadata_guard::in_force(settings, user.as_ref()).await
}
