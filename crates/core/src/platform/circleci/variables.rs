//! The variables of the function that CircleCI's article "Autoscale self-hosted runners in AWS" sets up, and its secret.

use crate::settings::{As, Variable};

pub(super) const VARIABLES: &[Variable] = &[
    Variable::pool("AUTO_SCALING_GROUP_NAME", "group", As::Text),
    Variable::pool("AUTO_SCALING_GROUP_REGION", "region", As::Text),
    Variable::pool("AUTO_SCALING_MAX", "max", As::Number),
    Variable::platform("SECRET_NAME", "token", As::SecretKey("circle_token")),
    Variable::platform("SECRET_NAME", "resource_classes", As::StoredIn("resource_class")),
    Variable::gone(
        "SECRET_REGION",
        "the secret is looked for in the group's region: replicate it there if it is elsewhere",
    ),
];
