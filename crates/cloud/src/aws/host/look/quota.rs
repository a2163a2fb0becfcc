//! What the account lets run at a time, of the kinds of instances that a group may have.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types::InstanceType;
use lightsout_core::doctor::facts::QuotaFacts;
use serde_json::{Value, json};

use super::super::Calls;
use crate::aws::{
    AwsError, AwsErrorKind, count,
    request::{Call, Service},
};

/// Instances that count towards one quota, by how their types begin, and the quotas' codes (EC2 User Guide, "Amazon EC2 On-Demand Instance quotas",
/// "Spot Instance quotas").
struct Class {
    families: &'static [&'static str],
    on_demand: &'static str,
    spot: &'static str,
}

const CLASSES: &[Class] = &[
    Class {
        families: &["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"],
        on_demand: "L-1216C47A",
        spot: "L-34B43A08",
    },
    Class { families: &["g", "gr", "vt"], on_demand: "L-DB2E81BA", spot: "L-3819A6DF" },
    Class { families: &["p"], on_demand: "L-417A185B", spot: "L-7212CCBC" },
    Class { families: &["x"], on_demand: "L-7295265B", spot: "L-E3A00192" },
    Class { families: &["f"], on_demand: "L-74FC7D96", spot: "L-88CF9481" },
    Class { families: &["inf"], on_demand: "L-1945791B", spot: "L-B5D1601B" },
    Class { families: &["trn"], on_demand: "L-2C3B7624", spot: "L-6B0D517C" },
];

/// How many instances of a group may be bought in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Markets {
    on_demand: u32,
    spot: u32,
}

impl Markets {
    /// Those of this group, whose template asks for Spot by itself or not (EC2 Auto Scaling API reference, `InstancesDistribution`: without a word all
    /// is on-demand).
    pub(super) fn of(group: &scaling::AutoScalingGroup, spot_by_template: bool) -> Self {
        let max = count(group.max_size());
        let Some(policy) = group.mixed_instances_policy() else {
            return if spot_by_template { Self { on_demand: 0, spot: max } } else { Self { on_demand: max, spot: 0 } };
        };
        let distribution = policy.instances_distribution();
        let base = count(distribution.and_then(scaling::InstancesDistribution::on_demand_base_capacity)).min(max);
        let percent = distribution.and_then(scaling::InstancesDistribution::on_demand_percentage_above_base_capacity);
        let percent = percent.map_or(100, |percent| count(Some(percent)).min(100));
        let share = u64::from(max - base) * u64::from(percent);
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self { on_demand: base + narrow(share.div_ceil(100)), spot: max - base - narrow(share / 100) }
    }

    /// Whether any instance may be a Spot one.
    pub(super) fn has_spot(self) -> bool {
        self.spot > 0
    }
}

impl Calls {
    /// The quotas towards which instances of these types count. Types whose quota nobody here knows are left out.
    pub(super) async fn quotas(&self, types: &BTreeSet<&str>, markets: Markets) -> Result<Vec<QuotaFacts>, AwsError> {
        let mut quotas = Vec::new();
        let sizes = self.sizes(types).await?;
        for class in CLASSES {
            let sizes: Vec<u32> = sizes
                .iter()
                .filter(|(kind, _)| class.families.contains(&family(kind)))
                .map(|(_, size)| *size)
                .collect();
            let (Some(smallest), Some(largest)) = (sizes.iter().min(), sizes.iter().max()) else { continue };
            for (code, instances) in [(class.on_demand, markets.on_demand), (class.spot, markets.spot)] {
                if instances > 0 {
                    let (name, limit) = self.quota(code).await?;
                    let most = u64::from(instances) * u64::from(*largest);
                    let name = format!("{name} ({code})");
                    quotas.push(QuotaFacts { name, limit, smallest: *smallest, most, others: None, of_all: false });
                }
            }
        }
        Ok(quotas)
    }

