//! OTLP over HTTP, as protobuf: configured by the variables that OpenTelemetry's SDKs read, sent by our own client.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lightsout_core::{
    duration::{format_duration, not_within},
    metrics::{Kind, METRICS, Metric, Registry, Sample, Value},
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Message, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prost::Message as _;
use reqwest::Url;
use tokio::task::JoinHandle;

use super::Metered;
use crate::http::{Clients, Limits};

/// The pools of one request: so that a thousand of them take no memory to speak of.
const POOLS: usize = 50;
/// How long the last export may take: the instance is about to go.
const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where and how metrics are sent.
pub struct Exporter {
    url: Url,
    headers: Vec<(String, String)>,
    interval: Duration,
    timeout: Duration,
    resource: Vec<(String, String)>,
    started: u64,
    clients: Clients,
}

impl Exporter {
    /// As these variables say; `None`: they name no endpoint. `instance` tells this program's series from those of its like.
    ///
    /// # Errors
    /// When a variable has a value that cannot work.
    pub fn new(
        service: &'static str,
        instance: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let of = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let off = of("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || of("OTEL_METRICS_EXPORTER").is_some_and(|value| value == "none");
        let own = of("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        let shared = of("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/v1/metrics", base.trim_end_matches('/')));
        let Some(endpoint) = own.or(shared).filter(|_| !off) else { return Ok(None) };
        let either = |name: &str| {
            of(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}")).or_else(|| of(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        if let Some(protocol) = either("PROTOCOL").filter(|protocol| protocol != "http/protobuf") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL: there is no {protocol} here; write http/protobuf, and the collector's port for it (4318)"
            ));
        }
        let url = Url::parse(&endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| {
            format!("OTEL_EXPORTER_OTLP_ENDPOINT: {endpoint} is no URL; write for example http://127.0.0.1:4318")
        })?;
        let millis = |name: &str, value: Option<String>, usual: u64| match value.map(|value| value.parse()) {
            None => Ok(Duration::from_millis(usual)),
            Some(Ok(ms)) if ms > 0 => Ok(Duration::from_millis(ms)),
            Some(_) => Err(format!("{name}: write a number of milliseconds, such as {usual}")),
        };
        let interval = millis("OTEL_METRIC_EXPORT_INTERVAL", of("OTEL_METRIC_EXPORT_INTERVAL"), 60_000)?;
        let timeout = millis("OTEL_EXPORTER_OTLP_TIMEOUT", either("TIMEOUT"), 10_000)?;
        let headers = pairs("OTEL_EXPORTER_OTLP_HEADERS", &either("HEADERS").unwrap_or_default())?;
        let mut resource = pairs("OTEL_RESOURCE_ATTRIBUTES", &of("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default())?;
        if let Some(name) = of("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".into(), name));
        }
        let version = env!("CARGO_PKG_VERSION");
        for (key, value) in [("service.name", service), ("service.version", version), ("service.instance.id", instance)]
        {
            if resource.iter().all(|(known, _)| known != key) {
                resource.push((key.into(), value.into()));
            }
        }
        let clients =
            Clients::new(Limits { request: timeout, ..Limits::default() }, Some(format!("lightsout ({service})")));
        Ok(Some(Self { url, headers, interval, timeout, resource, started: nanos(), clients }))
    }

    /// Exports at every interval, until it is told to finish.
    pub fn spawn(self, metered: Arc<dyn Metered>) -> Exporting {
        let exporter = Arc::new(self);
        tracing::info!(endpoint = %exporter.url.origin().ascii_serialization(), every = format_duration(exporter.interval), "metrics go out by OTLP");
        let (ours, theirs) = (Arc::clone(&exporter), Arc::clone(&metered));
        let task = tokio::spawn(async move {
            let mut healthy = true;
            loop {
                tokio::time::sleep(ours.interval).await;
                let result = ours.export(&*theirs).await;
                if let Err(error) = &result
                    && std::mem::take(&mut healthy)
                {
                    tracing::warn!(error, "metrics cannot be exported by OTLP; it is tried again");
                } else if result.is_ok() && !std::mem::replace(&mut healthy, true) {
                    tracing::info!("metrics are exported by OTLP again");
                }
            }
        });
        Exporting { exporter, metered, task }
    }

