//! IAM on the wire: roles, instance profiles, policies, and what a role may.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    error::{AwsError, CallResult},
    form::{Form, Service},
    xml::Xml,
};
use crate::aws::model::{Cloud, Iam, Role};

/// The version of every policy: each has one.
const VERSION: &str = "v1";

pub(crate) fn call(cloud: &mut Cloud, action: &str, form: &Form<'_>) -> CallResult {
    let account = cloud.options().account.clone();
    let account = Account(&account);
    let iam = &mut cloud.iam;
    match action {
        "CreateRole" => create_role(iam, form, &account),
        "GetRole" => {
            let (name, role) = role(iam, form)?;
            Ok(Some(single("Role", |xml| account.write_role(xml, name, role))))
        }
        "DeleteRole" => {
            let name = role(iam, form)?.0.to_owned();
            iam.roles.remove(&name);
            Ok(None)
        }
        "CreateServiceLinkedRole" => create_service_linked_role(iam, form, &account),
        "CreateInstanceProfile" => {
            let name = form.need("InstanceProfileName")?;
            if iam.profiles.insert(name.to_owned(), None).is_some() {
                return Err(exists(&format!("Instance Profile {name}")));
            }
            Ok(Some(single("InstanceProfile", |xml| account.write_profile(xml, name, None))))
        }
        "AddRoleToInstanceProfile" => {
            let name = role(iam, form)?.0.to_owned();
            *profile_mut(iam, form)? = Some(name);
            Ok(None)
        }
        "RemoveRoleFromInstanceProfile" => {
            *profile_mut(iam, form)? = None;
            Ok(None)
        }
        "GetInstanceProfile" => {
            let name = form.need("InstanceProfileName")?;
            let role = iam.profiles.get(name).ok_or_else(|| no_profile(name))?;
            // A role that was deleted takes its place in profiles with it.
            let role = role.as_deref().and_then(|role| Some((role, iam.roles.get(role)?)));
            Ok(Some(single("InstanceProfile", |xml| account.write_profile(xml, name, role))))
        }
        "PutRolePolicy" => {
            let (policy, document) = (form.need("PolicyName")?.to_owned(), document(form, "PolicyDocument")?);
            role_mut(iam, form)?.inline.insert(policy, document);
            Ok(None)
        }
        "DeleteRolePolicy" => {
            let policy = form.need("PolicyName")?;
            role_mut(iam, form)?.inline.remove(policy).ok_or_else(|| no_policy(policy))?;
            Ok(None)
        }
        "GetRolePolicy" => get_role_policy(iam, form),
        "ListRolePolicies" => {
            let mut xml = Xml::default();
            xml.texts("PolicyNames", "member", role(iam, form)?.1.inline.keys());
            xml.text("IsTruncated", false);
            Ok(Some(xml))
        }
        "CreatePolicy" => {
            let name = form.need("PolicyName")?;
            if iam.policies.insert(name.to_owned(), document(form, "PolicyDocument")?).is_some() {
                return Err(exists(&format!("A policy called {name}")));
            }
            Ok(Some(single("Policy", |xml| account.write_policy(xml, name))))
        }
        "GetPolicy" => {
            let (name, _) = policy(iam, form)?;
            Ok(Some(single("Policy", |xml| account.write_policy(xml, name))))
        }
        "GetPolicyVersion" => {
            let (_, text) = policy(iam, form)?;
            if form.need("VersionId")? != VERSION {
                return Err(not_found("This policy has no such version."));
            }
            Ok(Some(single("PolicyVersion", |xml| {
                xml.text("Document", utf8_percent_encode(text, NON_ALPHANUMERIC));
                xml.text("VersionId", VERSION);
                xml.text("IsDefaultVersion", true);
            })))
        }
        "AttachRolePolicy" | "DetachRolePolicy" => {
            let name = policy(iam, form)?.0.to_owned();
            let attached = &mut role_mut(iam, form)?.attached;
            if action == "AttachRolePolicy" {
                attached.insert(name);
            } else if !attached.remove(&name) {
                return Err(no_policy(&name));
            }
            Ok(None)
        }
        "ListAttachedRolePolicies" => {
            let mut xml = Xml::default();
            xml.list("AttachedPolicies", "member", &role(iam, form)?.1.attached, |xml, name| {
                xml.text("PolicyName", name);
                xml.text("PolicyArn", account.arn("policy", name));
            });
            xml.text("IsTruncated", false);
            Ok(Some(xml))
        }
        "SimulatePrincipalPolicy" => simulate(iam, form),
        _ => Err(AwsError::unknown_action(action, Service::Iam.version())),
    }
}

