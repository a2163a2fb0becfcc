//! The kinds of resources that are kept as they were written, and what Azure itself says of each beside that.

use serde_json::{Value, json};

use super::{
    show::{self, Written},
    sites,
};
use crate::azure::identity::{application_id, instrumentation_key};

/// A kind of resource.
pub(super) struct Kind {
    /// Its type, as Azure writes it.
    pub(super) name: &'static str,
    pub(super) operations: Operations,
    /// What must be in one that is written.
    pub(super) needs: &'static [&'static str],
    /// Adds what Azure itself says of it.
    pub(super) complete: fn(&Written<'_>, &mut Value),
    /// Whether it is a part of another resource, which must be there: that has a location, and it has none.
    pub(super) is_part: bool,
}

/// What the calls about it are called in Azure's own description of its API; `Unknown`: it is not taken here.
pub(super) struct Operations {
    pub(super) get: &'static str,
    pub(super) list: &'static str,
    pub(super) list_all: &'static str,
    pub(super) put: &'static str,
    pub(super) patch: &'static str,
    pub(super) delete: &'static str,
}

/// What is not taken.
pub(super) const UNKNOWN: &str = "Unknown";

pub(super) const KINDS: [Kind; 7] = [
    Kind {
        name: "Microsoft.Compute/images",
        operations: Operations {
            get: "Images_Get",
            list: "Images_ListByResourceGroup",
            list_all: "Images_List",
            put: "Images_CreateOrUpdate",
            patch: UNKNOWN,
            delete: "Images_Delete",
        },
        needs: &[],
        complete: |_, _| (),
        is_part: false,
    },
    Kind {
        name: "Microsoft.Compute/galleries/images/versions",
        operations: Operations {
            get: "GalleryImageVersions_Get",
            list: "GalleryImageVersions_ListByGalleryImage",
            list_all: UNKNOWN,
            put: "GalleryImageVersions_CreateOrUpdate",
            patch: UNKNOWN,
            delete: "GalleryImageVersions_Delete",
        },
        needs: &[],
        complete: published,
        is_part: false,
    },
    Kind {
        name: "Microsoft.Network/virtualNetworks",
        operations: Operations {
            get: "VirtualNetworks_Get",
            list: "VirtualNetworks_List",
            list_all: "VirtualNetworks_ListAll",
            put: "VirtualNetworks_CreateOrUpdate",
            patch: UNKNOWN,
            delete: "VirtualNetworks_Delete",
        },
        needs: &[],
        complete: network,
        is_part: false,
    },
    Kind {
        name: "Microsoft.KeyVault/vaults",
        operations: Operations {
            get: "Vaults_Get",
            list: "Vaults_ListByResourceGroup",
            list_all: "Vaults_ListBySubscription",
            put: "Vaults_CreateOrUpdate",
            patch: "Vaults_Update",
            delete: "Vaults_Delete",
        },
        needs: &["/properties/tenantId", "/properties/sku/name"],
        complete: vault,
        is_part: false,
    },
    Kind {
        name: sites::KIND,
        operations: Operations {
            get: "WebApps_Get",
            list: "WebApps_ListByResourceGroup",
            list_all: "WebApps_List",
            put: "WebApps_CreateOrUpdate",
            patch: "WebApps_Update",
            delete: "WebApps_Delete",
        },
        needs: &[],
        complete: sites::complete,
        is_part: false,
    },
    Kind {
        name: "Microsoft.Web/sites/functions",
        operations: Operations {
            get: "WebApps_GetFunction",
            list: "WebApps_ListFunctions",
            list_all: UNKNOWN,
            put: "WebApps_CreateFunction",
            patch: UNKNOWN,
            delete: "WebApps_DeleteFunction",
        },
        needs: &["/properties/config"],
        complete: sites::complete_function,
        is_part: true,
    },
    Kind {
        name: "Microsoft.Insights/components",
        operations: Operations {
            get: "Components_Get",
            list: "Components_ListByResourceGroup",
            list_all: "Components_List",
            put: "Components_CreateOrUpdate",
            patch: UNKNOWN,
            delete: "Components_Delete",
        },
        needs: &[],
        complete: component,
        is_part: false,
    },
];

/// The kind of what has this path, or of all that a list of this path has.
pub(super) fn of_path(path: &str) -> Option<&'static Kind> {
    let below: Vec<&str> = show::below(path).collect();
    of(&below)
}

/// The same of those parts.
pub(super) fn of(below: &[&str]) -> Option<&'static Kind> {
    let (provider, rest) = below.split_first()?;
    let kind = [*provider].into_iter().chain(rest.iter().step_by(2).copied()).collect::<Vec<_>>().join("/");
    KINDS.iter().find(|known| known.name.eq_ignore_ascii_case(&kind))
}

fn published(written: &Written<'_>, version: &mut Value) {
    let profile = &mut version["properties"]["publishingProfile"];
    if profile.is_object() && profile["publishedDate"].is_null() {
        profile["publishedDate"] = json!(written.now.to_string());
    }
}

fn network(written: &Written<'_>, network: &mut Value) {
    for subnet in network["properties"]["subnets"].as_array_mut().into_iter().flatten() {
        let name = subnet["name"].as_str().unwrap_or_default();
        subnet["id"] = json!(format!("{}/subnets/{name}", written.path));
    }
}

/// A vault as a resource ("Vaults - Get"). All have their secrets at the one address where the embedded cloud has any.
fn vault(written: &Written<'_>, vault: &mut Value) {
    let properties = &mut vault["properties"];
    for (key, value) in [
        ("accessPolicies", json!([])),
        ("enableRbacAuthorization", json!(false)),
        ("enableSoftDelete", json!(true)),
        ("softDeleteRetentionInDays", json!(90)),
        ("publicNetworkAccess", json!("Enabled")),
    ] {
        if properties[key].is_null() {
            properties[key] = value;
        }
    }
    properties["vaultUri"] = json!(format!("{}/", written.here));
}

/// An Application Insights ("Components - Get"), with the keys by which applications write to it and people read.
fn component(written: &Written<'_>, component: &mut Value) {
    let (application, key) = (application_id(written.path), instrumentation_key(written.path));
    let properties = &mut component["properties"];
    properties["ConnectionString"] =
        json!(format!("InstrumentationKey={key};IngestionEndpoint={}/;ApplicationId={application}", written.here));
    properties["Name"] = json!(show::name_of(written.path));
    properties["AppId"] = json!(application);
    properties["InstrumentationKey"] = json!(key);
    properties["TenantId"] = json!(written.path.split('/').nth(2));
    properties["CreationDate"] = match written.before {
        Some(before) => before["properties"]["CreationDate"].clone(),
        None => json!(written.now.to_string()),
    };
}
