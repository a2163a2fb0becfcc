//! What a role may do: by a simulation, or else by the policies that are attached to it.

use std::borrow::Cow;

use lightsout_core::{
    doctor::facts::Fact,
    iam::{Difference, Finding, Need, Pattern, Policy, compare},
};

use crate::{
    RoleName, RoleRights,
    aws::{
        Aws, AwsError, AwsErrorKind,
        request::{Call, Service, element, elements},
    },
};

const VERSION: &str = "2010-05-08";
/// No role has so many policies, of either kind (IAM User Guide, "IAM and AWS STS quotas"), in pages of a hundred.
const MOST_PAGES: usize = 20;

/// How the rights of this role differ from what is needed.
pub(in crate::aws) async fn role(aws: &Aws, role: &RoleName, needs: &[Need]) -> RoleRights {
    let address = match role {
        RoleName::Address(address) => Ok(address.clone()),
        RoleName::Profile(name) => of_profile(aws, name).await,
    };
    let address = match address {
        Ok(address) => address,
        Err(error) => {
            let name = match role {
                RoleName::Address(name) | RoleName::Profile(name) => name.clone(),
            };
            return RoleRights { name, by: "nothing", difference: Err(error.to_string()) };
        }
    };
    let name = address.rsplit('/').next().unwrap_or_default().to_owned();
    match simulated(aws, &address, needs).await {
        Ok(difference) => RoleRights { name, by: "simulation", difference: Ok(difference) },
        Err(error) if error.kind == AwsErrorKind::Denied => {
            let attached = attached(aws, &name).await;
            let difference = attached.map(|policies| compare(needs, &policies));
            RoleRights { name, by: "its policies", difference: difference.map_err(|why| format!("{error}\n{why}")) }
        }
        Err(error) => RoleRights { name, by: "simulation", difference: Err(error.to_string()) },
    }
}

