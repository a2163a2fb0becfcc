//! Rows about what a machine image says of itself, and what must not be in one: every instance would have it, and whoever gets the image.

use super::{Facts, Judgement, Row, Scope, facts::Leftovers};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "image.says",
        scope: Scope::Both,
        meaning: "an image says when and for which platform it was built, in /usr/share/lightsout/image.json",
        remedy: "have the image's scripts write it (packer/README.md)",
        judge: |facts| match facts.software.baked.as_ref() {
            Some(Ok(baked)) => {
                let platform = baked.platform.as_deref().unwrap_or("no platform");
                let built = baked
                    .built
                    .map_or_else(|| "at an unknown time".into(), |at| format!("on {}", at.strftime("%Y-%m-%d")));
                let runner = baked.runner.as_ref().and_then(|runner| runner.version.as_deref());
                let runner = runner.map_or_else(String::new, |version| format!(", runner {version}"));
                Judgement::ok(format!("built {built} for {platform}{runner}"))
            }
            Some(Err(why)) => Judgement::wrong(why.clone()),
            None if facts.in_image() => Judgement::wrong("there is no /usr/share/lightsout/image.json"),
            // Not every instance is of an image of ours.
            None => None,
        },
    },
    Row {
        id: "image.platform",
        scope: Scope::Instance,
        meaning: "the instance works for the platform that its image was built for",
        remedy: "start from the image of this platform, or correct the settings",
        judge: |facts| {
            let baked = facts.software.baked.as_ref()?.as_ref().ok()?.platform.as_deref()?;
            let settings = facts.settings.settings.as_ref()?.platform.platform();
            if baked == settings {
                Judgement::ok(settings)
            } else {
                Judgement::wrong(format!("the settings say {settings}, and the image was built for {baked}"))
            }
        },
    },
    Row {
        id: "image.inline-secret",
        scope: Scope::Image,
        meaning: "no secret stands in the settings in the image",
        remedy: "say where the secret is ({ ssm = \"/name\" }), or write it with the user data",
        judge: |facts| {
            if facts.settings.inline_secret {
                Judgement::wrong("a secret of the platform stands in the settings")
            } else {
                Judgement::ok("none")
            }
        },
    },
    Row {
        id: "image.host-keys",
        scope: Scope::Image,
        meaning: "the image has no private key by which a machine is known",
        remedy: "rm these files: each instance makes its own at its first boot",
        judge: |facts| left(facts, |found| &found.host_keys),
    },
    Row {
        id: "image.machine-id",
        scope: Scope::Image,
        meaning: "the image has no machine id: the first boot makes one",
        remedy: "truncate --size=0 these files",
        judge: |facts| left(facts, |found| &found.machine_id),
    },
    Row {
        id: "image.agent-state",
        scope: Scope::Image,
        meaning: "no agent has run in the image: neither its journal nor a log of it is there",
        remedy: "stop lightsout-agent, and rm these files",
        judge: |facts| left(facts, |found| &found.agent),
    },
    Row {
        id: "image.credentials",
        scope: Scope::Image,
        meaning: "the image has no credentials of people or programs",
        remedy: "rm these files",
        judge: |facts| left(facts, |found| &found.credentials),
    },
    Row {
        id: "image.history",
        scope: Scope::Image,
        meaning: "the image has no history of what was typed",
        remedy: "rm these files",
        judge: |facts| left(facts, |found| &found.history),
    },
    Row {
        id: "image.first-boot",
        scope: Scope::Image,
        meaning: "the first boot of the build is forgotten: else user data is not read on an instance",
        remedy: "cloud-init clean --logs --seed",
        judge: |facts| left(facts, |found| &found.first_boot),
    },
];

fn left(facts: &Facts, which: impl FnOnce(&Leftovers) -> &Vec<String>) -> Option<Judgement> {
    match which(facts.left_in_image.as_ref()?).as_slice() {
        [] => Judgement::ok("none"),
        files => Judgement::wrong(files.join(", ")),
    }
}
