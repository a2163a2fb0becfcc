//! Records in CloudWatch Logs and in S3: three calls, signed here, for which their SDKs would weigh more than the rest of the agent.

pub(super) mod query;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lightsout_core::{
    duration::not_within,
    settings::{ObjectStore, RecordsSettings},
};
use serde_json::json;

use super::{
    Aws, AwsError, AwsErrorKind,
    request::{Call, Service, encoded_path},
};
use crate::{Archive, CloudFuture, Identity, archive::Entry};

/// How long a record may take as a whole. An ending waits for less.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The places that the settings name, for this instance.
pub(super) fn open(identity: &Identity, settings: &RecordsSettings) -> Vec<Box<dyn Archive>> {
    let aws = || Aws::new(Some(identity.location.clone()));
    let group = settings.log_group.clone().map(|group| Box::new(LogGroup { aws: aws(), group }) as Box<dyn Archive>);
    let store = settings.object_store.clone().map(|store| Box::new(Bucket { aws: aws(), store }) as Box<dyn Archive>);
    group.into_iter().chain(store).collect()
}

/// A group of CloudWatch Logs, with a stream for each instance.
#[derive(Debug)]
struct LogGroup {
    aws: Aws,
    group: String,
}

impl Archive for LogGroup {
    fn key(&self) -> &'static str {
        "log_group"
    }

    fn place(&self) -> String {
        format!("records.log_group = \"{}\"", self.group)
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn put<'a>(&'a self, entry: &'a Entry) -> CloudFuture<'a, ()> {
        self.aws.call(async move {
            let result = Box::pin(within("logs:PutLogEvents", self.put_event(entry))).await;
            // Records are rare: nothing is held for the next one.
            self.aws.forget();
            result
        })
    }
}

impl LogGroup {
    async fn put_event(&self, entry: &Entry) -> Result<(), AwsError> {
        match self.put_log_events(entry).await {
            Err(error) if error.kind == AwsErrorKind::NotFound => {
                self.create_log_stream(entry).await?;
                self.put_log_events(entry).await
            }
            result => result,
        }
    }

    async fn put_log_events(&self, entry: &Entry) -> Result<(), AwsError> {
        let body = json!({
            "logGroupName": self.group,
            "logStreamName": entry.instance,
            "logEvents": [{ "timestamp": entry.unix_ms, "message": entry.json }],
        });
        self.logs("logs:PutLogEvents", "Logs_20140328.PutLogEvents", &body).await
    }

    async fn create_log_stream(&self, entry: &Entry) -> Result<(), AwsError> {
        let body = json!({ "logGroupName": self.group, "logStreamName": entry.instance });
        match self.logs("logs:CreateLogStream", "Logs_20140328.CreateLogStream", &body).await {
            // By another record of this instance, a moment ago.
            Err(error) if error.code.as_deref() == Some("ResourceAlreadyExistsException") => Ok(()),
            result => result,
        }
    }

    async fn logs(&self, action: &'static str, target: &str, body: &serde_json::Value) -> Result<(), AwsError> {
        Call::json(action, Service::LOGS, target, body).send(&self.aws).await.map(drop)
    }
}

/// A place in S3, with an object for each record.
#[derive(Debug)]
struct Bucket {
    aws: Aws,
    store: ObjectStore,
}

impl Archive for Bucket {
    fn key(&self) -> &'static str {
        "object_store"
    }

    fn place(&self) -> String {
        format!("records.object_store = \"s3://{}/{}\"", self.store.bucket, self.store.prefix)
    }

    fn takes_all(&self) -> bool {
        false
    }

    fn put<'a>(&'a self, entry: &'a Entry) -> CloudFuture<'a, ()> {
        self.aws.call(async move {
            let result = Box::pin(within("s3:PutObject", self.put_object(entry))).await;
            self.aws.forget();
            result
        })
    }
}

impl Bucket {
    async fn put_object(&self, entry: &Entry) -> Result<(), AwsError> {
        let Entry { instance, name, json, .. } = entry;
        let call = Call {
            action: "s3:PutObject",
            service: Service::S3,
            method: "PUT",
            path: format!("/{}", encoded_path(&format!("{}{instance}/{name}.json", self.store.prefix))),
            bucket: Some(self.store.bucket.clone()),
            headers: vec![("content-type", "application/json".into())],
            body: format!("{json}\n").into_bytes(),
        };
        call.send(&self.aws).await.map(drop)
    }
}

async fn within(action: &'static str, call: impl Future<Output = Result<(), AwsError>>) -> Result<(), AwsError> {
    let over = || {
        AwsError::without_code(
            AwsErrorKind::Timeout,
            action,
            not_within("no answer", TIMEOUT, "check the way there: a proxy, or an endpoint of the VPC"),
        )
    };
    tokio::time::timeout(TIMEOUT, call).await.unwrap_or_else(|_| Err(over()))
}
