//! Plays the shell's part in an exchange.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use jiff::Timestamp;
use lightsout_core::{
    exchange::{
        Effect, EffectId, EffectResult, Exchange, ExchangeError, ExchangeStep, Output, Program, Reply, Request, Text,
    },
    platform::HostContext,
    settings::{Argv, BaseUrl, NonEmpty, Problem},
};

/// More questions than any exchange under test may ask.
const ENOUGH: usize = 10_000;

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, body: body.as_bytes().to_vec() }
}

/// Holds the whole exchange, each request answered by `server`.
pub(crate) fn complete<T>(
    call: &mut dyn Exchange<Output = T>,
    mut server: impl FnMut(&Request) -> EffectResult,
) -> Result<T, ExchangeError> {
    let mut step = call.start();
    for _ in 0..ENOUGH {
        match step {
            ExchangeStep::Done(result) => return result,
            ExchangeStep::Wait => panic!("it waits for nothing"),
            ExchangeStep::Perform(id, Effect::Http(request)) => step = call.resume(id, server(&request)),
            // Every runner says its version.
            ExchangeStep::Perform(id, Effect::Program(program))
                if program.argv.get(1).is_some_and(|word| word == "--version") =>
            {
                let says = match &program.argv[0] {
                    gitlab if gitlab.contains("gitlab") => "Version:      18.5.0\n",
                    github if github.ends_with("Runner.Listener") => "2.335.1\n",
                    _ => "version 3.137.0+1\n",
                };
                step = call.resume(id, EffectResult::Program(Ok(output(0, says, ""))));
            }
            ExchangeStep::Perform(_, ask @ (Effect::Program(_) | Effect::Clock | Effect::Sign(_))) => {
                panic!("{ask:?} was to be done")
            }
        }
    }
    panic!("the conversation does not end");
}

/// The same with these replies in turn; also says what was asked.
pub(crate) fn script<T>(
    call: &mut dyn Exchange<Output = T>,
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<T, ExchangeError>, Vec<Request>) {
    let (mut replies, mut requests) = (replies.into_iter(), Vec::new());
    let result = complete(call, |request| {
        requests.push(request.clone());
        EffectResult::Http(Ok(replies.next().unwrap_or_else(|| panic!("nothing was to be asked after {requests:#?}"))))
    });
    assert_eq!(replies.next(), None, "more should have been asked than {requests:#?}");
    (result, requests)
}

/// The one program that an exchange runs, and what it makes of its end.
pub(crate) fn run<T>(
    call: &mut dyn Exchange<Output = T>,
    ended: Result<Output, String>,
) -> (Program, Result<T, ExchangeError>) {
    let ExchangeStep::Perform(_, Effect::Program(program)) = call.start() else { panic!("no program was run") };
    match call.resume(EffectId::default(), EffectResult::Program(ended)) {
        ExchangeStep::Done(result) => (program, result),
        ExchangeStep::Perform(_, ask) => panic!("it goes on with {ask:?}"),
        ExchangeStep::Wait => panic!("it waits for nothing"),
    }
}

pub(crate) fn output(status: impl Into<Option<i32>>, stdout: &str, stderr: &str) -> Output {
    Output { status: status.into(), stdout: stdout.into(), stderr: stderr.into() }
}

pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.expose())
}

pub(crate) fn body(request: &Request) -> &str {
    request.body.as_ref().map_or("", Text::expose)
}

/// A setting as it is read.
pub(crate) fn read_as<T: FromStr<Err = Problem>>(text: &str) -> T {
    text.parse().expect(text)
}

/// The same of a list of one or more.
pub(crate) fn list_of<T: FromStr<Err = Problem>>(texts: &[&str]) -> NonEmpty<T> {
    NonEmpty::new(texts.iter().map(|text| read_as(text)).collect()).expect("one at least")
}

/// What a setting that is not read is refused with.
pub(crate) fn refused<T: FromStr<Err = Problem>>(text: &str) -> Result<(), ExchangeError> {
    text.parse::<T>().map(drop).map_err(ExchangeError::from)
}

/// A program and its arguments.
pub(crate) fn argv(words: &[&str]) -> Argv {
    words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().try_into().expect("a program")
}

pub(crate) fn url(text: &str) -> BaseUrl {
    BaseUrl::parse(text).expect("an address")
}

pub(crate) fn host() -> HostContext {
    HostContext {
        instance_id: "i-0abc".to_owned(),
        group: Some("runners".to_owned()),
        runner_dir: PathBuf::from("/var/lib/lightsout/runner"),
        slots: 4,
        metrics: Some("127.0.0.1:9252".to_owned()),
    }
}

/// Holds the exchange with up to `room` requests open. `next` chooses which of them is answered next, and how; without
/// a choice the time is over: then `None` says that nothing is known.
pub(crate) fn at_once<T>(
    call: &mut dyn Exchange<Output = T>,
    room: usize,
    mut next: impl FnMut(&[Request]) -> Option<(usize, EffectResult)>,
) -> Option<Result<T, ExchangeError>> {
    let (mut ids, mut open) = (Vec::new(), Vec::new());
    let mut step = call.start();
    for _ in 0..ENOUGH {
        step = match step {
            ExchangeStep::Done(result) => return Some(result),
            ExchangeStep::Perform(id, Effect::Http(request)) => {
                assert!(!ids.contains(&id), "two open requests have the number {id:?}");
                ids.push(id);
                open.push(request);
                if open.len() < room { call.more() } else { ExchangeStep::Wait }
            }
            ExchangeStep::Perform(id, Effect::Clock) => call.resume(id, EffectResult::Clock(Timestamp::UNIX_EPOCH)),
            ExchangeStep::Perform(id, Effect::Sign(_)) => call.resume(id, EffectResult::Sign(Ok(vec![1]))),
            ExchangeStep::Perform(_, ask @ Effect::Program(_)) => panic!("{ask:?} was to be done"),
            ExchangeStep::Wait => {
                assert!(!open.is_empty(), "it waits for nothing");
                let Some((at, result)) = next(&open) else { return call.cut().map(Ok) };
                open.remove(at);
                call.resume(ids.remove(at), result)
            }
        };
    }
    panic!("the conversation does not end");
}
