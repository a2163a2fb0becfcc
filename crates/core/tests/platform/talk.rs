//! Plays the shell's part in a conversation.

use std::{collections::BTreeMap, path::PathBuf};

use lightsout_core::{
    platform::{Me, PlatformError},
    wire::{Ask, Conversation, Output, Program, Reply, Request, Step, Text, Told},
};

/// More questions than any conversation under test may ask.
const ENOUGH: usize = 10_000;

pub fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, body: body.as_bytes().to_vec() }
}

/// Holds the whole conversation, each request answered by `server`.
pub fn converse<T>(
    talk: &mut dyn Conversation<Output = T>,
    mut server: impl FnMut(&Request) -> Told,
) -> Result<T, PlatformError> {
    let mut step = talk.start();
    for _ in 0..ENOUGH {
        match step {
            Step::Done(result) => return result,
            Step::Ask(Ask::Http(request)) => step = talk.told(server(&request)),
            Step::Ask(ask @ (Ask::Program(_) | Ask::Clock | Ask::Sign(_))) => panic!("{ask:?} was to be done"),
        }
    }
    panic!("the conversation does not end");
}

/// The same with these replies in turn; also says what was asked.
pub fn script<T>(
    talk: &mut dyn Conversation<Output = T>,
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<T, PlatformError>, Vec<Request>) {
    let (mut replies, mut asked) = (replies.into_iter(), Vec::new());
    let result = converse(talk, |request| {
        asked.push(request.clone());
        Told::Http(Ok(replies.next().unwrap_or_else(|| panic!("nothing was to be asked after {asked:#?}"))))
    });
    assert_eq!(replies.next(), None, "more should have been asked than {asked:#?}");
    (result, asked)
}

/// The one program that a conversation runs, and what it makes of its end.
pub fn run<T>(
    talk: &mut dyn Conversation<Output = T>,
    ended: Result<Output, String>,
) -> (Program, Result<T, PlatformError>) {
    let Step::Ask(Ask::Program(program)) = talk.start() else { panic!("no program was run") };
    match talk.told(Told::Program(ended)) {
        Step::Done(result) => (program, result),
        Step::Ask(ask) => panic!("it goes on with {ask:?}"),
    }
}

pub fn output(status: impl Into<Option<i32>>, stdout: &str, stderr: &str) -> Output {
    Output { status: status.into(), stdout: stdout.into(), stderr: stderr.into() }
}

pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.expose())
}

pub fn body(request: &Request) -> &str {
    request.body.as_ref().map_or("", Text::expose)
}

pub fn me() -> Me {
    Me {
        instance_id: "i-0abc".to_owned(),
        group: Some("runners".to_owned()),
        runner_dir: PathBuf::from("/var/lib/lightsout/runner"),
        slots: 4,
        metrics: Some("127.0.0.1:9252".to_owned()),
    }
}
