//! Facts about one pool and about the scaler's function.

use std::{collections::BTreeSet, env, time::Duration};

use lightsout_cloud::{
    FunctionSurvey, RoleName, SURVEY, WantedFunction, WantedGroup, function_survey, group_survey,
    resolve_on_workstation,
};
use lightsout_core::{
    doctor::{
        Facts, Place,
        facts::{CloudFacts, Fact, FunctionFacts, Names, Refusal, RoleFacts, TemplateFacts},
    },
    duration::not_within,
    iam::{Account, Difference, Extras, Finding, Group, Need, of_agent, of_any_agent, of_scaler},
    settings::{AgentSettings, ObjectAddress, PoolSettings, ScaleSetId, ScalerSettings, SecretSource},
};
use lightsout_io::http::Driver;
use secrecy::SecretString;
use tokio::time::timeout;

/// How long the cloud may take to tell all of a group, or of a function.
const LOOK: Duration = Duration::from_secs(60);
/// What to do about silence.
const NETWORK: &str = "check the network from here, proxies (https_proxy) included";
/// How long one secret may take.
const SECRET: Duration = Duration::from_secs(20);
/// How long the platform may take to tell its queue, or to take back what it held for that.
const QUESTION: Duration = Duration::from_secs(30);

/// Everything about a pool.
pub(super) async fn at_pool(pool: &PoolSettings, agent: Option<&AgentSettings>, driver: &Driver) -> Facts {
    let mut facts = Facts {
        place: Place::Workstation,
        names: Names { instance: None, group: Some(pool.group.clone()), location: region(pool.region.as_deref()) },
        ..Facts::default()
    };
    facts.settings.settings = agent.cloned();
    let untold = |why: String| CloudFacts { group: Some(Err(why)), ..CloudFacts::default() };
    let secrets = agent.map(|agent| agent.platform.secrets().into_iter().cloned().collect()).unwrap_or_default();
    let wanted = WantedGroup { location: pool.location(), name: pool.group.clone(), most: pool.policy.max, secrets };
    let looked = timeout(LOOK, group_survey(pool.cloud)(wanted)).await;
    let cloud = looked.unwrap_or_else(|_| untold(late()));
    facts.roles = roles_of_instances(pool, agent, &cloud).await;
    facts.cloud = Some(cloud);
    let mut token = None;
    if let Some(source) = pool.platform.secret() {
        let fetched = match timeout(SECRET, resolve_on_workstation(pool.region.clone(), source)).await {
            Ok(Ok(secret)) => {
                token = Some(secret);
                Ok(())
            }
            Ok(Err(error)) => Err(Refusal {
                transient: error.transient || error.denied || is_elsewhere(source),
                why: error.to_string(),
            }),
            Err(_) => {
                let why = not_within(format!("no secret from {source}"), SECRET, NETWORK);
                Err(Refusal { transient: true, why })
            }
        };
        facts.platform.secrets.push((source.to_string(), fetched));
    }
    if token.is_some() || pool.platform.secret().is_none() {
        facts.platform.token = Some(ask(pool, token, driver).await);
    }
    facts
}

fn late() -> String {
    not_within("no answer to all that was asked", LOOK, NETWORK)
}

/// The group's address, where it was told.
pub(super) fn address(facts: &Facts) -> Option<&str> {
    let group = facts.cloud.as_ref()?.group.as_ref()?.as_ref().ok()?;
    Some(group.address.as_str()).filter(|address| !address.is_empty())
}

/// Everything about the function that is the scaler of pools whose groups have these addresses.
pub(super) async fn at_function(name: &str, settings: &ScalerSettings, addresses: &[String]) -> Facts {
    if let Some(look) = function_survey(name) {
        return at_function_app(look, name, settings).await;
    }
    // An ARN tells where it is: arn:aws:lambda:REGION:ACCOUNT:function:NAME.
    let own = name.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)).map(str::to_owned);
    let looked = timeout(LOOK, (SURVEY.function)(own.clone(), name.to_owned())).await;
    let (function, role) = looked.unwrap_or_else(|_| (Err(late()), None));
    let of_settings = |found| FunctionFacts { deadline: settings.deadline, ..found };
    let function = function.map(|found| found.map(of_settings));
    let mut facts = Facts {
        place: Place::Workstation,
        names: Names { instance: None, group: None, location: region(own.as_deref()) },
        function: Some(function),
        ..Facts::default()
    };
    if let Some(role) = role {
        let told = facts.function.as_ref().and_then(|function| function.as_ref().ok()?.as_ref());
        let needs = needs_of_scaler(settings, addresses, region(own.as_deref()), told);
        facts.roles.push(judged(true, own, role, needs).await);
    }
    facts
}

/// The same of one that tells its roles with the rest.
async fn at_function_app(look: FunctionSurvey, name: &str, settings: &ScalerSettings) -> Facts {
    let groups = settings.pools.iter().map(|pool| pool.group.as_str()).filter(|group| ScaleSetId::is_meant(group));
    let hooks = settings.pools.iter().filter_map(|pool| pool.webhook.as_ref()).map(|webhook| &webhook.secret);
    let secrets = settings.pools.iter().filter_map(|pool| pool.platform.secret()).chain(hooks);
    let wanted = WantedFunction {
        name: name.to_owned(),
        groups: groups.map(str::to_owned).collect(),
        secrets: secrets.cloned().collect(),
    };
    let (function, roles) = timeout(LOOK, look(wanted)).await.unwrap_or_else(|_| (Err(late()), Vec::new()));
    let of_settings = |found| FunctionFacts { deadline: settings.deadline, ..found };
    let function = Some(function.map(|found| found.map(of_settings)));
    Facts { place: Place::Workstation, function, roles, ..Facts::default() }
}

