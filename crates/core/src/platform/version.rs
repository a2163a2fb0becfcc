//! Which version of its vendor's runner is installed: settings are written for the versions that are known, and one that is not is said,
//! with what may fail. A runner that ignores a setting says nothing.

use std::{ops::RangeInclusive, time::Duration};

use super::{Launch, Ready, RunnerVersion, answer};
use crate::exchange::{
    Call, Effect, EffectId, EffectResult, Exchange, ExchangeError, ExchangeStep, Output, Program, RunAs,
};

/// How long a runner may take to say its version.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How the version of a platform's runner is found before the runner is launched, and for which versions its settings are written.
#[derive(Clone, Debug)]
pub enum Versions {
    /// Its program says it, called with `--version` and nothing else.
    Said {
        /// The program, as the settings name it.
        program: String,
        /// What it must find in its environment to answer.
        env: &'static [(&'static str, &'static str)],
        /// What is known of them.
        known: &'static KnownVersions,
    },
    /// There is none to ask for, and why: the settings are those that its vendor documents today.
    Untold(&'static str),
}

/// The versions of a vendor's runner for which its settings are written.
#[derive(Debug)]
pub struct KnownVersions {
    /// The vendor's words for the runner.
    pub(super) runner: &'static str,
    /// The first numbers of the versions.
    pub(super) majors: RangeInclusive<u32>,
    /// What may fail with another one.
    pub(super) at_stake: &'static str,
    /// The oldest version that the platform takes, and since when; first, second and third number.
    pub(super) oldest: Option<([u32; 3], &'static str)>,
}

/// Registers for a version by its first number, where that is known.
pub type RegisterFor = Box<dyn Fn(Option<u32>) -> Call<Launch> + Send>;

impl Versions {
    /// Asks for the version, then registers for it, or for the nearest one that is known; without an answer for `None`.
    pub(super) fn register(self, register: RegisterFor) -> Call<Launch> {
        match self {
            Self::Untold(_) => register(None),
            Self::Said { program, env, known } => Box::new(Registering {
                ask: ask(&program, env),
                known,
                register,
                registration: None,
                doubts: Vec::new(),
            }),
        }
    }

    /// Asks for the version. An error is that the program could not be run.
    pub(super) fn ask(self) -> Call<RunnerVersion> {
        match self {
            Self::Untold(why) => Box::new(Ready(RunnerVersion { said: why.into(), doubt: None, refused: None })),
            Self::Said { program, env, known } => {
                answer::once(ask(&program, env), move |result| answered(&program, known, &result))
            }
        }
    }
}

fn answered(program: &str, known: &KnownVersions, result: &EffectResult) -> Result<RunnerVersion, ExchangeError> {
    if let EffectResult::Program(Err(why)) = result {
        return answer::refuse(why.clone());
    }
    if let EffectResult::Program(Ok(Output { status, stderr, .. })) = result
        && *status != Some(0)
    {
        let said = String::from_utf8_lossy(stderr);
        let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it wrote nothing to standard error");
        let how = status.map_or_else(|| "a signal".to_owned(), |status| format!("the status {status}"));
        return answer::refuse(format!("{program} --version ended with {how}: {}", answer::excerpt(said)));
    }
    let (_, doubt) = known.judge(result);
    let said = said(result).map(|(_, version)| version);
    let refused = said.as_deref().and_then(|version| known.refused(version));
    let said =
        said.map_or_else(|| "it does not say its version".into(), |version| format!("{} {version}", known.runner));
    Ok(RunnerVersion { said, doubt, refused })
}

fn ask(program: &str, env: &[(&str, &str)]) -> Effect {
    Effect::Program(Program {
        argv: vec![program.to_owned(), "--version".to_owned()],
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
        timeout: TIMEOUT,
        run_as: RunAs::Runner,
    })
}

/// Whether a runner's last words say that its platform sends no jobs to its version, as of one vendor's they do ("Runner version v2.317.0 is deprecated and
/// cannot receive messages.", actions/runner issue 3381).
pub(crate) fn says_too_old(said: &str) -> bool {
    said.contains("is deprecated and cannot receive messages")
}

struct Registering {
    ask: Effect,
    known: &'static KnownVersions,
    register: RegisterFor,
    /// Once the version is known.
    registration: Option<Call<Launch>>,
    doubts: Vec<String>,
}

impl Exchange for Registering {
    type Output = Launch;

