//! Registers a runner by a just-in-time configuration.

use serde_json::json;

use super::{
    Calls,
    search::{Found, Search},
};
use crate::{
    exchange::{Call, Effect, EffectResult, ErrorKind, ExchangeError, Method, Reply, Request},
    platform::{
        Launch,
        github::{jobs::SELF_HOSTED, refusal::refusal},
        steps::{Next, Transition, steps},
    },
};

/// Which answer is awaited.
enum At {
    /// The configuration; `again` after a leftover was removed.
    Configuration { again: bool },
    /// Who has the name.
    Name(Search),
    /// The removal of the leftover.
    Leftover,
}

type Going = Next<Effect, At, Launch>;

/// Asks for a just-in-time configuration; a leftover of this instance that has its name is removed first.
pub(super) fn register(calls: Calls, launch: impl Fn(&str) -> Launch + Send + 'static) -> Call<Launch> {
    let ask = configuration(&calls);
    let begin = {
        let ask = ask.clone();
        move || Ok(Transition::Perform(ask.clone(), At::Configuration { again: false }))
    };
    steps(begin, move |at, result| match at {
        At::Configuration { again } => configured(&calls, again, result, &launch),
        At::Name(search) => named(&calls, &search, result),
        At::Leftover => {
            let context = calls.context("remove the leftover of this instance's last runner");
            let reply = context.reply(result)?;
            match reply.status {
                204 | 404 => Ok(Transition::Perform(ask.clone(), At::Configuration { again: true })),
                _ => Err(refusal(&context, &reply)),
            }
        }
    })
}

fn configuration(calls: &Calls) -> Effect {
    let settings = &calls.settings;
    let others = settings.labels.iter().filter(|label| !label.eq_ignore_ascii_case(SELF_HOSTED));
    let labels: Vec<&str> = [SELF_HOSTED].into_iter().chain(others.map(String::as_str)).collect();
    let body = json!({
        "name": calls.name,
        "runner_group_id": settings.runner_group_id,
        "labels": labels,
        "work_folder": settings.work_folder,
    });
    Effect::Http(Request::new(Method::Post, calls.runners("/generate-jitconfig")).json(&body, false))
}

fn configured(calls: &Calls, again: bool, result: EffectResult, launch: &dyn Fn(&str) -> Launch) -> Going {
    let context = calls.context("register this machine's runner");
    let reply = context.reply(result)?;
    match reply.status {
        201 => {
            let (id, blob) = read(calls, &reply)?;
            calls.registered.set(Some(id));
            Ok(Transition::Done(launch(&blob)))
        }
        409 if !again => {
            let search = Search::new(calls.settings.url.clone(), calls.list());
            Ok(Transition::Perform(search.ask(), At::Name(search)))
        }
        // The answer to a group that is not there, or that the token may not see.
        404 if calls.settings.runner_group_id != 1 => {
            let mut error = refusal(&context, &reply);
            error.message.push_str(&format!(
                "; or there is no runner group with the ID {}: correct runner_group_id",
                calls.settings.runner_group_id
            ));
            Err(error)
        }
        _ => Err(refusal(&context, &reply)),
    }
}

fn read(calls: &Calls, reply: &Reply) -> Result<(u64, String), ExchangeError> {
    let context = calls.context("register this machine's runner");
    let document = context.json(reply)?;
    let root = document.root();
    let id = root.key("runner")?.key("id")?.number()?;
    let blob = root.key("encoded_jit_config")?.text()?;
    if blob.is_empty() || !blob.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(context.malformed("encoded_jit_config is empty or no Base64"));
    }
    Ok((id, blob.to_owned()))
}

fn named(calls: &Calls, search: &Search, result: EffectResult) -> Going {
    let context = calls.context("find out who has this instance's name");
    let reply = context.reply(result)?;
    match search.read(&context, &reply, &calls.name)? {
        Found::More(search) => Ok(Transition::Perform(search.ask(), At::Name(search))),
        // It went by itself since.
        Found::None => Ok(Transition::Perform(configuration(calls), At::Configuration { again: true })),
        Found::One(found) if found.busy || found.online => {
            let state = if found.busy { "busy" } else { "online" };
            Err(context.error(
                ErrorKind::Throttled(None),
                format!(
                    "a runner named {} (ID {}) is {state} there, so it is not removed; GitHub frees the name of a runner that is gone after some \
                     minutes, and it is asked again; if another machine has this name, give it another",
                    calls.name, found.id
                ),
            ))
        }
        Found::One(found) => {
            let ask = Request::new(Method::Delete, calls.runners(&format!("/{}", found.id)));
            Ok(Transition::Perform(Effect::Http(ask), At::Leftover))
        }
    }
}
