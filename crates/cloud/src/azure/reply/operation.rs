//! How an operation of Azure's went, and why it brought nothing.

use lightsout_core::{
    record::{FailedLaunch, LaunchTrouble},
    redact,
};
use serde::Deserialize;

use crate::azure::error::Detail;

/// The most of a cloud's words that a record holds, in characters.
const WORDS: usize = 300;

/// How an operation went that was begun (Azure Resource Manager, "Track asynchronous Azure operations").
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::azure) struct Operation {
    status: String,
    start_time: Option<String>,
    error: Option<Detail>,
}

/// What is known of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::azure) enum Progress {
    Running,
    Succeeded,
    Failed(FailedLaunch),
}

impl Operation {
    /// What it says; `began` is when it was asked for, if it does not tell.
    pub(in crate::azure) fn progress(self, began: &str) -> Progress {
        match self.status.as_str() {
            "Succeeded" => Progress::Succeeded,
            "Failed" | "Canceled" => {
                let error = self.error.unwrap_or_default().innermost();
                let code = error.code.unwrap_or(self.status);
                let message = format!("{code}: {}", error.message.unwrap_or_default());
                Progress::Failed(FailedLaunch {
                    time: self.start_time.unwrap_or_else(|| began.to_owned()),
                    trouble: trouble(&code),
                    message: redact(&message, WORDS),
                })
            }
            // Words that are newer than this program say nothing yet.
            _ => Progress::Running,
        }
    }
}

/// Why a raise brought nothing (Azure, "Troubleshoot allocation failures", "Resolve errors for SKU not available", "Resolve errors for resource quotas").
fn trouble(code: &str) -> LaunchTrouble {
    match code {
        "AllocationFailed"
        | "ZonalAllocationFailed"
        | "OverconstrainedAllocationRequest"
        | "OverconstrainedZonalAllocationRequest"
        | "SpotAllocationFailed"
        | "SkuNotAvailable" => LaunchTrouble::Capacity,
        "QuotaExceeded" => LaunchTrouble::Quota,
        "KeyVaultAccessForbidden" | "DiskEncryptionSetNotFound" => LaunchTrouble::Key,
        "ImageNotFound"
        | "GalleryImageNotFound"
        | "InvalidParameter"
        | "LinkedAuthorizationFailed"
        | "AuthorizationFailed" => LaunchTrouble::Settings,
        _ => LaunchTrouble::Other,
    }
}
