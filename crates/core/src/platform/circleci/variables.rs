//! The variables of the function that CircleCI's article "Autoscale self-hosted runners in AWS" sets up, and its secret.

use crate::settings::{ValueFormat, Variable};

pub(super) const VARIABLES: &[Variable] = &[
    Variable::pool("AUTO_SCALING_GROUP_NAME", "group", ValueFormat::Text),
    Variable::pool("AUTO_SCALING_GROUP_REGION", "region", ValueFormat::Text),
    Variable::pool("AUTO_SCALING_MAX", "max", ValueFormat::Number),
    Variable::platform("SECRET_NAME", "token", ValueFormat::SecretKey("circle_token")),
    Variable::platform("SECRET_NAME", "resource_classes", ValueFormat::StoredIn("resource_class")),
    Variable::gone(
        "SECRET_REGION",
        "the secret is looked for in the group's region: replicate it there if it is elsewhere",
    ),
];
