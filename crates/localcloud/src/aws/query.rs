//! The AWS query protocol in front of the model: form fields in, XML out.

mod autoscaling;
mod ec2;
mod error;
mod form;
mod group_settings;
mod groups;
mod history;
mod lifecycle_hooks;
mod members;
mod page;
mod processes;
mod refreshes;
mod sts;
mod tags;
mod xml;

use std::collections::BTreeMap;

use self::{
    error::AwsError,
    form::{Form, Service},
    xml::Xml,
};
use crate::aws::model::{Cloud, Reply};
use crate::time::Timestamp;

/// What a call gives: the content of its result element, or nothing at all for calls without output.
type CallResult = Result<Option<Xml>, AwsError>;

const AUTO_SCALING: &str = "2011-01-01";
const EC2: &str = "2016-11-15";
const STS: &str = "2011-06-15";

/// Answers one call.
pub(crate) fn answer(
    cloud: &mut Cloud,
    fields: &BTreeMap<String, String>,
    caller: Option<&str>,
    now: Timestamp,
) -> Reply {
    let request = cloud.request_id();
    let Some(service) = service_of(fields) else {
        let version = fields.get("Version").map_or("", String::as_str);
        let message = format!("The requested version ({version}) is not valid.");
        return refusal(Service::AutoScaling, &AwsError::new("NoSuchVersion", message), &request);
    };
    let form = Form::new(fields, service);
    let action = form.text("Action").unwrap_or_default();
    let answer = match service {
        Service::AutoScaling => autoscaling::answer(cloud, action, &form, now),
        Service::Ec2 => ec2::answer(cloud, action, &form, now),
        Service::Sts => sts::answer(cloud, action, caller),
    };
    match answer {
        Ok(content) => success(service, action, content.as_ref(), &request),
        Err(fault) => refusal(service, &fault, &request),
    }
}

/// A refusal in the shape of the service that the call is for, for faults that the model knows nothing of, such as
/// throttling.
pub fn refuse(fields: &BTreeMap<String, String>, status: u16, code: &'static str, message: &str) -> Reply {
    let service = service_of(fields).unwrap_or(Service::AutoScaling);
    let fault = AwsError { status, code, message: message.to_owned() };
    refusal(service, &fault, "00000000-0000-4000-8000-000000000000")
}

/// The refusal of an action that a service does not have.
fn unknown_action(action: &str, version: &str) -> AwsError {
    AwsError::new("InvalidAction", format!("Could not find operation {action} for version {version}"))
}

fn service_of(fields: &BTreeMap<String, String>) -> Option<Service> {
    match fields.get("Version")?.as_str() {
        AUTO_SCALING => Some(Service::AutoScaling),
        EC2 => Some(Service::Ec2),
        STS => Some(Service::Sts),
        _ => None,
    }
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::AutoScaling => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        Service::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

fn success(service: Service, action: &str, content: Option<&Xml>, request: &str) -> Reply {
    let body = Xml::document(&format!("{action}Response"), namespace(service), |xml| match service {
        Service::Ec2 => {
            xml.text("requestId", request);
            if let Some(content) = content {
                xml.append(content);
            }
        }
        Service::AutoScaling | Service::Sts => {
            if let Some(content) = content {
                xml.node(&format!("{action}Result"), |xml| xml.append(content));
            }
            xml.node("ResponseMetadata", |xml| xml.text("RequestId", request));
        }
    });
    Reply { status: 200, body }
}

fn refusal(service: Service, fault: &AwsError, request: &str) -> Reply {
    let error = |xml: &mut Xml, with_type: bool| {
        xml.node("Error", |xml| {
            if with_type {
                xml.text("Type", if fault.status < 500 { "Sender" } else { "Receiver" });
            }
            xml.text("Code", fault.code);
            xml.text("Message", &fault.message);
        });
    };
    let body = match service {
        Service::Ec2 => {
            // EC2 declares no namespace on its refusals.
            let mut xml = Xml::default();
            xml.node("Response", |xml| {
                xml.node("Errors", |xml| error(xml, false));
                xml.text("RequestID", request);
            });
            xml.into_document()
        }
        Service::AutoScaling | Service::Sts => Xml::document("ErrorResponse", namespace(service), |xml| {
            error(xml, true);
            xml.text("RequestId", request);
        }),
    };
    Reply { status: fault.status, body }
}
