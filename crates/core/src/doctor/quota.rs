//! The row about what the account lets run at a time.

use super::{Judgement, Row, Scope, of};

/// A limit of the account on what runs at a time, for the kinds of instances of a group that count towards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaFacts {
    /// What the cloud calls it.
    pub name: String,
    /// The most processors (vCPUs) that may run at a time, of all groups and of whatever else runs.
    pub limit: u32,
    /// The processors of the smallest kind of instance.
    pub smallest: u32,
    /// The processors of all instances that the group may have, were each of the largest kind.
    pub most: u64,
    /// The processors that others use of it now; `None`: that is not looked at.
    pub others: Option<u32>,
    /// Whether each instance of the group counts towards it: none starts then where it is used up, whatever is left of others.
    pub of_all: bool,
}

impl QuotaFacts {
    fn told(&self) -> String {
        let others = self.others.map_or_else(String::new, |others| format!(", {others} of which others use"));
        format!("{}: {} vCPUs{others}, and the group may want {}", self.name, self.limit, self.most)
    }

    /// The processors that are left for the group.
    fn left(&self) -> u32 {
        self.limit.saturating_sub(self.others.unwrap_or_default())
    }

    /// Whether not even the smallest kind of instance has room.
    fn is_used_up(&self) -> bool {
        self.left() < self.smallest
    }
}

pub(super) const ROWS: &[Row] = &[Row {
    id: "group.quota",
    scope: Scope::Workstation,
    meaning: "the account's quotas of vCPUs let all instances run that the group may have; what else runs in the account counts towards them, too, and is \
              looked at on Azure alone",
    remedy: "ask for a higher quota, which may take days: aws service-quotas request-service-quota-increase --region {region} --service-code ec2 \
             --quota-code CODE --desired-value N; on Azure az quota update, or the page Quotas of the portal; or lower the group's maximum",
    judge: |facts| {
        of(facts.cloud.as_ref()?.quotas.as_ref(), |quotas| {
            let short: Vec<_> = quotas.iter().filter(|quota| u64::from(quota.left()) < quota.most).collect();
            let told = |quotas: &[&QuotaFacts]| quotas.iter().map(|quota| quota.told()).collect::<Vec<_>>().join("\n");
            if quotas.is_empty() {
                None
            } else if short.is_empty() {
                Judgement::ok(told(&quotas.iter().collect::<Vec<_>>()))
            } else if quotas.iter().any(|quota| quota.of_all && quota.is_used_up())
                || quotas.iter().all(QuotaFacts::is_used_up)
            {
                Judgement::wrong(format!("{}: nothing can start", told(&short)))
            } else {
                Judgement::warning(told(&short))
            }
        })
    },
}];
