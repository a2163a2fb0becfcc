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
        github::{
            jobs::SELF_HOSTED,
            refusal::refusal,
            scale_set::service::{self, Service},
            settings::DEFAULT_GROUP,
        },
        steps::{Next, Transition, steps},
    },
};

/// Which answer is awaited.
enum At {
    /// On the way to a scale set: a registration token, the Actions service, the scale set's number.
    Registration,
    Service,
    ScaleSet(Service),
    /// The configuration; `again` after a leftover was removed.
    Configuration {
        again: bool,
    },
    /// Who has the name.
    Name(Search),
    /// The removal of the leftover.
    Leftover,
}

type Going = Next<Effect, At, Launch>;

/// Asks for a just-in-time configuration; a leftover of this instance that has its name is removed first. A runner of a
/// scale set is registered by the scale set's own call: GitHub gives the set's jobs to its own runners only.
pub(super) fn register(calls: Calls, launch: impl Fn(&str) -> Launch + Send + 'static) -> Call<Launch> {
    let begin = {
        let calls = calls.clone();
        move || {
            let settings = &calls.settings;
            Ok(match &settings.scale_set {
                Some(_) => {
                    let request = service::ask_registration(&settings.url, &settings.owner);
                    Transition::Perform(Effect::Http(request), At::Registration)
                }
                None => Transition::Perform(configuration(&calls), At::Configuration { again: false }),
            })
        }
    };
    // What asks for the configuration; for a scale set it is known when the set is found.
    let mut ask = configuration(&calls);
    steps(begin, move |at, result| match at {
        At::Registration => {
            let (context, settings) = (calls.context("get a registration token"), &calls.settings);
            let request = service::ask_service(&context, result, &settings.url, &settings.owner)?;
            Ok(Transition::Perform(Effect::Http(request), At::Service))
        }
        At::Service => {
            let service = Service::read(&calls.context("find the Actions service"), result)?;
            let name = calls.settings.scale_set.as_deref().unwrap_or_default();
            let request = service.ask_scale_set(name, calls.settings.runner_group_id.get());
            Ok(Transition::Perform(Effect::Http(request), At::ScaleSet(service)))
        }
        At::ScaleSet(service) => {
            let name = calls.settings.scale_set.as_deref().unwrap_or_default();
            let context = calls.context(&format!("find the runner scale set {}", name.trim()));
            let number = service::scale_set(&context, result, calls.settings.runner_group_id.get())?;
            let body = json!({"name": calls.name, "workFolder": &*calls.settings.work_folder});
            let path = format!("runtime/runnerscalesets/{number}/generatejitconfig");
            ask = Effect::Http(service.request(Method::Post, &path).json(&body, false));
            Ok(Transition::Perform(ask.clone(), At::Configuration { again: false }))
        }
        At::Configuration { again } => configured(&calls, again, result, &launch),
        At::Name(search) => named(&calls, &search, result, &ask),
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
    let labels: Vec<&str> = [SELF_HOSTED].into_iter().chain(others.map(|label| &**label)).collect();
    let body = json!({
        "name": calls.name,
        "runner_group_id": settings.runner_group_id,
        "labels": labels,
        "work_folder": &*settings.work_folder,
    });
    Effect::Http(Request::new(Method::Post, calls.runners("/generate-jitconfig")).json(&body, false))
}

fn configured(calls: &Calls, again: bool, result: EffectResult, launch: &dyn Fn(&str) -> Launch) -> Going {
    let context = calls.context("register this machine's runner");
    let reply = context.reply(result)?;
    let of_scale_set = calls.settings.scale_set.is_some();
    match reply.status {
        201 | 200 if (reply.status == 200) == of_scale_set => {
            let (id, blob) = read(calls, &reply)?;
            calls.registered.set(Some(id));
            Ok(Transition::Done(launch(&blob)))
        }
        409 if !again => {
            let search = Search::new(calls.settings.url.clone(), calls.list());
            Ok(Transition::Perform(search.ask(), At::Name(search)))
        }
        // The answer to a group that is not there, or that the token may not see.
        404 if calls.settings.runner_group_id != DEFAULT_GROUP && !of_scale_set => {
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
    let key = if calls.settings.scale_set.is_some() { "encodedJITConfig" } else { "encoded_jit_config" };
    let blob = root.key(key)?.text()?;
    if blob.is_empty() || !blob.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(context.malformed(&format!("{key} is empty or no Base64")));
    }
    Ok((id, blob.to_owned()))
}

fn named(calls: &Calls, search: &Search, result: EffectResult, ask: &Effect) -> Going {
    let context = calls.context("find out who has this instance's name");
    let reply = context.reply(result)?;
    match search.read(&context, &reply, &calls.name)? {
        Found::More(search) => Ok(Transition::Perform(search.ask(), At::Name(search))),
        // It went by itself since.
        Found::None => Ok(Transition::Perform(ask.clone(), At::Configuration { again: true })),
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
