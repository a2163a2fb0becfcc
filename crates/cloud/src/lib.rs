//! The clouds: groups as the scaler sees them, an instance as its agent sees it.

pub mod aws;
