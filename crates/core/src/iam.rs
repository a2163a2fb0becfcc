//! The rights that agent, scaler and operators need of AWS: one table of what they call and why, from which follow the least policy for given settings and
//! how one that is attached differs from it.

mod attached;
mod difference;
mod needs;
mod pattern;
mod policy;
mod resource_policy;
mod table;

pub use attached::{Policy, PolicyError};
pub use difference::{Difference, Finding, compare};
pub use needs::{
    Account, Condition, Extras, Group, Need, NeedError, of_agent, of_any_agent, of_operator, of_scaler, of_workstation,
};
pub use pattern::Pattern;
pub use policy::{MANAGED_POLICY_CHARACTERS, characters, policy};
pub use resource_policy::about_role;
pub use table::{Bound, Caller, RIGHTS, Right};
