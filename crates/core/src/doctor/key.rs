//! The row about the keys with which the volumes of new instances are encrypted.

use std::collections::{BTreeMap, BTreeSet};

use crate::iam::{Bound, Caller, Condition, Need, Pattern, about_role, compare};

use super::{Fact, Judgement, Row, Scope, of, of_each};

/// What a key of one's own needs, in the launch template, in the image, or as the account's default, which counts even where the template names
/// none (EC2 Auto Scaling User Guide, "Required AWS KMS key policy for use with encrypted volumes").
pub(super) const USE_OF_KEY: &str = "in the policy of the key with which new volumes are encrypted, allow the role AWSServiceRoleForAutoScaling (not \
    the instance's) kms:Encrypt, Decrypt, ReEncrypt*, GenerateDataKey*, DescribeKey, and CreateGrant with kms:GrantIsForAWSResource; for another \
    account's key aws kms create-grant from this one with that role as grantee";

/// A key that some new volume needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its ARN, or how it is named where it is not there.
    pub key: String,
    /// What names it, such as `the image ami-1`.
    pub by: String,
    /// Whether it is the cloud's own, which its services may use by themselves.
    pub of_cloud: bool,
    /// Why nobody can use it, in the cloud's words; `None`: it can be used.
    pub unusable: Option<String>,
    /// The address of the role that starts the group's instances.
    pub role: String,
    /// What that role has by grants: the names of operations.
    pub granted: Fact<BTreeSet<String>>,
    /// The key's own policy.
    pub policy: Fact<String>,
}

/// An operation as grants name it, the action as policies do, and whether no volume can be made without it.
const OPERATIONS: [(&str, &str, bool); 7] = [
    ("CreateGrant", "kms:CreateGrant", true),
    ("Decrypt", "kms:Decrypt", true),
    ("GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", true),
    ("DescribeKey", "kms:DescribeKey", false),
    ("Encrypt", "kms:Encrypt", false),
    ("ReEncryptFrom", "kms:ReEncryptFrom", false),
    ("ReEncryptTo", "kms:ReEncryptTo", false),
];

pub(super) const ROWS: &[Row] = &[Row {
    id: "template.key",
    scope: Scope::Workstation,
    meaning: "the role that starts the group's instances may use each key with which their volumes are encrypted: the launch template's, the image's, \
              and the account's own default, which counts where these name none",
    remedy: USE_OF_KEY,
    judge: |facts| of(facts.cloud.as_ref()?.keys.as_ref(), |keys| of_each(keys, judge_key)),
}];

fn judge_key(key: &KeyFacts) -> Option<Judgement> {
    let name = format!("{}, of {}", key.key, key.by);
    if let Some(why) = &key.unusable {
        return Judgement::wrong(format!("{name}: {why}: every instance ends as soon as it starts"));
    }
    if key.of_cloud {
        return Judgement::ok(format!("{name}: the cloud's own, which needs nothing"));
    }
    let nothing = BTreeSet::new();
    let granted = key.granted.as_ref().unwrap_or(&nothing);
    let left = OPERATIONS.iter().filter(|(operation, ..)| !granted.contains(*operation));
    let left: BTreeMap<&str, bool> = left.map(|(_, action, needed)| (*action, *needed)).collect();
    if left.is_empty() {
        return Judgement::ok(format!("{name}: by a grant"));
    }
    let role = key.role.rsplit('/').next().unwrap_or_default();
    let policy = match &key.policy {
        Ok(text) => about_role(text, &key.role).map_err(|error| error.to_string()),
        Err(why) => Err(why.clone()),
    };
    let policy = match policy {
        Ok(policy) => policy,
        Err(why) => return Judgement::unknown(format!("{name}: {why}")),
    };
    let needs: Vec<Need> = left.keys().map(|action| need(action, key)).collect();
    let difference = compare(&needs, &[policy]);
    let told = |findings: &[crate::iam::Finding]| {
        findings.iter().map(|finding| finding.action.clone()).collect::<Vec<_>>().join(", ")
    };
    let missing = &difference.missing;
    if let (false, Err(why)) = (missing.is_empty(), &key.granted) {
        return Judgement::unknown(format!("{name}: its policy does not allow {role} {}, and {why}", told(missing)));
    }
    if missing.iter().any(|finding| left.get(finding.action.as_str()) == Some(&true)) {
        let what = told(missing);
        return Judgement::wrong(format!("{name}: {role} may not {what}: every instance ends as soon as it starts"));
    }
    if !difference.conditional.is_empty() {
        let what = told(&difference.conditional);
        return Judgement::unknown(format!("{name}: whether {role} may {what} hangs on a condition of its policy"));
    }
    if !missing.is_empty() {
        return Judgement::warning(format!("{name}: {role} may not {}", told(missing)));
    }
    Judgement::ok(format!("{name}: by its policy"))
}

