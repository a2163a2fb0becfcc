//! Gives the session back, so that the next scaler need not wait until it runs out.

use secrecy::SecretString;

use super::{
    FIND_SERVICE, REMEDIES,
    service::{self, Service},
    session::Session,
};
use crate::{
    exchange::{Call, Effect, EffectResult},
    platform::{
        github::{GitHubScaleSetSettings, context, refusal::refusal},
        steps::{Next, Transition, steps},
    },
};

/// Which answer is awaited.
enum At {
    /// The session's end; `fresh` when the service's token is.
    Ended {
        fresh: bool,
    },
    /// The way to a fresh token of the service.
    Registration,
    Service,
}

/// Ends the session, with a fresh token of the service where the one at hand has run out. Already gone is success.
pub(super) fn close(settings: GitHubScaleSetSettings, secret: SecretString, session: Session) -> Call<()> {
    let end = Effect::Http(session.end());
    let begin = move || Ok(Transition::Perform(end.clone(), At::Ended { fresh: false }));
    let mut session = session;
    steps(begin, move |at, result| go_on(&settings, &secret, &mut session, &at, result))
}

fn go_on(
    settings: &GitHubScaleSetSettings,
    secret: &SecretString,
    session: &mut Session,
    at: &At,
    result: EffectResult,
) -> Next<Effect, At, ()> {
    let about = |what: &str| context(&settings.url, secret, what, REMEDIES);
    let GitHubScaleSetSettings { url, owner, .. } = settings;
    match at {
        At::Ended { fresh } => {
            let context = about("give back the message session of the runner scale set");
            let reply = context.reply(result)?;
            match reply.status {
                200..=299 | 404 => Ok(Transition::Done(())),
                401 | 403 if !fresh => {
                    Ok(Transition::Perform(Effect::Http(service::ask_registration(url, owner)), At::Registration))
                }
                _ => Err(refusal(&context, &reply)),
            }
        }
        At::Registration => {
            let request = service::ask_service(&about("get a registration token"), result, url, owner)?;
            Ok(Transition::Perform(Effect::Http(request), At::Service))
        }
        At::Service => {
            session.service = Service::read(&about(FIND_SERVICE), result)?;
            Ok(Transition::Perform(Effect::Http(session.end()), At::Ended { fresh: true }))
        }
    }
}
