//! What certain settings need: the rows of the table that they use, each narrowed to what they name.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Bound, Caller, Pattern, RIGHTS};
use crate::settings::{AgentSettings, CloudName, ObjectAddress, ObjectStore, ScalerSettings, SecretSource};

/// A statement's condition: operator, key, and the values of which one must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Such as `StringEquals`.
    pub operator: String,
    /// Such as `aws:ARN`.
    pub key: String,
    /// In order.
    pub values: BTreeSet<String>,
}

/// One right that is needed, narrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub action: &'static str,
    /// Who calls it.
    pub caller: Caller,
    /// How it is narrowed.
    pub on: Bound,
    pub why: &'static str,
    /// What it is called on; at least one.
    pub resources: Vec<Pattern>,
    /// What else must hold, all of it.
    pub conditions: Vec<Condition>,
}

/// Whose account it is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits; `None`: only what is named by a whole ARN can be had.
    pub id: Option<String>,
    /// Where what has no region of its own is; `None`: not known.
    pub region: Option<String>,
}

/// An Auto Scaling group, by its whole ARN or by its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    name: String,
    /// The ARN, with its region and account.
    whole: Option<(String, String, String)>,
}

impl Group {
    /// What somebody wrote: a name, or `arn:PARTITION:autoscaling:REGION:ACCOUNT:autoScalingGroup:ID:autoScalingGroupName/NAME`.
    ///
    /// # Errors
    /// For another ARN.
    pub fn parse(text: &str) -> Result<Self, NeedError> {
        if !text.starts_with("arn:") {
            return Ok(Self { name: text.to_owned(), whole: None });
        }
        let parts: Vec<&str> = text.splitn(8, ':').collect();
        match parts[..] {
            [_, _, "autoscaling", region, account, "autoScalingGroup", _, name]
                if name.strip_prefix("autoScalingGroupName/").is_some_and(|name| !name.is_empty()) =>
            {
                let name = name.replacen("autoScalingGroupName/", "", 1);
                Ok(Self { name, whole: Some((text.to_owned(), region.to_owned(), account.to_owned())) })
            }
            _ => Err(NeedError::Group(text.to_owned())),
        }
    }

    /// The region and the account in its ARN.
    pub fn place(&self) -> Option<(&str, &str)> {
        self.whole.as_ref().map(|(_, region, account)| (region.as_str(), account.as_str()))
    }
}

/// What the settings do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// For the agent: its group. For the scaler: ARNs of some of its groups.
    pub groups: Vec<Group>,
    /// ARNs of the keys of its secrets.
    pub keys: Vec<String>,
    /// Whether the agent's role is for `doctor`, too.
    pub doctor: bool,
    /// The function's log group.
    pub log_group: Option<String>,
    /// Where the function's settings are, in S3.
    pub settings_object: Option<ObjectAddress>,
    /// Where the function's settings are, in Systems Manager: name or ARN.
    pub settings_parameter: Option<String>,
}

/// Why the rights cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NeedError {
    /// No account.
    #[error("the account is not known: write --account with its twelve digits, or --group with a group's ARN")]
    Account,
    /// No region.
    #[error("the region of {0} is not known: write --region, or set AWS_REGION")]
    Region(String),
    /// Not a group.
    #[error(
        "{0:?} is no ARN of an Auto Scaling group: write arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:ID:autoScalingGroupName/NAME, or the name alone"
    )]
    Group(String),
    /// The agent's settings do not name it.
    #[error("an agent's settings do not name its group: write --group with the group's ARN or name, once")]
    OneGroup,
    /// No group of an operator.
    #[error("which groups are meant? write --group with the ARN or the name of each")]
    SomeGroup,
    /// No pool has it.
    #[error("--group {0}: no pool has this group; the settings have {1}")]
    UnknownGroup(String, String),
}

/// What the targets are, for each way to narrow a right.
type Targets = BTreeMap<Bound, Vec<Pattern>>;

