//! Azure's APIs: who calls which of them, and the errors that come before the service itself.

use axum::body::Body;

use super::{connection::Cut, injection::with_faults};
use crate::{
    azure::{
        arm,
        identity::{Caller, INSIGHTS, MANAGEMENT, Tokens, Unauthenticated, VAULT},
        ingestion, insights,
        vault::{self, Vault},
    },
    faults::{Call, Target},
    http::{Request, Response},
    refusal::Refusal,
    state::Shared,
};

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    ResourceManager,
    Vault,
    /// Where logs go, and where they are read.
    Logs(ingestion::Call),
    Insights,
    /// Where applications get their tokens.
    Login,
    /// Where they learn about that.
    Discovery,
}

impl Service {
    /// Whose a request is, if it is for Azure.
    pub(super) fn of(request: &Request) -> Option<Self> {
        if arm::is_for(request) {
            Some(Self::ResourceManager)
        } else if Vault::is_for(request) {
            Some(Self::Vault)
        } else if let Some(call) = ingestion::Call::of(request) {
            Some(Self::Logs(call))
        } else if insights::is_for(request) {
            Some(Self::Insights)
        } else if request.path.ends_with("/oauth2/v2.0/token") {
            Some(Self::Login)
        } else if request.path.ends_with("/v2.0/.well-known/openid-configuration") {
            Some(Self::Discovery)
        } else {
            None
        }
    }

    fn action(self, request: &Request) -> &'static str {
        match self {
            Self::ResourceManager => arm::operation_id(request),
            Self::Vault => "GetSecret",
            Self::Logs(call) => call.operation(),
            Self::Insights => "Query_Execute",
            Self::Login => "Token",
            Self::Discovery => "Discovery",
        }
    }

    fn refuse(self, why: Refusal) -> Response {
        let (status, code, message) = match why {
            Refusal::Status(status @ ..500) => {
                (status, "AuthorizationFailed", "The client does not have authorization to perform this action.")
            }
            Refusal::Status(status) => {
                (status, "InternalServerError", "The server encountered an error. Please retry later.")
            }
            Refusal::Throttled => (429, "TooManyRequests", "Too many requests."),
            Refusal::Expired => return Self::unauthenticated(Unauthenticated::Expired),
        };
        let refused = match self {
            Self::ResourceManager | Self::Insights | Self::Login | Self::Discovery => {
                arm::error(status, code, message, None)
            }
            Self::Vault => vault::error(status, if status == 403 { "Forbidden" } else { code }, message),
            Self::Logs(_) => ingestion::error(status, if status == 403 { "OperationFailed" } else { code }, message),
        };
        if status == 429 { refused.header("retry-after", "1") } else { refused }
    }

    fn unauthenticated(why: Unauthenticated) -> Response {
        let (code, message) = match why {
            Unauthenticated::Missing => {
                ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
            }
            Unauthenticated::Expired => {
                ("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.")
            }
            Unauthenticated::Audience => (
                "InvalidAuthenticationTokenAudience",
                "The access token has been obtained for wrong audience or resource. It should exactly match (including forward slash) one of the allowed audiences: 'https://management.core.windows.net/','https://management.azure.com/'.",
            ),
        };
        let refused = arm::error(401, code, message, None);
        let challenge = format!(
            "Bearer authorization_uri=\"https://login.microsoftonline.com/common\", error=\"invalid_token\", error_description=\"{message}\""
        );
        refused.header("www-authenticate", challenge)
    }
}

pub(super) async fn answer(shared: &Shared, service: Service, request: Request) -> Result<hyper::Response<Body>, Cut> {
    let action = service.action(&request);
    // Each of Azure's clouds has a Resource Manager that is an audience by its own address, and this is one.
    let management = [MANAGEMENT[0], MANAGEMENT[1], &shared.url];
    let insights = [INSIGHTS[0], &shared.url];
    let audiences: &[&str] = match service {
        Service::Vault => &VAULT,
        Service::Logs(call) => call.audiences(),
        Service::Insights => &insights,
        Service::ResourceManager | Service::Login | Service::Discovery => &management,
    };
    let caller = shared.update(|state, now| {
        let caller = match service {
            Service::Login | Service::Discovery => Ok(Caller::Operator),
            Service::ResourceManager | Service::Vault | Service::Logs(_) | Service::Insights => {
                state.tokens.caller(&request, audiences, now)
            }
        };
        let kind = caller.as_ref().map_or("unauthenticated", Caller::kind);
        let by = state.counters.azure.entry(action.to_owned()).or_default();
        *by.entry(kind.to_owned()).or_default() += 1;
        caller
    });
    let machine = caller.as_ref().ok().and_then(|caller| caller.machine().map(str::to_owned));
    let call = Call { target: Target::Azure, name: action, instance: machine.as_deref() };
    let carry_out = || match (service, caller) {
        (Service::ResourceManager | Service::Insights, Err(why)) => Service::unauthenticated(why),
        (Service::ResourceManager, Ok(_)) => shared.update(|state, now| arm::handle(&mut state.azure, &request, now)),
        (Service::Insights, Ok(_)) => shared.update(|state, _| insights::handle(&state.azure, &request)),
        (Service::Vault, _) => shared.update(|state, now| state.vault.handle(&state.tokens, &request, now)),
        (Service::Logs(call), caller) => {
            shared.update(|state, now| state.ingestion.handle(call, &caller, &request, now))
        }
        (Service::Discovery, _) => Tokens::discovery(request.segments().first().map_or("common", String::as_str)),
        (Service::Login, _) => shared.update(|state, now| state.tokens.application(&request, now)),
    };
    with_faults(shared, call, |why| service.refuse(why), carry_out).await
}
