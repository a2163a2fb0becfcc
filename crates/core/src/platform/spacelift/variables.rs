//! The variables of the function of Spacelift's own autoscaler (`ec2-workerpool-autoscaler`).

use crate::settings::{ValueFormat, Variable};

const LEAVE: &str = "instances leave by themselves (`agent.idle_timeout`)";

pub(super) const VARIABLES: &[Variable] = &[
    Variable::pool("AUTOSCALING_GROUP_ARN", "group", ValueFormat::Group),
    Variable::pool("AUTOSCALING_REGION", "region", ValueFormat::Text),
    Variable::pool("AUTOSCALING_MAX_CREATE", "max_step", ValueFormat::NumberAbove0),
    Variable::pool("AUTOSCALING_TARGET_UTILIZATION_PERCENT", "utilisation", ValueFormat::Number),
    Variable::platform("SPACELIFT_API_KEY_ENDPOINT", "url", ValueFormat::Text),
    Variable::platform("SPACELIFT_API_KEY_ID", "api_key_id", ValueFormat::Text),
    Variable::platform("SPACELIFT_API_KEY_SECRET_NAME", "api_key_secret", ValueFormat::Parameter),
    Variable::platform("SPACELIFT_WORKER_POOL_ID", "worker_pool", ValueFormat::Text),
    Variable::gone("AUTOSCALING_MAX_KILL", LEAVE),
    Variable::gone("AUTOSCALING_SCALE_DOWN_DELAY", LEAVE),
    Variable::gone("AUTOSCALING_SCALE_DOWN_DELAY_USE_IDLE_TIME", LEAVE),
    Variable::gone("AUTOSCALING_CAPACITY_SANITY_CHECK", "nothing is ever lowered; `pool.max` bounds the capacity"),
    Variable::gone("SPACELIFT_CA_BUNDLE", "put the certificates in the package and name them in `SSL_CERT_FILE`"),
    Variable::gone(
        "SPACELIFT_CA_BUNDLE_SECRET_ARN",
        "put the certificates in the package and name them in `SSL_CERT_FILE`",
    ),
];
