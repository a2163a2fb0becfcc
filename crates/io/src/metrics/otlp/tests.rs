use std::collections::BTreeMap;

use lightsout_core::metrics::{Id, Program};

use super::*;

struct Fixed(Registry);

impl Metered for Fixed {
    fn look(&self, at: &mut dyn FnMut(&Registry)) {
        at(&self.0);
    }
}

fn exporter(variables: &[(&str, &str)]) -> Result<Option<Exporter>, String> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Exporter::new("lightsout-test", "i-1", |name| variables.get(name).map(|value| (*value).to_owned()))
}

const HERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");

#[test]
fn the_environment_is_read_as_every_sdk_reads_it() {
    assert!(exporter(&[]).unwrap().is_none(), "nothing is sent unless somebody says where");
    assert!(exporter(&[HERE, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
    assert!(exporter(&[HERE, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().is_none());
    let usual = exporter(&[HERE]).unwrap().unwrap();
    assert_eq!(usual.url.as_str(), "http://127.0.0.1:4318/v1/metrics");
    assert_eq!((usual.interval, usual.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    let own = exporter(&[
        HERE,
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://otel.example.com/here"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-scope = a%2Cb"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod,service.name=other"),
        ("OTEL_SERVICE_NAME", "ci"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    ]);
    let own = own.unwrap().unwrap();
    assert_eq!(own.url.as_str(), "https://otel.example.com/here", "as it is");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(own.headers, [pair("authorization", "Bearer abc"), pair("x-scope", "a,b")]);
    assert_eq!(own.interval, Duration::from_millis(500));
    let names: Vec<_> = own.resource.iter().filter(|(key, _)| key == "service.name").collect();
    assert_eq!(names, [&pair("service.name", "ci")]);
    assert!(own.resource.contains(&pair("service.instance.id", "i-1")));
}

#[test]
fn what_cannot_work_is_named_with_what_to_write() {
    for (name, value, said) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "write http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write for example http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "nothing", "name=value pairs"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "10s", "a number of milliseconds"),
    ] {
        let error = exporter(&[HERE, (name, value)]).err().unwrap();
        assert!(error.contains(name) && error.contains(said), "{error}");
    }
}

#[test]
fn a_message_has_each_kind_as_opentelemetry_has_it() {
    let mut registry = Registry::new(Program::Scaler, false);
    registry.set(Id::Need, "ci", &[], Some(4.0));
    registry.add(Id::Raises, "ci", &["raised"], 2.0);
    registry.observe(Id::JobDuration, "ci", &["pending", "platform"], 7.0);
    let exporter = exporter(&[HERE]).unwrap().unwrap();
    let body = exporter.message(&registry, &["ci"], nanos()).encode_to_vec();
    let message = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
    let metrics = &message.resource_metrics[0].scope_metrics[0].metrics;
    let of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Gauge(need)) = &of("lightsout.pool.need").data else { panic!("a gauge") };
    assert_eq!(need.data_points[0].value, Some(number_data_point::Value::AsDouble(4.0)));
    let Some(Data::Sum(raises)) = &of("lightsout.raises").data else { panic!("a sum") };
    assert!(raises.is_monotonic && raises.aggregation_temporality == 2, "cumulative");
    let waits = of("cicd.pipeline.run.duration");
    let Some(Data::Histogram(histogram)) = &waits.data else { panic!("a histogram") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum, waits.unit.as_str()), (1, Some(7.0), "s"));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    let keys: Vec<_> = point.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["lightsout.pool", "cicd.pipeline.run.state", "lightsout.source"]);
    assert!(metrics.iter().all(|metric| metric.name != "lightsout.pool.max"), "nothing is said of what is not known");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_an_error_and_no_more() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let endpoint = format!("http://{address}");
    let exporter = exporter(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).unwrap().unwrap();
    let metered = Fixed(Registry::new(Program::Agent, false));
    assert!(exporter.export(&metered).await.is_err());
}