    fn start(&mut self) -> ExchangeStep<Launch> {
        self.registration = None;
        ExchangeStep::perform(self.ask.clone())
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Launch> {
        let step = if let Some(registration) = &mut self.registration {
            registration.resume(id, result)
        } else {
            let (major, doubt) = self.known.judge(&result);
            let refused = said(&result).and_then(|(_, version)| self.known.refused(&version));
            self.doubts = doubt.into_iter().chain(refused).collect();
            self.registration.insert((self.register)(major)).start()
        };
        match step {
            ExchangeStep::Done(Ok(launch)) => {
                let doubts = launch.doubts.into_iter().chain(self.doubts.drain(..)).collect();
                ExchangeStep::Done(Ok(Launch { doubts, ..launch }))
            }
            ExchangeStep::Done(Err(_)) | ExchangeStep::Perform(..) | ExchangeStep::Wait => step,
        }
    }

    fn more(&mut self) -> ExchangeStep<Launch> {
        self.registration.as_mut().map_or(ExchangeStep::Wait, Exchange::more)
    }
}

impl KnownVersions {
    /// The version to write settings for, and what is doubtful about that.
    fn judge(&self, result: &EffectResult) -> (Option<u32>, Option<String>) {
        let (from, to) = (self.majors.start(), self.majors.end());
        let versions = if from == to { from.to_string() } else { format!("{from} to {to}") };
        let supported = format!("settings are written for {} {versions}: {}", self.runner, self.at_stake);
        match said(result) {
            Some((major, _)) if self.majors.contains(&major) => (Some(major), None),
            Some((major, version)) => {
                let doubt = format!("this is {} {version}, and {supported}", self.runner);
                (Some(major.clamp(*from, *to)), Some(doubt))
            }
            None => (None, Some(format!("{} does not say its version, and {supported}", self.runner))),
        }
    }
}

impl KnownVersions {
    /// Why the platform gives a runner of this version no jobs.
    fn refused(&self, version: &str) -> Option<String> {
        let (oldest, since) = self.oldest?;
        let numbers = version.split(['.', '-', '+']).map_while(|part| part.parse().ok());
        let numbers: Vec<u32> = numbers.take(oldest.len()).collect();
        let [first, second, third] = oldest;
        (numbers.as_slice() < oldest.as_slice()).then(|| {
            format!("{} {version} is too old: {since}, it must be {first}.{second}.{third} or later", self.runner)
        })
    }
}

/// The version that a program said.
fn said(result: &EffectResult) -> Option<(u32, String)> {
    match result {
        EffectResult::Program(Ok(Output { status: Some(0), stdout, stderr })) => {
            version(&String::from_utf8_lossy(stdout)).or_else(|| version(&String::from_utf8_lossy(stderr)))
        }
        EffectResult::Program(_) | EffectResult::Http(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => None,
    }
}

/// The first thing that looks like a version, and its first number.
fn version(text: &str) -> Option<(u32, String)> {
    text.split(|c: char| c.is_whitespace() || c == ',').find_map(|word| {
        let word = word.trim_start_matches('v');
        let (major, rest) = word.split_once('.')?;
        rest.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
        Some((major.parse().ok()?, word.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static KNOWN: KnownVersions = KnownVersions {
        runner: "agent",
        majors: 3..=4,
        at_stake: "it may ignore some",
        oldest: Some(([3, 2, 0], "since May")),
    };

    fn said(status: Option<i32>, text: &str) -> EffectResult {
        EffectResult::Program(Ok(Output { status, stdout: text.as_bytes().to_vec(), stderr: Vec::new() }))
    }

    #[test]
    fn versions_are_read_as_vendors_write_them() {
        for (text, expected) in [
            ("buildkite-agent version 3.137.0+12345.abc\n", Some((3, "3.137.0+12345.abc"))),
            ("Version:      18.5.0\nGit revision: bda84871\nGo version:   go1.24.6\n", Some((18, "18.5.0"))),
            ("v4.0.0-beta.15", Some((4, "4.0.0-beta.15"))),
            ("no version", None),
            ("e.g. this", None),
            ("", None),
        ] {
            assert_eq!(version(text), expected.map(|(major, version)| (major, version.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_version_that_is_not_known_is_said_with_what_may_fail() {
        assert_eq!(KNOWN.judge(&said(Some(0), "agent 3.1")), (Some(3), None));
        for (result, major, word) in [
            (said(Some(0), "agent 5.0"), Some(4), "5.0"),
            (said(Some(0), "agent 2.9"), Some(3), "2.9"),
            (said(Some(1), "agent 3.1"), None, "does not say"),
            (said(Some(0), ""), None, "does not say"),
        ] {
            let (found, doubt) = KNOWN.judge(&result);
            let doubt = doubt.expect("a doubt");
            assert_eq!(found, major);
            assert!(doubt.contains(word) && doubt.contains("3 to 4") && doubt.contains("may ignore"), "{doubt}");
        }
    }

    #[test]
    fn it_registers_for_the_version_and_hands_the_doubt_on() {
        let launch = |major: Option<u32>| Launch {
            argv: vec![format!("{major:?}")],
            env: Vec::new(),
            files: Vec::new(),
            doubts: Vec::new(),
        };
        let versions = || Versions::Said { program: "agent".into(), env: &[("A", "1")], known: &KNOWN };
        let mut call = versions().register(Box::new(move |major| Box::new(Ready(launch(major)))));
        for (says, expected, words) in [
            ("agent 5.0", "Some(4)", vec!["this is agent 5.0"]),
            ("agent 3.1.9", "Some(3)", vec!["agent 3.1.9 is too old: since May, it must be 3.2.0 or later"]),
            ("agent 4.0", "Some(4)", vec![]),
        ] {
            let ExchangeStep::Perform(id, Effect::Program(program)) = call.start() else { panic!("it asks") };
            assert_eq!((program.argv, program.run_as), (vec!["agent".into(), "--version".into()], RunAs::Runner));
            let ExchangeStep::Done(Ok(launch)) = call.resume(id, said(Some(0), says)) else { panic!("it is over") };
            assert_eq!((launch.argv[0].as_str(), launch.doubts.len()), (expected, words.len()), "{says}");
            assert!(launch.doubts.iter().zip(words).all(|(doubt, word)| doubt.contains(word)), "{:?}", launch.doubts);
        }
        let refused = |_| answer::failed(ExchangeError::new(crate::exchange::ErrorKind::Refused, "no"));
        let mut call = versions().register(Box::new(refused));
        let ExchangeStep::Perform(id, _) = call.start() else { panic!("it asks") };
        assert!(matches!(call.resume(id, said(Some(0), "agent 3.2")), ExchangeStep::Done(Err(_))));
        // Nobody is asked where there is nothing to ask for, and that is said.
        let mut call = Versions::Untold("it has none").register(Box::new(move |major| Box::new(Ready(launch(major)))));
        assert!(
            matches!(call.start(), ExchangeStep::Done(Ok(launch)) if launch.argv == ["None"] && launch.doubts.is_empty())
        );
        let ExchangeStep::Done(Ok(version)) = Versions::Untold("it has none").ask().start() else {
            panic!("it is known")
        };
        assert_eq!((version.said.as_str(), version.doubt, version.refused), ("it has none", None, None));
    }
}