/// A service asks for its resources alone, from its own account, by way of EC2 (AWS KMS Developer Guide, "AWS KMS condition keys").
fn need(action: &'static str, key: &KeyFacts) -> Need {
    let test = |operator: &str, name: &str, value: &str| Condition {
        operator: operator.into(),
        key: name.into(),
        values: BTreeSet::from([value.to_owned()]),
    };
    let account = key.role.split(':').nth(4).unwrap_or_default();
    let region = key.key.split(':').nth(3).unwrap_or_default();
    let mut conditions = vec![
        test("StringEquals", "kms:CallerAccount", account),
        test("StringEquals", "aws:PrincipalAccount", account),
        test("StringEquals", "kms:ViaService", &format!("ec2.{region}.amazonaws.com")),
    ];
    if action == "kms:CreateGrant" {
        conditions.push(test("Bool", "kms:GrantIsForAWSResource", "true"));
    }
    let resources = vec![Pattern::literal(&key.key)];
    Need {
        action,
        caller: Caller::Workstation,
        on: Bound::Key,
        why: "starts instances with encrypted volumes",
        resources,
        conditions,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const ROLE: &str =
        "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";

    fn key(granted: &[&str], policy: &str) -> KeyFacts {
        KeyFacts {
            key: "arn:aws:kms:eu-north-1:123456789012:key/1".into(),
            by: "the launch template ci, version 1".into(),
            of_cloud: false,
            unusable: None,
            role: ROLE.into(),
            granted: Ok(granted.iter().map(|name| (*name).to_owned()).collect()),
            policy: Ok(policy.replace("ROLE", ROLE)),
        }
    }

    fn verdict(key: &KeyFacts) -> Verdict {
        judge_key(key).expect("each key is judged").verdict
    }

    #[test]
    fn a_key_is_good_by_grants_or_by_its_policy_and_by_neither_is_wrong() {
        let all: Vec<&str> = OPERATIONS.iter().map(|(operation, ..)| *operation).collect();
        let account = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}}"#;
        assert_eq!(verdict(&key(&all, account)), Verdict::Ok);
        assert_eq!(
            verdict(&key(&[], account)),
            Verdict::Wrong,
            "the account's policies say nothing of a service's role"
        );
        assert_eq!(verdict(&key(&["Decrypt"], account)), Verdict::Wrong);
        // As the module's output kms_key_policy_statements has it.
        let module = r#"{"Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "ROLE"}, "Resource": "*",
             "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]},
            {"Effect": "Allow", "Principal": {"AWS": ["ROLE"]}, "Action": "kms:CreateGrant", "Resource": "*",
             "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}}}]}"#;
        assert_eq!(verdict(&key(&[], module)), Verdict::Ok);
        assert_eq!(
            verdict(&key(&[], &module.replace("ROLE", "arn:aws:iam::123456789012:role/ci-agent"))),
            Verdict::Wrong
        );
        assert_eq!(verdict(&key(&[], &module.replace("kms:CreateGrant", "kms:RetireGrant"))), Verdict::Wrong);
        assert_eq!(verdict(&key(&[], &module.replace("\"kms:Encrypt\", ", ""))), Verdict::Warning);
        let both = key(&["CreateGrant"], &module.replace("kms:CreateGrant", "kms:RetireGrant"));
        assert_eq!(verdict(&both), Verdict::Ok, "one half by a grant, the other by the policy");
    }

    #[test]
    fn conditions_are_taken_for_what_they_are() {
        let policy = |condition: &str| {
            format!(
                r#"{{"Statement": {{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {condition}}}}}"#
            )
        };
        let role = "arn:aws:iam::*:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling*";
        for (condition, wanted) in [
            (format!(r#"{{"ArnLike": {{"aws:PrincipalArn": "{role}"}}}}"#), Verdict::Ok),
            (r#"{"ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::*:role/admin"]}}"#.to_owned(), Verdict::Wrong),
            (
                r#"{"StringEquals": {"kms:CallerAccount": "123456789012", "kms:ViaService": "ec2.eu-north-1.amazonaws.com"}}"#.to_owned(),
                Verdict::Ok,
            ),
            (r#"{"StringEquals": {"aws:PrincipalOrgID": "o-1"}}"#.to_owned(), Verdict::Unknown),
        ] {
            assert_eq!(verdict(&key(&[], &policy(&condition))), wanted, "{condition}");
        }
        let allow = r#"{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}"#;
        let deny = r#"{"Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:CreateGrant", "Resource": "*"}"#;
        assert_eq!(verdict(&key(&[], &format!(r#"{{"Statement": [{allow}, {deny}]}}"#))), Verdict::Wrong);
    }

    #[test]
    fn what_was_not_told_is_not_judged() {
        let account = r#"{"Statement": []}"#;
        let untold = KeyFacts { granted: Err("kms:ListGrants: denied".into()), ..key(&[], account) };
        assert_eq!(verdict(&untold), Verdict::Unknown);
        let untold = KeyFacts { policy: Err("kms:GetKeyPolicy: denied".into()), ..key(&[], account) };
        assert_eq!(verdict(&untold), Verdict::Unknown);
        assert_eq!(verdict(&key(&[], "no JSON")), Verdict::Unknown);
        let gone = KeyFacts { unusable: Some("its state is PendingDeletion".into()), ..key(&[], account) };
        assert_eq!(verdict(&gone), Verdict::Wrong);
        assert_eq!(verdict(&KeyFacts { of_cloud: true, ..key(&[], account) }), Verdict::Ok);
    }
}
