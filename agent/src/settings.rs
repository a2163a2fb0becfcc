//! Reads the settings, from the files and the instance's tags: at the start, and again when a signal says so.

use std::{env, path::PathBuf, slice, time::Duration};

use lightsout_cloud::{Notices, find_cloud};
use lightsout_core::settings::{AgentSettings, Fragment, Problems, TAG_PREFIX, in_force};
use lightsout_io::files;

/// How long `lightsout-agent settings` waits for the tags.
const TAGS: Duration = Duration::from_secs(3);
/// How often settings that cannot work are read again: as often as systemd would start the agent again.
const AGAIN: Duration = Duration::from_secs(2);

/// The tags of an instance that may hold settings, names and values.
pub(crate) type Tags = Vec<(String, String)>;

/// Reads and checks the settings. Tags that cannot work are left out, and an error in the log: who may tag an instance must not be able to keep
/// its agent from beginning.
///
/// # Errors
/// With a text for the operator that names every problem of the files.
pub(crate) fn load(paths: &[PathBuf], tags: &Tags) -> Result<AgentSettings, String> {
    let fragments = files::read(paths, "agent")?;
    with_tags(tags, |tags| AgentSettings::parse_with(&fragments, tags), |why| tracing::error!("{why}"))
}

/// The same for an agent that begins. A service whose settings cannot work goes on with what is right of them, in order to end its instance: nobody
/// else lowers the group's capacity by it. Whoever tries settings by hand only reads what is wrong.
///
/// # Errors
/// With a text for the operator that names every problem.
pub(crate) fn at_the_start(paths: &[PathBuf]) -> Result<AgentSettings, String> {
    load(paths, &Tags::new()).or_else(|why| {
        // Whoever supervises a service waits at this socket for its word (sd_notify(3)).
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return Err(why);
        }
        let readable = places(paths).into_iter().flat_map(|place| files::read(slice::from_ref(&place), "agent"));
        Ok(AgentSettings::salvaged(&readable.flatten().collect::<Vec<_>>(), &why))
    })
}

/// What an agent that began without the instance's tags goes on with once they are told. They may be what made its settings whole.
///
/// # Errors
/// When settings that could work no longer can.
pub(crate) fn with_the_tags(begun: AgentSettings, paths: &[PathBuf], tags: &Tags) -> Result<AgentSettings, String> {
    load(paths, tags).or_else(|why| if begun.unusable.is_some() { Ok(begun) } else { Err(why) })
}

/// Where the settings are.
pub(crate) fn places(paths: &[PathBuf]) -> Vec<PathBuf> {
    let usual = || ["/etc/lightsout/agent.toml", "/etc/lightsout/agent.d"].map(PathBuf::from).to_vec();
    if paths.is_empty() { usual() } else { paths.to_owned() }
}

/// Resolves once the settings can work.
pub(crate) async fn until_they_work(paths: &[PathBuf], tags: &Tags) {
    loop {
        tokio::time::sleep(AGAIN).await;
        let (paths, tags) = (paths.to_owned(), tags.clone());
        if matches!(tokio::task::spawn_blocking(move || load(&paths, &tags)).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Reads with the tags, and, where that cannot work, says so and reads without them.
fn with_tags<T>(tags: &Tags, read: impl Fn(&Tags) -> Result<T, Problems>, say: impl Fn(&str)) -> Result<T, String> {
    read(tags).or_else(|problems| {
        let settings = read(&Tags::new()).map_err(|problems| problems.to_string())?;
        say(&format!("this instance's tags are left out:\n{problems}"));
        Ok(settings)
    })
}

/// The tags of this instance.
///
/// # Errors
/// When they are not told in time.
pub(crate) async fn tags(notices: &dyn Notices, within: Duration) -> Result<Tags, String> {
    notices.tags(TAG_PREFIX, within).await.map_err(|error| error.to_string())
}

/// The program that stands for the cloud, by the files alone; none where they cannot work.
pub(crate) fn cloud_program(fragments: &[Fragment]) -> Vec<String> {
    AgentSettings::parse(fragments).map(|settings| settings.cloud).unwrap_or_default()
}

/// What an agent that starts now has, and where each value came from: a line each, or one JSON object.
///
/// # Errors
/// With a text for the operator that names every problem.
pub(crate) async fn show(paths: &[PathBuf], json: bool) -> Result<String, String> {
    let fragments = files::read(paths, "agent")?;
    let tags = match find_cloud(&cloud_program(&fragments), TAGS).await {
        Ok((_, notices)) => tags(&*notices, TAGS).await,
        Err(error) => Err(error.to_string()),
    };
    let tags = tags.unwrap_or_else(|why| {
        eprintln!("without the instance's tags: {why}");
        Tags::new()
    });
    let (settings, warnings) = with_tags(&tags, |tags| in_force(&fragments, tags), |why| eprintln!("{why}"))?;
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    if json {
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        return Ok(serde_json::json!({ "settings": settings, "warnings": warnings }).to_string());
    }
    let widest = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    let line = |setting: &lightsout_core::settings::Setting| {
        format!("{:widest$} = {}    # {}", setting.key, setting.value, setting.from)
    };
    Ok(settings.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_cannot_work_are_left_out_and_the_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let command = "[platform.command]\nrun = [\"/bin/true\"]\nbusy = [\"/bin/true\"]\n";
        std::fs::write(&file, format!("[agent]\nidle_timeout = \"7m\"\n{command}")).unwrap();
        let tag = |name: &str, value: &str| (format!("{TAG_PREFIX}{name}"), value.to_owned());
        let idle = |tags: &Tags| load(slice::from_ref(&file), tags).unwrap().policy.idle_timeout;
        assert_eq!(idle(&vec![tag("idle_timeout", "3m")]), Some(Duration::from_secs(180)));
        let wrong = vec![tag("idle_timeout", "3m"), tag("slots", "many")];
        assert_eq!(idle(&wrong), Some(Duration::from_secs(420)), "all of them");
        std::fs::write(&file, "[agent]\nidle_timeout = \"soon\"\n").unwrap();
        assert!(load(slice::from_ref(&file), &wrong).unwrap_err().contains("idle_timeout"), "wrong files are refused");
    }

    #[test]
    fn what_only_the_tags_make_whole_can_work_once_they_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let command = "[platform.command]\nrun = [\"/bin/true\"]\nbusy = [\"/bin/true\"]\n";
        std::fs::write(&file, format!("[agent]\nidle_timeout = \"soon\"\n{command}")).unwrap();
        let paths = slice::from_ref(&file);
        let why = load(paths, &Tags::new()).unwrap_err();
        let begun = || AgentSettings::salvaged(&files::read(paths, "agent").unwrap(), &why);
        let tags = |value: &str| vec![(format!("{TAG_PREFIX}idle_timeout"), value.to_owned())];
        let with = with_the_tags(begun(), paths, &tags("3m")).unwrap();
        assert_eq!((with.unusable, with.policy.idle_timeout), (None, Some(Duration::from_secs(180))));
        for wrong in [Tags::new(), tags("later")] {
            assert_eq!(with_the_tags(begun(), paths, &wrong).unwrap().unusable.as_ref(), Some(&why));
        }
        // Settings that could work when it began, and were changed meanwhile.
        let could = AgentSettings { unusable: None, ..begun() };
        assert!(with_the_tags(could, paths, &Tags::new()).unwrap_err().contains("idle_timeout"));
    }
}