/// What a scaler with these settings needs.
///
/// # Errors
/// When the account or a region is not known, or a group is none of its own.
pub fn of_scaler(settings: &ScalerSettings, account: &Account, extras: &Extras) -> Result<Vec<Need>, NeedError> {
    of_pools(Caller::Scaler, settings, account, extras)
}

/// What a person needs who looks at the pools of these settings with `lightsout doctor`.
///
/// # Errors
/// As for [`of_scaler`].
pub fn of_workstation(settings: &ScalerSettings, account: &Account, extras: &Extras) -> Result<Vec<Need>, NeedError> {
    of_pools(Caller::Workstation, settings, account, extras)
}

fn of_pools(
    caller: Caller,
    settings: &ScalerSettings,
    account: &Account,
    extras: &Extras,
) -> Result<Vec<Need>, NeedError> {
    let mut targets = anything();
    let mut regions = BTreeSet::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    // What Azure's identities may do, its roles say.
    for pool in settings.pools.iter().filter(|pool| pool.cloud == CloudName::Aws) {
        let fits = |group: &&Group| {
            let elsewhere = |(region, _)| pool.region.as_deref().is_some_and(|own| own != region);
            group.name == pool.group && !group.place().is_some_and(elsewhere)
        };
        let known = extras.groups.iter().find(fits);
        named.extend(known.map(|group| group.name.as_str()));
        let group = known.cloned().unwrap_or(Group { name: pool.group.clone(), whole: None });
        let own = account.of(pool.region.as_deref(), &group);
        add(&mut targets, Bound::Group, own.group(&group)?);
        let secrets = pool.platform.secret().into_iter().chain(pool.webhook.as_ref().map(|webhook| &webhook.secret));
        add_secrets(&mut targets, &own, secrets)?;
        regions.extend(own.region);
    }
    if let Some(stranger) = extras.groups.iter().find(|group| !named.contains(group.name.as_str())) {
        let known: Vec<&str> = settings.pools.iter().map(|pool| pool.group.as_str()).collect();
        return Err(NeedError::UnknownGroup(stranger.name.clone(), known.join(", ")));
    }
    if let Some(name) = &extras.settings_parameter {
        add_secrets(&mut targets, account, [&SecretSource::Ssm(name.clone())])?;
    }
    regions.extend(account.region.clone());
    add_common(&mut targets, account, extras, extras.log_group.as_deref())?;
    Ok(needs(&[caller], &targets, &regions, &BTreeSet::new()))
}

/// What every agent of this group needs, whatever else its settings say.
///
/// # Errors
/// When the account or the region is not known.
pub fn of_any_agent(group: &Group, account: &Account) -> Result<Vec<Need>, NeedError> {
    let (targets, own) = own_targets(group, account)?;
    Ok(needs(&[Caller::Agent], &targets, &own.region.into_iter().collect(), &BTreeSet::new()))
}

/// What narrows to nothing, and what is the caller's to name.
fn anything() -> Targets {
    Targets::from([Bound::Everything, Bound::Roles].map(|bound| (bound, vec![Pattern::everything()])))
}

fn own_targets(group: &Group, account: &Account) -> Result<(Targets, Account), NeedError> {
    let (mut targets, own) = (anything(), account.of(None, group));
    add(&mut targets, Bound::Group, own.group(group)?);
    add(&mut targets, Bound::Itself, own.arn("ec2", "instance/", "the group")?.then_any());
    Ok((targets, own))
}

/// What an agent with these settings needs.
///
/// # Errors
/// When the account, the region or the group is not known.
pub fn of_agent(settings: &AgentSettings, account: &Account, extras: &Extras) -> Result<Vec<Need>, NeedError> {
    let [group] = &extras.groups[..] else { return Err(NeedError::OneGroup) };
    let (mut targets, own) = own_targets(group, account)?;
    add_secrets(&mut targets, &own, settings.platform.secrets())?;
    if let Some(ObjectStore { bucket, prefix }) = &settings.records.object_store {
        let place = format!("arn:{}:s3:::{bucket}/{prefix}", own.partition());
        add(&mut targets, Bound::Departures, Pattern::literal(&place).then_any());
    }
    add_common(&mut targets, &own, extras, settings.records.log_group.as_deref())?;
    let callers: &[Caller] = if extras.doctor { &[Caller::Agent, Caller::Doctor] } else { &[Caller::Agent] };
    Ok(needs(callers, &targets, &own.region.into_iter().collect(), &BTreeSet::new()))
}