    /// The vCPUs of each type.
    async fn sizes(&self, types: &BTreeSet<&str>) -> Result<BTreeMap<String, u32>, AwsError> {
        const ACTION: &str = "ec2:DescribeInstanceTypes";
        let named = types.iter().map(|kind| InstanceType::from(*kind)).collect();
        let found = self.ec2().await.describe_instance_types().set_instance_types(Some(named)).send().await;
        let found = found.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let size = |info: &aws_sdk_ec2::types::InstanceTypeInfo| {
            let size = info.v_cpu_info().and_then(aws_sdk_ec2::types::VCpuInfo::default_v_cpus);
            Some((info.instance_type()?.as_str().to_owned(), count(Some(size?))))
        };
        Ok(found.instance_types().iter().filter_map(size).collect())
    }

    /// Its name, and the value that holds for this account (Service Quotas API Reference, `GetServiceQuota`).
    async fn quota(&self, code: &str) -> Result<(String, u32), AwsError> {
        const ACTION: &str = "servicequotas:GetServiceQuota";
        let body = json!({"ServiceCode": "ec2", "QuotaCode": code});
        let call = Call::json(ACTION, Service::QUOTAS, "ServiceQuotasV20190624.GetServiceQuota", &body);
        let answer = call.send(self.aws()).await?;
        let unread = |why: String| AwsError::without_code(AwsErrorKind::Other, ACTION, why);
        let said: Value = serde_json::from_slice(&answer).map_err(|error| unread(error.to_string()))?;
        let (name, value) = (said["Quota"]["QuotaName"].as_str(), said["Quota"]["Value"].as_f64());
        let value = value.ok_or_else(|| unread(format!("the answer has no value of the quota {code}")))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast of a float saturates, and a part of a vCPU is none"
        )]
        let value = value as u32;
        Ok((name.unwrap_or_default().to_owned(), value))
    }
}

/// The letters with which a type begins: `m` of `m7i.large`, `inf` of `inf2.xlarge`.
fn family(kind: &str) -> &str {
    &kind[..kind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(kind.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(max: i32, base: Option<i32>, percent: Option<i32>) -> Markets {
        let distribution = scaling::InstancesDistribution::builder()
            .set_on_demand_base_capacity(base)
            .set_on_demand_percentage_above_base_capacity(percent);
        let policy = scaling::MixedInstancesPolicy::builder().instances_distribution(distribution.build()).build();
        Markets::of(&scaling::AutoScalingGroup::builder().max_size(max).mixed_instances_policy(policy).build(), false)
    }

    #[test]
    fn a_part_of_an_instance_counts_as_a_whole_one_in_either_market() {
        let markets = |on_demand, spot| Markets { on_demand, spot };
        assert_eq!(mixed(10, None, None), markets(10, 0));
        assert_eq!(mixed(10, Some(0), Some(0)), markets(0, 10));
        assert_eq!(mixed(10, Some(3), Some(50)), markets(7, 4));
        assert_eq!(mixed(2, Some(5), Some(0)), markets(2, 0));
        let plain = scaling::AutoScalingGroup::builder().max_size(4).build();
        assert_eq!((Markets::of(&plain, false), Markets::of(&plain, true)), (markets(4, 0), markets(0, 4)));
    }

    #[test]
    fn each_family_counts_towards_one_quota_at_most() {
        let code = |kind: &str| {
            let mut found = CLASSES.iter().filter(|class| class.families.contains(&family(kind)));
            let first = found.next().map(|class| class.on_demand);
            assert!(found.next().is_none(), "{kind} has two");
            first
        };
        for kind in ["m7i.large", "t4g.small", "im4gn.large", "is4gen.medium", "z1d.large", "c7gn.16xlarge"] {
            assert_eq!(code(kind), Some("L-1216C47A"), "{kind}");
        }
        assert_eq!(
            (code("g6.xlarge"), code("gr6.4xlarge"), code("vt1.3xlarge")),
            (Some("L-DB2E81BA"), Some("L-DB2E81BA"), Some("L-DB2E81BA"))
        );
        assert_eq!((code("inf2.xlarge"), code("trn1.2xlarge")), (Some("L-1945791B"), Some("L-2C3B7624")));
        assert_eq!((code("p5.48xlarge"), code("x2idn.16xlarge")), (Some("L-417A185B"), Some("L-7295265B")));
        // Of what nobody here knows nothing is claimed.
        assert_eq!((code("u-6tb1.metal"), code("mac2.metal"), code("dl1.24xlarge")), (None, None, None));
    }
}
