//! The AWS query protocol in front of the model: form fields in, XML out.

mod autoscaling;
mod ec2;
mod error;
mod form;
mod group_settings;
mod groups;
mod history;
mod iam;
mod lifecycle_hooks;
mod lookup;
mod members;
mod metrics;
mod notifications;
mod page;
mod policies;
mod processes;
mod refreshes;
mod scheduled;
mod sts;
mod tags;
mod warm_pools;
pub(crate) mod xml;

use std::collections::BTreeMap;

use self::{
    error::AwsError,
    form::{Form, Service},
    xml::Xml,
};
use crate::{aws::model::Cloud, time::Timestamp};

/// A reply of the query protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// XML.
    pub body: String,
}

/// Carries out one call: Auto Scaling (2011-01-01), EC2 (2016-11-15), STS (2011-06-15) or IAM (2010-05-08). `caller` is the instance whose
/// role credentials signed it, if any.
pub fn call(cloud: &mut Cloud, fields: &BTreeMap<String, String>, caller: Option<&str>, now: Timestamp) -> Reply {
    cloud.advance(now);
    let now = cloud.now();
    let request = cloud.request_id();
    let Some(service) = Service::of(fields) else {
        let version = fields.get("Version").map_or("", String::as_str);
        let message = format!("The requested version ({version}) is not valid.");
        return refusal(Service::AutoScaling, &AwsError::new("NoSuchVersion", message), &request);
    };
    let form = Form::new(fields, service);
    let action = form.text("Action").unwrap_or_default();
    let result = match service {
        Service::AutoScaling => autoscaling::call(cloud, action, &form, now),
        Service::Ec2 => ec2::call(cloud, action, &form, now),
        Service::Sts => sts::call(cloud, action, caller),
        Service::Iam => iam::call(cloud, action, &form),
    };
    cloud.remember();
    match result {
        Ok(content) => success(service, action, content.as_ref(), &request),
        Err(error) => refusal(service, &error, &request),
    }
}

/// A refusal in the shape of the service that the call is for, for errors that the model knows nothing of, such as
/// throttling.
pub fn refuse(fields: &BTreeMap<String, String>, status: u16, code: &'static str, message: &str) -> Reply {
    let service = Service::of(fields).unwrap_or(Service::AutoScaling);
    let error = AwsError { status, code, message: message.to_owned() };
    refusal(service, &error, "00000000-0000-4000-8000-000000000000")
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::AutoScaling => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        Service::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
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
        Service::AutoScaling | Service::Sts | Service::Iam => {
            if let Some(content) = content {
                xml.node(&format!("{action}Result"), |xml| xml.append(content));
            }
            xml.node("ResponseMetadata", |xml| xml.text("RequestId", request));
        }
    });
    Reply { status: 200, body }
}

fn refusal(service: Service, error: &AwsError, request: &str) -> Reply {
    let element = |xml: &mut Xml, with_type: bool| {
        xml.node("Error", |xml| {
            if with_type {
                xml.text("Type", if error.status < 500 { "Sender" } else { "Receiver" });
            }
            xml.text("Code", error.code);
            xml.text("Message", &error.message);
        });
    };
    let body = match service {
        Service::Ec2 => {
            // EC2 declares no namespace on its refusals.
            let mut xml = Xml::default();
            xml.node("Response", |xml| {
                xml.node("Errors", |xml| element(xml, false));
                xml.text("RequestID", request);
            });
            xml.into_document()
        }
        Service::AutoScaling | Service::Sts | Service::Iam => {
            Xml::document("ErrorResponse", namespace(service), |xml| {
                element(xml, true);
                xml.text("RequestId", request);
            })
        }
    };
    Reply { status: error.status, body }
}
