//! The variables of the function of StackGuardian's own autoscaler (`sg-runner-autoscaler`).

use crate::settings::{ValueFormat, Variable};

const LEAVE: &str = "instances leave by themselves (`agent.idle_timeout`)";
const NOTHING: &str = "nothing is stored between two ticks";

pub(super) const VARIABLES: &[Variable] = &[
    Variable::pool("AWS_ASG_NAME", "group", ValueFormat::Text),
    Variable::pool(
        "AZURE_VMSS_NAME",
        "group",
        ValueFormat::ScaleSet { subscription: "AZURE_SUBSCRIPTION_ID", resource_group: "AZURE_RESOURCE_GROUP_NAME" },
    ),
    Variable::pool("SCALE_OUT_THRESHOLD", "threshold", ValueFormat::Number),
    Variable::pool("SCALE_OUT_STEP", "max_step", ValueFormat::NumberAbove0),
    Variable::pool("SCALE_OUT_COOLDOWN_DURATION", "cooldown", ValueFormat::Minutes),
    Variable::pool("MIN_RUNNERS", "min", ValueFormat::Number),
    Variable::platform("SG_BASE_URI", "url", ValueFormat::AddressWithout("/api/v1")),
    Variable::platform("SG_API_KEY", "api_key", ValueFormat::Text),
    Variable::platform("SG_ORG", "organization", ValueFormat::Text),
    Variable::platform("SG_RUNNER_GROUP", "runner_group", ValueFormat::Text),
    Variable::gone("SG_RUNNER_TYPE", "the queue is counted the same way for each"),
    Variable::gone("SCALE_IN_THRESHOLD", LEAVE),
    Variable::gone("SCALE_IN_STEP", LEAVE),
    Variable::gone("SCALE_IN_COOLDOWN_DURATION", LEAVE),
    Variable::gone("AWS_BUCKET_NAME", NOTHING),
    Variable::gone("AZURE_BLOB_STORAGE_CONN_STRING", NOTHING),
    Variable::gone("AZURE_BLOB_CONTAINER_NAME", NOTHING),
    Variable::gone("SCALE_IN_TIMESTAMP_BLOB_NAME", NOTHING),
    Variable::gone("SCALE_OUT_TIMESTAMP_BLOB_NAME", NOTHING),
];