    /// Sends all values once.
    ///
    /// # Errors
    /// What kept a part of them from arriving.
    pub async fn export(&self, metered: &dyn Metered) -> Result<(), String> {
        let (mut from, now) = (0, nanos());
        loop {
            let (mut body, mut more) = (Vec::new(), false);
            metered.look(&mut |registry| {
                let pools: Vec<_> = registry.pools().skip(from).take(POOLS).collect();
                more = pools.len() == POOLS;
                body = self.message(registry, &pools, now).encode_to_vec();
            });
            self.send(body).await?;
            if !more {
                return Ok(());
            }
            from += POOLS;
        }
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), String> {
        let client = self.clients.for_url(&self.url).map_err(|error| error.to_string())?;
        let mut request = client.post(self.url.clone()).header("content-type", "application/x-protobuf").body(body);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let sending = self.clients.send(request.timeout(self.timeout));
        let reply = sending.await.map_err(|error| error.to_string())?;
        if reply.status().is_success() {
            return Ok(());
        }
        Err(format!("the endpoint answers {}", reply.status()))
    }

    fn message(&self, registry: &Registry, pools: &[&str], now: u64) -> ExportMetricsServiceRequest {
        let point = |metric: &'static Metric| {
            let samples: Vec<_> = pools.iter().flat_map(|pool| registry.samples(metric, Some(pool))).collect();
            (!samples.is_empty()).then(|| self.metric(metric, &samples, now))
        };
        let metrics = METRICS.iter().filter_map(point).collect();
        let scope = InstrumentationScope {
            name: "lightsout".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..InstrumentationScope::default()
        };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let attributes = self.resource.iter().map(|(key, value)| attribute(key, value)).collect();
        let resource = Some(Resource { attributes, ..Resource::default() });
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }],
        }
    }

    fn metric(&self, metric: &Metric, samples: &[Sample<'_>], now: u64) -> Message {
        let numbers = || samples.iter().filter_map(|sample| self.number(sample, now)).collect();
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match metric.kind {
            Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
            Kind::Counter => {
                Data::Sum(Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: true })
            }
            Kind::Histogram(bounds) => Data::Histogram(Histogram {
                data_points: samples.iter().filter_map(|sample| self.histogram(sample, bounds, now)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        Message {
            name: metric.name.into(),
            description: metric.help.into(),
            unit: metric.ucum(),
            data: Some(data),
            ..Message::default()
        }
    }

    fn number(&self, sample: &Sample<'_>, now: u64) -> Option<NumberDataPoint> {
        let Value::Number(number) = sample.value else { return None };
        Some(NumberDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano: self.started,
            time_unix_nano: now,
            value: Some(number_data_point::Value::AsDouble(number)),
            ..NumberDataPoint::default()
        })
    }

    fn histogram(&self, sample: &Sample<'_>, bounds: &[f64], now: u64) -> Option<HistogramDataPoint> {
        let Value::Histogram(histogram) = sample.value else { return None };
        Some(HistogramDataPoint {
            attributes: attributes(sample),
            start_time_unix_nano: self.started,
            time_unix_nano: now,
            count: histogram.count(),
            sum: Some(histogram.sum()),
            bucket_counts: histogram.counts().to_vec(),
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        })
    }
}

/// Exports that go on.
pub struct Exporting {
    exporter: Arc<Exporter>,
    metered: Arc<dyn Metered>,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Exports a last time, for a moment at most.
    pub async fn finish(self) {
        self.task.abort();
        match tokio::time::timeout(LAST_EXPORT_TIMEOUT, self.exporter.export(&*self.metered)).await {
            Ok(Ok(())) => tracing::debug!("the last metrics were exported by OTLP"),
            Ok(Err(error)) => tracing::warn!(error, "the last metrics could not be exported by OTLP"),
            Err(_) => {
                let error = not_within(
                    "no answer",
                    LAST_EXPORT_TIMEOUT,
                    "the collector is slow or far: name one on this machine",
                );
                tracing::warn!(error, "the last metrics could not be exported by OTLP");
            }
        }
    }
}

fn attributes(sample: &Sample<'_>) -> Vec<KeyValue> {
    let labels = sample.labels.iter().map(|(dimension, value)| attribute(dimension.attribute, value));
    std::iter::once(attribute("lightsout.pool", sample.pool)).chain(labels).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// `name=value` pairs with commas between them, their values percent-encoded (W3C Baggage, as OpenTelemetry's environment variables have it).
fn pairs(variable: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim().to_owned(), value.into_owned())).filter(|(name, _)| !name.is_empty())
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty()).map(pair);
    pairs.collect::<Option<_>>().ok_or_else(|| format!("{variable}: write name=value pairs with commas between them"))
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