/// What a person needs who looks after these groups from afar; with a log group also to read it.
///
/// # Errors
/// When the account, the region or every group is not known.
pub fn of_operator(account: &Account, extras: &Extras) -> Result<Vec<Need>, NeedError> {
    if extras.groups.is_empty() {
        return Err(NeedError::SomeGroup);
    }
    let mut targets = Targets::from([(Bound::Everything, vec![Pattern::everything()])]);
    let mut names = BTreeSet::new();
    for group in &extras.groups {
        let own = account.of(None, group);
        let members = own.arn("ec2", "instance/", &format!("the group {}", group.name))?.then_any();
        add(&mut targets, Bound::Members, members.clone());
        add(&mut targets, Bound::Order, members);
        // The document is AWS's own: it has no account.
        let (partition, region) = (own.partition(), own.region.unwrap_or_default());
        let document = format!("arn:{partition}:ssm:{region}::document/AWS-RunShellScript");
        add(&mut targets, Bound::Document, Pattern::literal(&document));
        names.insert(group.name.clone());
    }
    add_common(&mut targets, account, extras, extras.log_group.as_deref())?;
    let callers: &[Caller] =
        if extras.log_group.is_some() { &[Caller::Operator, Caller::Person] } else { &[Caller::Operator] };
    Ok(needs(callers, &targets, &BTreeSet::new(), &names))
}

fn add_common(
    targets: &mut Targets,
    account: &Account,
    extras: &Extras,
    log_group: Option<&str>,
) -> Result<(), NeedError> {
    if let Some(name) = log_group {
        let group = account.arn("logs", &format!("log-group:{name}:"), &format!("the log group {name}"))?;
        add(targets, Bound::LogGroup, group.then_any());
    }
    if let Some(ObjectAddress { bucket, key }) = &extras.settings_object {
        let object = format!("arn:{}:s3:::{bucket}/{key}", account.partition());
        add(targets, Bound::SettingsObject, Pattern::literal(&object));
    }
    if targets.contains_key(&Bound::Parameter) || targets.contains_key(&Bound::Secret) {
        extras.keys.iter().for_each(|key| add(targets, Bound::Key, Pattern::literal(key)));
    }
    Ok(())
}

fn add(targets: &mut Targets, on: Bound, pattern: Pattern) {
    let list = targets.entry(on).or_default();
    if !list.contains(&pattern) {
        list.push(pattern);
    }
}

fn add_secrets<'a>(
    targets: &mut Targets,
    account: &Account,
    sources: impl IntoIterator<Item = &'a SecretSource>,
) -> Result<(), NeedError> {
    for source in sources {
        let what = source.to_string();
        match source {
            SecretSource::Ssm(arn) if arn.starts_with("arn:") => add(targets, Bound::Parameter, Pattern::literal(arn)),
            SecretSource::Ssm(name) => {
                // A version or label behind a colon is no part of the resource; the slash before a path is written once.
                let name = name.split(':').next().unwrap_or_default().trim_start_matches('/');
                add(targets, Bound::Parameter, account.arn("ssm", &format!("parameter/{name}"), &what)?);
            }
            SecretSource::SecretsManager { id, .. } if id.starts_with("arn:") => {
                let whole = Pattern::literal(id);
                add(targets, Bound::Secret, if ends_as_given(id) { whole } else { behind_name(whole) });
            }
            SecretSource::SecretsManager { id, .. } => {
                let arn = account.arn("secretsmanager", &format!("secret:{id}"), &what)?;
                add(targets, Bound::Secret, behind_name(arn));
            }
            SecretSource::Inline(_) | SecretSource::File(_) | SecretSource::Env(_) | SecretSource::KeyVault(_) => {}
        }
    }
    Ok(())
}