/// Whether the account has a role of this name.
pub(in crate::aws) async fn has_role(aws: &Aws, name: &str) -> Result<bool, AwsError> {
    match ask(aws, "iam:GetRole", &[("RoleName", name)]).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == AwsErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn of_profile(aws: &Aws, name: &str) -> Result<String, AwsError> {
    const ACTION: &str = "iam:GetInstanceProfile";
    let answer = ask(aws, ACTION, &[("InstanceProfileName", name)]).await?;
    elements(&answer, "Arn").into_iter().find(|arn| arn.contains(":role/")).ok_or_else(|| {
        let message = format!("the instance profile {name} has no role: instances have no rights at all");
        AwsError::without_code(AwsErrorKind::NotFound, ACTION, message)
    })
}

/// One question for all that is needed on the same thing under the same condition.
async fn simulated(aws: &Aws, address: &str, needs: &[Need]) -> Result<Difference, AwsError> {
    const ACTION: &str = "iam:SimulatePrincipalPolicy";
    let mut questions: Vec<(&Pattern, Vec<&Need>)> = Vec::new();
    for need in needs {
        for resource in &need.resources {
            let same = |(on, of): &&mut (&Pattern, Vec<&Need>)| *on == resource && of[0].conditions == need.conditions;
            match questions.iter_mut().find(same) {
                Some((_, of)) => of.push(need),
                None => questions.push((resource, vec![need])),
            }
        }
    }
    let mut difference = Difference::default();
    for (resource, needs) in questions {
        let (sample, whole) = resource.sample();
        let everything = *resource == Pattern::everything();
        let mut form = vec![("PolicySourceArn".to_owned(), address.to_owned())];
        form.extend((1..).zip(&needs).map(|(n, need)| (format!("ActionNames.member.{n}"), need.action.to_owned())));
        if !everything {
            form.push(("ResourceArns.member.1".into(), sample.clone()));
        }
        for (n, (key, value)) in (1..).zip(context(needs[0], &sample)) {
            form.push((format!("ContextEntries.member.{n}.ContextKeyName"), key));
            form.push((format!("ContextEntries.member.{n}.ContextKeyType"), "string".into()));
            form.push((format!("ContextEntries.member.{n}.ContextKeyValues.member.1"), value));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answer = ask(aws, ACTION, &form).await?;
        let results = results(&answer);
        for need in needs {
            let of_it = |result: &&&str| {
                element(result, "EvalActionName").is_some_and(|action| action.eq_ignore_ascii_case(need.action))
            };
            let result = results.iter().find(of_it).copied().unwrap_or_default();
            let decision = element(result, "EvalDecision");
            let said = decision.as_deref().unwrap_or("not told");
            if said == "allowed" {
                continue;
            }
            let untold = untold(result);
            let without = if untold.is_empty() { String::new() } else { format!(", without {}", untold.join(", ")) };
            let finding = Finding {
                action: need.action.into(),
                resource: resource.to_string(),
                why: format!("{}; {said}{without}", need.why),
            };
            // What was asked about is an example where the name is not known, and a condition of its own making where there is one. A condition of
            // the role or its boundary decides where the simulation was not told what it asks for, such as the tags of what is called.
            if (whole || everything) && need.conditions.is_empty() && untold.is_empty() {
                difference.missing.push(finding);
            } else {
                difference.conditional.push(finding);
            }
        }
    }
    Ok(difference)
}

/// The results of a simulation, one for each action: members that have members themselves.
fn results(answer: &str) -> Vec<&str> {
    const OPEN: &str = "<member>";
    const CLOSE: &str = "</member>";
    let Some((_, mut rest)) = answer.split_once("<EvaluationResults>") else { return Vec::new() };
    let mut all = Vec::new();
    while let Some(begin) = rest.find(OPEN) {
        let body = &rest[begin + OPEN.len()..];
        // Its own end is the first that no member within it has begun.
        let end = body.match_indices(CLOSE).map(|(at, _)| at).zip(0..);
        let Some((end, _)) = end.into_iter().find(|(at, closed)| body[..*at].matches(OPEN).count() == *closed) else {
            break;
        };
        all.push(&body[..end]);
        rest = &body[end + CLOSE.len()..];
    }
    all
}

/// The keys of conditions that were asked for and not given (IAM API reference, `EvaluationResult`, `MissingContextValues`).
fn untold(result: &str) -> Vec<String> {
    let lists =
        result.split("<MissingContextValues>").skip(1).filter_map(|rest| rest.split("</MissingContextValues>").next());
    let mut keys: Vec<String> = lists.flat_map(|list| elements(list, "member")).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What a request would bring along under which the condition of what is needed holds.
fn context(need: &Need, resource: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for condition in &need.conditions {
        let Some(value) = condition.values.first() else { continue };
        match value.strip_prefix("${").and_then(|value| value.strip_suffix('}')) {
            Some(variable) => {
                all.extend([condition.key.as_str(), variable].map(|key| (key.to_owned(), resource.to_owned())));
            }
            None => all.push((condition.key.clone(), value.clone())),
        }
    }
    all
}

/// All policies of a role, those within it and those that it shares.
async fn attached(aws: &Aws, role: &str) -> Fact<Vec<Policy>> {
    let said = |error: AwsError| error.to_string();
    let parsed = |name: &str, document: Option<String>| {
        let text = document.map(|text| decoded(&text).into_owned()).unwrap_or_default();
        Policy::parse(&text).map_err(|error| format!("the policy {name}: {error}"))
    };
    let mut policies = Vec::new();
    let of_role = [("RoleName", role)];
    let own = listed(aws, "iam:ListRolePolicies", &of_role, |page| {
        page.split_once("<PolicyNames>").map_or_else(Vec::new, |(_, names)| elements(names, "member"))
    });
    for name in own.await.map_err(said)? {
        let answer = ask(aws, "iam:GetRolePolicy", &[("RoleName", role), ("PolicyName", &name)]).await.map_err(said)?;
        policies.push(parsed(&name, element(&answer, "PolicyDocument"))?);
    }
    let shared = listed(aws, "iam:ListAttachedRolePolicies", &of_role, |page| elements(page, "PolicyArn"));
    for arn in shared.await.map_err(said)? {
        let answer = ask(aws, "iam:GetPolicy", &[("PolicyArn", &arn)]).await.map_err(said)?;
        let version = element(&answer, "DefaultVersionId").unwrap_or_default();
        let of_version = [("PolicyArn", arn.as_str()), ("VersionId", version.as_str())];
        let answer = ask(aws, "iam:GetPolicyVersion", &of_version).await.map_err(said)?;
        policies.push(parsed(&arn, element(&answer, "Document"))?);
    }
    Ok(policies)
}

/// What all pages list.
async fn listed(
    aws: &Aws,
    action: &'static str,
    form: &[(&str, &str)],
    names: impl Fn(&str) -> Vec<String>,
) -> Result<Vec<String>, AwsError> {
    let (mut all, mut marker) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let mut form = form.to_vec();
        form.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = ask(aws, action, &form).await?;
        all.extend(names(&page));
        marker = element(&page, "Marker");
        if marker.is_none() {
            break;
        }
    }
    Ok(all)
}

/// One call of IAM, and its answer in XML.
async fn ask(aws: &Aws, action: &'static str, form: &[(&str, &str)]) -> Result<String, AwsError> {
    let fields = form.iter().map(|(key, value)| ((*key).to_owned(), *value));
    let answer = Call::query(action, Service::IAM, VERSION, fields).send(aws).await?;
    String::from_utf8(answer)
        .map_err(|_| AwsError::without_code(AwsErrorKind::Other, action, "the answer is no text".into()))
}

/// Documents of policies are percent-encoded within XML (IAM API reference, `GetRolePolicy`).
fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use lightsout_core::iam::{Bound, Caller};
    use lightsout_io::testing::{Answer, Server};

    use super::*;
    use crate::aws::tests::towards;

    /// An answer with a result for each: action, decision, and the keys without a value, in the order that the API reference shows.
    fn answer(results: &[(&str, &str, &[&str])]) -> String {
        let member = |(action, decision, keys): &(&str, &str, &[&str])| {
            let keys: String = keys.iter().map(|key| format!("<member>{key}</member>")).collect();
            format!(
                "<member><MatchedStatements><member><SourcePolicyId>p</SourcePolicyId></member></MatchedStatements>\
                 <MissingContextValues>{keys}</MissingContextValues><EvalDecision>{decision}</EvalDecision>\
                 <EvalActionName>{action}</EvalActionName></member>"
            )
        };
        let results: String = results.iter().map(member).collect();
        format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>\
             <EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        )
    }

    #[tokio::test]
    async fn what_hangs_on_a_condition_that_cannot_be_asked_about_is_not_called_missing() {
        let server = Server::start(|_, _| {
            Answer::ok(answer(&[
                ("autoscaling:SetDesiredCapacity", "implicitDeny", &["aws:ResourceTag/team"]),
                ("autoscaling:DescribeAutoScalingGroups", "allowed", &["aws:PrincipalTag/team"]),
                ("autoscaling:SetInstanceHealth", "implicitDeny", &[]),
                ("autoscaling:SetInstanceProtection", "explicitDeny", &["aws:SourceVpc"]),
            ]))
        })
        .await;
        let need = |action| Need {
            action,
            caller: Caller::Scaler,
            on: Bound::Group,
            why: "raises",
            resources: vec![Pattern::literal(
                "arn:aws:autoscaling:eu-north-1:1:autoScalingGroup:a:autoScalingGroupName/ci",
            )],
            conditions: Vec::new(),
        };
        let needs = [
            "autoscaling:SetDesiredCapacity",
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:SetInstanceHealth",
            "autoscaling:SetInstanceProtection",
        ]
        .map(need);
        let by = RoleName::Address("arn:aws:iam::1:role/ci".into());
        let difference = role(&towards(&server.url).await, &by, &needs).await.difference.expect("an answer");
        let actions = |found: &[Finding]| found.iter().map(|it| it.action.clone()).collect::<Vec<_>>();
        assert_eq!(actions(&difference.missing), ["autoscaling:SetInstanceHealth"]);
        assert_eq!(
            actions(&difference.conditional),
            ["autoscaling:SetDesiredCapacity", "autoscaling:SetInstanceProtection"]
        );
        assert!(difference.conditional[0].why.contains("aws:ResourceTag/team"), "{difference:?}");
    }
}
