//! What a path and a method mean.

use super::{kinds, resources};
use crate::http::Request;

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) subscription: String,
    pub(super) place: Place,
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Operation {
        id: String,
    },
    Sets {
        group: Option<String>,
    },
    Set {
        group: String,
        name: String,
        action: Action,
    },
    Members {
        group: String,
        set: String,
    },
    Member {
        group: String,
        set: String,
        id: String,
        action: Action,
    },
    Machine {
        group: String,
        name: String,
        action: Action,
    },
    /// An Autoscale setting of a resource group, or all of them.
    Autoscale {
        group: String,
        name: Option<String>,
    },
    /// The machines of a resource group that are resources of their own.
    Machines {
        group: String,
    },
    /// The tags of a resource, which has this path.
    Tags {
        resource: String,
    },
    /// All Autoscale settings of the subscription.
    AllAutoscale,
    /// Who has which role on a scope.
    RoleAssignments {
        scope: String,
    },
    /// That somebody has a role on it.
    RoleAssignment {
        scope: String,
        name: String,
    },
    /// A role, by its name.
    RoleDefinition {
        name: String,
    },
    /// A resource that is kept as it was written, or all of a kind, by their path.
    Kept {
        path: String,
    },
    /// The settings of the app that has this path, to be listed or written.
    Settings {
        site: String,
        is_list: bool,
    },
    /// The same app, to be started or stopped.
    Switch {
        site: String,
        on: bool,
    },
    /// The addresses of the network that has this path.
    Addresses {
        network: String,
    },
    /// The sizes of machines that are offered.
    Sizes,
    /// The processors that run in a location, and may.
    Processors {
        location: String,
    },
    /// What the caller may do to a resource, which has this path.
    Permissions {
        resource: String,
    },
}

/// What follows the name of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Delete,
    Deallocate,
    InstanceView,
    PowerOff,
    Restart,
    SimulateEviction,
    Start,
    Upgrade,
}

impl Action {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "delete" => Self::Delete,
            "deallocate" => Self::Deallocate,
            "instanceview" => Self::InstanceView,
            "poweroff" => Self::PowerOff,
            "restart" => Self::Restart,
            "simulateeviction" => Self::SimulateEviction,
            "start" => Self::Start,
            "osrollingupgrade" => Self::Upgrade,
            _ => return None,
        })
    }
}

/// Whether a request is one of the Resource Manager's.
pub(crate) fn is_for(request: &Request) -> bool {
    request.path.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("/subscriptions/"))
}

impl Route {
    /// Names are compared without case, and kept with it.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let lower: Vec<String> = segments.iter().map(|segment| segment.to_lowercase()).collect();
        let fixed: Vec<&str> = lower.iter().map(String::as_str).collect();
        let action = |at: usize| parts.get(at).map_or(Some(Action::None), |name| Action::of(name));
        let group = || parts[3].to_owned();
        // What so many last parts are of.
        let above = |last: usize| format!("/{}", parts[..parts.len() - last].join("/"));
        let place = match fixed.as_slice() {
            ["subscriptions", _, "providers", "microsoft.compute", "locations", _, "operations", _] => {
                Place::Operation { id: fixed[7].to_owned() }
            }
            ["subscriptions", _, "providers", "microsoft.compute", "virtualmachinescalesets"] => {
                Place::Sets { group: None }
            }
            ["subscriptions", _, "providers", "microsoft.compute", "skus"] => Place::Sizes,
            ["subscriptions", _, "providers", "microsoft.compute", "locations", location, "usages"] => {
                Place::Processors { location: (*location).to_owned() }
            }
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.network",
                "virtualnetworks",
                _,
                "usages",
            ] => Place::Addresses { network: format!("/{}", parts[..8].join("/")) },
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.web", "sites", _, rest @ ..]
                if matches!(rest, ["config", ..] | ["start" | "stop"]) =>
            {
                let site = format!("/{}", parts[..8].join("/"));
                match rest {
                    ["config", "appsettings"] => Place::Settings { site, is_list: false },
                    ["config", "appsettings", "list"] => Place::Settings { site, is_list: true },
                    ["start"] => Place::Switch { site, on: true },
                    ["stop"] => Place::Switch { site, on: false },
                    _ => return None,
                }
            }
            ["subscriptions", _, "resourcegroups", _, "providers", below @ ..] if kinds::of(below).is_some() => {
                Place::Kept { path: above(0) }
            }
            ["subscriptions", _, "providers", provider, kind] if kinds::of(&[provider, kind]).is_some() => {
                Place::Kept { path: above(0) }
            }
            ["subscriptions", .., "providers", "microsoft.authorization", "roleassignments"] => {
                Place::RoleAssignments { scope: above(3) }
            }
            ["subscriptions", .., "providers", "microsoft.authorization", "roleassignments", name] => {
                Place::RoleAssignment { scope: above(4), name: (*name).to_owned() }
            }
            ["subscriptions", .., "providers", "microsoft.authorization", "roledefinitions", name] => {
                Place::RoleDefinition { name: (*name).to_owned() }
            }
            ["subscriptions", _, "providers", "microsoft.insights", "autoscalesettings"] => Place::AllAutoscale,
            ["subscriptions", .., "providers", "microsoft.resources", "tags", "default"] => {
                Place::Tags { resource: above(4) }
            }
            ["subscriptions", .., "providers", "microsoft.authorization", "permissions"] => {
                Place::Permissions { resource: above(3) }
            }
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.insights",
                "autoscalesettings",
                rest @ ..,
            ] if rest.len() < 2 => {
                Place::Autoscale { group: group(), name: parts.get(7).map(|name| (*name).to_owned()) }
            }
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.compute", kind, rest @ ..] => {
                match (*kind, rest) {
                    ("virtualmachinescalesets", []) => Place::Sets { group: Some(group()) },
                    ("virtualmachinescalesets", [_, "virtualmachines"]) => {
                        Place::Members { group: group(), set: parts[7].to_owned() }
                    }
                    ("virtualmachinescalesets", [_, "virtualmachines", _] | [_, "virtualmachines", _, _]) => {
                        Place::Member {
                            group: group(),
                            set: parts[7].to_owned(),
                            id: parts[9].to_owned(),
                            action: action(10)?,
                        }
                    }
                    ("virtualmachinescalesets", [_] | [_, _]) => {
                        Place::Set { group: group(), name: parts[7].to_owned(), action: action(8)? }
                    }
                    ("virtualmachines", []) => Place::Machines { group: group() },
                    ("virtualmachines", [_] | [_, _]) => {
                        Place::Machine { group: group(), name: parts[7].to_owned(), action: action(8)? }
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Self { subscription: parts[1].to_owned(), place })
    }
}

