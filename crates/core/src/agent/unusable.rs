//! Whether an agent whose settings cannot work may end its instance all the same.
//!
//! Nobody can ask a platform about a runner then: only an instance on which none was ever started is ended.

/// What was found on the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A process that may be a runner's, or why that cannot be told.
    pub runner: Result<Option<u32>, String>,
    /// Whether a runner may have been registered, as far as the journal can be read.
    pub registered: bool,
    /// The containers that run, or why they cannot be told: jobs in containers outlive their runner, and the machine's restart.
    pub containers: Result<Vec<String>, String>,
}

/// Whether the instance may be ended.
///
/// # Errors
/// When there is a sign that a runner was started, or it cannot be told that there is none.
pub fn may_end(found: &Found) -> Result<(), String> {
    let sign = match found {
        Found { runner: Ok(Some(pid)), .. } => format!("process {pid} may be a runner"),
        Found { runner: Err(why), .. } => format!("whether a runner runs is not known ({why})"),
        Found { registered: true, .. } => "a runner was registered, or the journal cannot be read".to_owned(),
        Found { containers: Err(why), .. } => format!("whether a container is a job is not known ({why})"),
        Found { containers: Ok(running), .. } => match running.first() {
            Some(id) => format!("container {id} may be a job"),
            None => return Ok(()),
        },
    };
    Err(format!("the settings cannot work, and {sign}: nothing is ended with them; put them right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_instance_on_which_no_runner_was_ever_started_is_ended() {
        let nothing = Found { runner: Ok(None), registered: false, containers: Ok(Vec::new()) };
        assert_eq!(may_end(&nothing), Ok(()));
        let one = || Ok(vec!["c0ffee".to_owned(), "decaf".to_owned()]);
        for (found, sign) in [
            (Found { runner: Ok(Some(17)), ..nothing.clone() }, "process 17 may be a runner"),
            (
                Found { runner: Err("no /proc".into()), ..nothing.clone() },
                "whether a runner runs is not known (no /proc)",
            ),
            (Found { registered: true, ..nothing.clone() }, "a runner was registered, or the journal cannot be read"),
            (Found { containers: one(), ..nothing.clone() }, "container c0ffee may be a job"),
            (
                Found { containers: Err("silent".into()), ..nothing.clone() },
                "whether a container is a job is not known (silent)",
            ),
            (Found { runner: Ok(Some(17)), registered: true, containers: one() }, "process 17 may be a runner"),
            (Found { runner: Err("no /proc".into()), registered: true, containers: one() }, "whether a runner runs"),
        ] {
            let why = may_end(&found).unwrap_err();
            assert!(why.starts_with("the settings cannot work, and ") && why.contains(sign), "{found:?}: {why}");
        }
    }
}