fn create_role(iam: &mut Iam, form: &Form<'_>, account: &Account<'_>) -> CallResult {
    let name = form.need("RoleName")?;
    let role = Role { trust: document(form, "AssumeRolePolicyDocument")?, ..Role::default() };
    if iam.roles.contains_key(name) {
        return Err(exists(&format!("Role with name {name}")));
    }
    let shown = single("Role", |xml| account.write_role(xml, name, &role));
    iam.roles.insert(name.to_owned(), role);
    Ok(Some(shown))
}

/// One of a service has its name from there, and there is one of each.
fn create_service_linked_role(iam: &mut Iam, form: &Form<'_>, account: &Account<'_>) -> CallResult {
    let service = form.need("AWSServiceName")?;
    let name = match service {
        "autoscaling.amazonaws.com" => "AWSServiceRoleForAutoScaling",
        "spot.amazonaws.com" => "AWSServiceRoleForEC2Spot",
        _ => return Err(AwsError::new("InvalidInput", "There is no such service here.")),
    };
    if iam.roles.contains_key(name) {
        let message =
            format!("Service role name {name} has been taken in this account, please try a different suffix.");
        return Err(AwsError::new("InvalidInput", &message));
    }
    let trust = format!(
        r#"{{"Statement": {{"Effect": "Allow", "Principal": {{"Service": "{service}"}}, "Action": "sts:AssumeRole"}}}}"#
    );
    let role = Role { trust, ..Role::default() };
    let shown = single("Role", |xml| account.write_role(xml, name, &role));
    iam.roles.insert(name.to_owned(), role);
    Ok(Some(shown))
}

fn get_role_policy(iam: &Iam, form: &Form<'_>) -> CallResult {
    let (name, role) = role(iam, form)?;
    let policy = form.need("PolicyName")?;
    let text = role.inline.get(policy).ok_or_else(|| no_policy(policy))?;
    let mut xml = Xml::default();
    xml.text("RoleName", name);
    xml.text("PolicyName", policy);
    xml.text("PolicyDocument", utf8_percent_encode(text, NON_ALPHANUMERIC));
    Ok(Some(xml))
}

/// `SimulatePrincipalPolicy` of a role, for actions on resources that are named, or on all.
fn simulate(iam: &Iam, form: &Form<'_>) -> CallResult {
    let source = form.need("PolicySourceArn")?;
    let name = source.split_once(":role/").map(|(_, path)| path.rsplit('/').next().unwrap_or_default());
    let role =
        name.and_then(|name| iam.roles.get(name)).ok_or_else(|| not_found(&format!("{source} does not exist.")))?;
    let (actions, mut resources) = (form.need_list("ActionNames")?, form.list("ResourceArns"));
    if resources.is_empty() {
        resources.push("*");
    }
    let entries = form.structures("ContextEntries");
    let context: BTreeMap<String, String> = entries
        .iter()
        .filter_map(|entry| {
            Some((entry.text("ContextKeyName")?.to_lowercase(), (*entry.list("ContextKeyValues").first()?).to_owned()))
        })
        .collect();
    let mut xml = Xml::default();
    let pairs: Vec<_> =
        actions.iter().flat_map(|action| resources.iter().map(move |resource| (*action, *resource))).collect();
    xml.list("EvaluationResults", "member", pairs, |xml, (action, resource)| {
        xml.text("EvalActionName", action);
        xml.text("EvalResourceName", resource);
        xml.text("EvalDecision", iam.decide(role, action, resource, &context).as_str());
        xml.node("MatchedStatements", |_| {});
        xml.node("MissingContextValues", |_| {});
    });
    xml.text("IsTruncated", false);
    Ok(Some(xml))
}