/// The id of the operation in Azure's own description of its API, by which calls are counted and made to fail.
pub(crate) fn operation_id(request: &Request) -> &'static str {
    let Some(route) = Route::of(request) else { return "Unknown" };
    let method = request.method.as_str();
    match route.place {
        Place::Operation { .. } => "Operations_Get",
        Place::Sets { group: None } => "VirtualMachineScaleSets_ListAll",
        Place::Sets { group: Some(_) } => "VirtualMachineScaleSets_List",
        Place::Members { .. } => "VirtualMachineScaleSetVMs_List",
        Place::Permissions { .. } => "Permissions_ListForResource",
        Place::Machines { .. } => "VirtualMachines_List",
        Place::Tags { .. } => match method {
            "GET" => "Tags_GetAtScope",
            "PATCH" => "Tags_UpdateAtScope",
            _ => "Unknown",
        },
        Place::Kept { path } => resources::operation_id(method, &path),
        Place::Settings { is_list, .. } => match (method, is_list) {
            ("POST", true) => "WebApps_ListApplicationSettings",
            ("PUT", false) => "WebApps_UpdateApplicationSettings",
            _ => "Unknown",
        },
        Place::Switch { on, .. } => {
            if on {
                "WebApps_Start"
            } else {
                "WebApps_Stop"
            }
        }
        Place::Addresses { .. } => "VirtualNetworks_ListUsage",
        Place::Sizes => "ResourceSkus_List",
        Place::Processors { .. } => "Usage_List",
        Place::RoleAssignments { .. } => "RoleAssignments_ListForScope",
        Place::RoleAssignment { .. } => match method {
            "GET" => "RoleAssignments_Get",
            "PUT" => "RoleAssignments_Create",
            "DELETE" => "RoleAssignments_Delete",
            _ => "Unknown",
        },
        Place::RoleDefinition { .. } => match method {
            "GET" => "RoleDefinitions_Get",
            "PUT" => "RoleDefinitions_CreateOrUpdate",
            "DELETE" => "RoleDefinitions_Delete",
            _ => "Unknown",
        },
        Place::AllAutoscale => "AutoscaleSettings_ListBySubscription",
        Place::Autoscale { name: None, .. } => "AutoscaleSettings_ListByResourceGroup",
        Place::Autoscale { name: Some(_), .. } => match method {
            "GET" => "AutoscaleSettings_Get",
            "PUT" => "AutoscaleSettings_CreateOrUpdate",
            "DELETE" => "AutoscaleSettings_Delete",
            _ => "Unknown",
        },
        Place::Set { action, .. } => match (method, action) {
            ("GET", Action::None) => "VirtualMachineScaleSets_Get",
            ("PUT", Action::None) => "VirtualMachineScaleSets_CreateOrUpdate",
            ("PATCH", Action::None) => "VirtualMachineScaleSets_Update",
            (_, Action::InstanceView) => "VirtualMachineScaleSets_GetInstanceView",
            (_, Action::Delete) => "VirtualMachineScaleSets_DeleteInstances",
            (_, Action::Upgrade) => "VirtualMachineScaleSetRollingUpgrades_StartOSUpgrade",
            _ => "Unknown",
        },
        Place::Member { action, .. } => match (method, action) {
            ("GET", Action::None) => "VirtualMachineScaleSetVMs_Get",
            ("PUT", Action::None) => "VirtualMachineScaleSetVMs_Update",
            ("DELETE", Action::None) => "VirtualMachineScaleSetVMs_Delete",
            (_, Action::InstanceView) => "VirtualMachineScaleSetVMs_GetInstanceView",
            (_, Action::PowerOff) => "VirtualMachineScaleSetVMs_PowerOff",
            (_, Action::Deallocate) => "VirtualMachineScaleSetVMs_Deallocate",
            (_, Action::Start) => "VirtualMachineScaleSetVMs_Start",
            (_, Action::Restart) => "VirtualMachineScaleSetVMs_Restart",
            (_, Action::SimulateEviction) => "VirtualMachineScaleSetVMs_SimulateEviction",
            _ => "Unknown",
        },
        Place::Machine { action, .. } => match (method, action) {
            ("GET", Action::None) => "VirtualMachines_Get",
            ("DELETE", Action::None) => "VirtualMachines_Delete",
            (_, Action::InstanceView) => "VirtualMachines_InstanceView",
            (_, Action::PowerOff) => "VirtualMachines_PowerOff",
            (_, Action::Deallocate) => "VirtualMachines_Deallocate",
            (_, Action::Start) => "VirtualMachines_Start",
            (_, Action::Restart) => "VirtualMachines_Restart",
            (_, Action::SimulateEviction) => "VirtualMachines_SimulateEviction",
            _ => "Unknown",
        },
    }
}