fn needs_of_scaler(
    settings: &ScalerSettings,
    addresses: &[String],
    region: Option<String>,
    told: Option<&FunctionFacts>,
) -> Fact<Vec<Need>> {
    let groups = addresses.iter().map(|address| Group::parse(address)).collect::<Result<Vec<_>, _>>();
    let groups = groups.map_err(|error| error.to_string())?;
    let id = groups.first().and_then(|group| Some(group.place()?.1.to_owned()));
    let mut extras = Extras { groups, ..Extras::default() };
    if let Some(function) = told {
        extras.log_group.clone_from(&function.log_group);
        extras.settings_parameter.clone_from(&function.settings_parameter);
        let object = function.settings_object.as_deref().map(ObjectAddress::parse).transpose();
        extras.settings_object = object.map_err(|error| error.to_string())?;
    }
    of_scaler(settings, &Account { id, region }, &extras).map_err(|error| error.to_string())
}

/// Where it is, as far as this program can tell.
fn region(own: Option<&str>) -> Option<String> {
    let named = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    own.map(str::to_owned).or_else(|| named("AWS_REGION")).or_else(|| named("AWS_DEFAULT_REGION"))
}

/// Whether the settings speak of the scaler's own machine, which this one need not be.
fn is_elsewhere(source: &SecretSource) -> bool {
    match source {
        SecretSource::File(_) | SecretSource::Env(_) => true,
        SecretSource::Inline(_)
        | SecretSource::Ssm(_)
        | SecretSource::SecretsManager { .. }
        | SecretSource::KeyVault(_) => false,
    }
}

/// The roles that new instances get, each once, and whether an agent can do its work with it.
async fn roles_of_instances(pool: &PoolSettings, agent: Option<&AgentSettings>, cloud: &CloudFacts) -> Vec<RoleFacts> {
    let Some(Ok(group)) = &cloud.group else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let mut roles = Vec::new();
    for template in cloud.templates.iter().filter(|template| seen.insert(template.profile.as_deref())) {
        roles.push(role_of_instances(pool, agent, &group.address, template).await);
    }
    roles
}

async fn role_of_instances(
    pool: &PoolSettings,
    agent: Option<&AgentSettings>,
    group: &str,
    template: &TemplateFacts,
) -> RoleFacts {
    let group = Group::parse(group).map_err(|error| error.to_string());
    let needs = group.and_then(|group| {
        let account = Account { id: None, region: None };
        let needs = match agent {
            Some(agent) => of_agent(agent, &account, &Extras { groups: vec![group], ..Extras::default() }),
            None => of_any_agent(&group, &account),
        };
        needs.map_err(|error| error.to_string())
    });
    let Some(profile) = &template.profile else {
        let all = |need: Need| Finding { action: need.action.into(), resource: "*".into(), why: need.why.into() };
        let missing =
            needs.map(|needs| Difference { missing: needs.into_iter().map(all).collect(), ..Difference::default() });
        let name = format!("{} names no instance profile: a role that is none", template.name);
        return RoleFacts { of_scaler: false, name, by: "what instances start from", difference: missing };
    };
    judged(false, pool.region.clone(), RoleName::Profile(profile.clone()), needs).await
}

async fn judged(of_scaler: bool, region: Option<String>, role: RoleName, needs: Fact<Vec<Need>>) -> RoleFacts {
    let name = match &role {
        RoleName::Profile(name) | RoleName::Address(name) => name.clone(),
    };
    let unknown = |name: String, why: String| RoleFacts { of_scaler, name, by: "nothing", difference: Err(why) };
    let needs = match needs {
        Ok(needs) => needs,
        Err(why) => return unknown(name, why),
    };
    match timeout(LOOK, (SURVEY.role)(region, role, needs)).await {
        Ok(rights) => RoleFacts { of_scaler, name: rights.name, by: rights.by, difference: rights.difference },
        Err(_) => unknown(name, late()),
    }
}

/// Asks what the scaler asks, and gives back what the platform held for that.
async fn ask(pool: &PoolSettings, token: Option<SecretString>, driver: &Driver) -> Result<String, Refusal> {
    let read = async {
        let mut queue = pool.platform.open(token)?;
        queue.only_look();
        let reading = driver.complete(queue.as_mut(), QUESTION).await;
        if let Some(mut release) = queue.release() {
            // What it could not give back runs out by itself; the queue was told all the same.
            let _ = driver.complete(release.as_mut(), QUESTION).await;
        }
        reading
    };
    let refusal = |error: lightsout_core::exchange::ExchangeError| Refusal {
        transient: error.is_transient(),
        why: error.to_string(),
    };
    let reading = read.await.map_err(refusal)?;
    match reading.missing {
        Some(missing) => {
            Err(Refusal { why: format!("the queue was read in part: {missing}"), transient: missing.is_transient() })
        }
        None => Ok(format!("{}: {} jobs wait", pool.platform.platform(), reading.demand.queued)),
    }
}
