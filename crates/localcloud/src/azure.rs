//! Azure as a fleet sees it: virtual machine scale sets behind the Resource Manager, what a virtual machine asks of its
//! metadata service, its identities, Key Vault, Application Insights, and a table of Log Analytics.
//!
//! [`model`] is pure and knows no wire; the others stand on it, and none of them knows sockets.

pub(crate) mod arm;
pub(crate) mod identity;
pub(crate) mod ingestion;
pub(crate) mod insights;
pub(crate) mod metadata;
pub mod model;
pub(crate) mod vault;

pub use self::vault::vault_name;