/// Whether an ARN of a secret ends in what Secrets Manager puts behind a name: a hyphen and six characters (User Guide, "Secrets Manager secrets").
fn ends_as_given(arn: &str) -> bool {
    arn.rsplit_once('-').is_some_and(|(_, end)| end.len() == 6 && end.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn behind_name(secret: Pattern) -> Pattern {
    secret.then("-").then_unknown_characters(6)
}

/// The rows that have a target.
fn needs(callers: &[Caller], targets: &Targets, regions: &BTreeSet<String>, groups: &BTreeSet<String>) -> Vec<Need> {
    let of_row = |row: &&super::Right| callers.contains(&row.caller) && targets.contains_key(&row.on);
    let need = |row: &super::Right| Need {
        action: row.action,
        caller: row.caller,
        on: row.on,
        why: row.why,
        resources: targets[&row.on].clone(),
        conditions: conditions(row.on, regions, groups),
    };
    RIGHTS.iter().filter(of_row).map(need).collect()
}

fn conditions(on: Bound, regions: &BTreeSet<String>, groups: &BTreeSet<String>) -> Vec<Condition> {
    let test = |operator: &str, key: &str, values: BTreeSet<String>| Condition {
        operator: operator.into(),
        key: key.into(),
        values,
    };
    let equals = |key: &str, values| test("StringEquals", key, values);
    let of_a_group = || equals("aws:ResourceTag/aws:autoscaling:groupName", groups.clone());
    match on {
        Bound::Itself => vec![equals("aws:ARN", BTreeSet::from(["${ec2:SourceInstanceARN}".to_owned()]))],
        Bound::Key => {
            let of_region = |region: &String| {
                let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                ["ssm", "secretsmanager"].map(|service| format!("{service}.{region}.{domain}"))
            };
            vec![equals("kms:ViaService", regions.iter().flat_map(of_region).collect())]
        }
        Bound::Members => vec![of_a_group()],
        Bound::Order => {
            let key = BTreeSet::from(["lightsout:order".to_owned()]);
            vec![test("ForAllValues:StringEquals", "aws:TagKeys", key), of_a_group()]
        }
        Bound::Everything
        | Bound::Group
        | Bound::Parameter
        | Bound::Secret
        | Bound::LogGroup
        | Bound::Departures
        | Bound::Roles
        | Bound::SettingsObject
        | Bound::Document => Vec::new(),
    }
}

impl Account {
    /// Where a group and what belongs to it is: as its settings say, or its ARN, or else here.
    fn of(&self, region: Option<&str>, group: &Group) -> Self {
        let (its_region, its_account) = group.place().unzip();
        let text = |first: Option<&str>, second: &Option<String>| first.map(str::to_owned).or_else(|| second.clone());
        Self { id: text(its_account, &self.id), region: text(region.or(its_region), &self.region) }
    }

    /// The partition of the region (AWS General Reference, "Amazon Resource Names").
    fn partition(&self) -> &'static str {
        let region = self.region.as_deref().unwrap_or_default();
        let known = [("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso")];
        known.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
    }

    fn arn(&self, service: &str, rest: &str, what: &str) -> Result<Pattern, NeedError> {
        let region = self.region.as_deref().ok_or_else(|| NeedError::Region(what.to_owned()))?;
        let id = self.id.as_deref().ok_or(NeedError::Account)?;
        Ok(Pattern::literal(&format!("arn:{}:{service}:{region}:{id}:{rest}", self.partition())))
    }

    fn group(&self, group: &Group) -> Result<Pattern, NeedError> {
        if let Some((arn, _, _)) = &group.whole {
            return Ok(Pattern::literal(arn));
        }
        let before = self.arn("autoscaling", "autoScalingGroup:", &format!("the group {}", group.name))?;
        Ok(before.then_unknown().then(":autoScalingGroupName/").then(&group.name))
    }
}