/// Names of things in an account.
struct Account<'a>(&'a str);

impl Account<'_> {
    fn arn(&self, kind: &str, name: &str) -> String {
        format!("arn:aws:iam::{}:{kind}/{name}", self.0)
    }

    fn write_role(&self, xml: &mut Xml, name: &str, role: &Role) {
        xml.text("Path", "/");
        xml.text("RoleName", name);
        xml.text("RoleId", "AROALOCALCLOUD");
        xml.text("Arn", self.arn("role", name));
        xml.text("CreateDate", "2026-01-01T00:00:00Z");
        xml.text("AssumeRolePolicyDocument", utf8_percent_encode(&role.trust, NON_ALPHANUMERIC));
    }

    fn write_profile(&self, xml: &mut Xml, name: &str, role: Option<(&str, &Role)>) {
        xml.text("Path", "/");
        xml.text("InstanceProfileName", name);
        xml.text("InstanceProfileId", "AIPALOCALCLOUD");
        xml.text("Arn", self.arn("instance-profile", name));
        xml.text("CreateDate", "2026-01-01T00:00:00Z");
        xml.list("Roles", "member", role, |xml, (name, role)| self.write_role(xml, name, role));
    }

    fn write_policy(&self, xml: &mut Xml, name: &str) {
        xml.text("PolicyName", name);
        xml.text("PolicyId", "ANPALOCALCLOUD");
        xml.text("Arn", self.arn("policy", name));
        xml.text("Path", "/");
        xml.text("DefaultVersionId", VERSION);
        xml.text("IsAttachable", true);
    }
}

fn single(name: &str, content: impl FnOnce(&mut Xml)) -> Xml {
    let mut xml = Xml::default();
    xml.node(name, content);
    xml
}

fn role<'c>(iam: &'c Iam, form: &Form<'_>) -> Result<(&'c str, &'c Role), AwsError> {
    let name = form.need("RoleName")?;
    let found = iam.roles.get_key_value(name);
    found.map(|(name, role)| (name.as_str(), role)).ok_or_else(|| no_role(name))
}

fn role_mut<'c>(iam: &'c mut Iam, form: &Form<'_>) -> Result<&'c mut Role, AwsError> {
    let name = form.need("RoleName")?;
    iam.roles.get_mut(name).ok_or_else(|| no_role(name))
}

fn profile_mut<'c>(iam: &'c mut Iam, form: &Form<'_>) -> Result<&'c mut Option<String>, AwsError> {
    let name = form.need("InstanceProfileName")?;
    iam.profiles.get_mut(name).ok_or_else(|| no_profile(name))
}

fn policy<'c>(iam: &'c Iam, form: &Form<'_>) -> Result<(&'c str, &'c str), AwsError> {
    let arn = form.need("PolicyArn")?;
    let found = iam.policies.get_key_value(arn.rsplit('/').next().unwrap_or_default());
    found.map(|(name, text)| (name.as_str(), text.as_str())).ok_or_else(|| no_policy(arn))
}

fn document(form: &Form<'_>, key: &str) -> Result<String, AwsError> {
    let text = form.need(key)?;
    let malformed = |_| AwsError::new("MalformedPolicyDocument", "This policy contains invalid Json");
    serde_json::from_str::<Value>(text).map_err(malformed)?;
    Ok(text.to_owned())
}

fn not_found(message: &str) -> AwsError {
    AwsError { status: 404, code: "NoSuchEntity", message: message.to_owned() }
}

fn no_role(name: &str) -> AwsError {
    not_found(&format!("The role with name {name} cannot be found."))
}

fn no_profile(name: &str) -> AwsError {
    not_found(&format!("Instance Profile {name} cannot be found."))
}

fn no_policy(name: &str) -> AwsError {
    not_found(&format!("The role policy with name {name} cannot be found."))
}

fn exists(what: &str) -> AwsError {
    AwsError { status: 409, code: "EntityAlreadyExists", message: format!("{what} already exists.") }
}
