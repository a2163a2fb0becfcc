//! What kind of machine an instance is: what its price depends on.

use serde::{Deserialize, Serialize};

/// The kind of a machine, as far as its cloud tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Machine {
    /// Its type, such as `m7i.large` or `Standard_D4s_v5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// Whether it is a spot instance: cheaper, and the cloud may take it back. `Some(false)`: it was bought on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<bool>,
}
