//! Prints how much resident memory a cloud and the HTTP driver take: made, used once, and given back.
//!
//! `AWS_ENDPOINT_URL`, `AWS_REGION` and credentials in the environment say which AWS to ask; without a reachable one the
//! failed call is measured. A second argument such as `https://ci.example` is asked for once, too.

use std::{env, fs, time::Duration};

use lightsout_cloud::{HostSettings, INSTANCE_PROVIDERS, Identity};
use lightsout_core::{
    cloud::Machine,
    exchange::{Effect, Request},
};
use lightsout_io::http::Driver;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    report("started");
    let cloud = INSTANCE_PROVIDERS[0];
    let identity = Identity {
        instance: "i-0123456789abcdef0".into(),
        location: env::var("AWS_REGION").unwrap_or_else(|_| "eu-north-1".into()),
        group: None,
        machine: Machine::default(),
        capabilities: None,
    };
    let host = (cloud.host)(&identity, HostSettings::default());
    let driver = Driver::new("lightsout/0 (footprint)");
    let notices = (cloud.notices)(&[]).expect("a plain URL");
    let _secrets = (cloud.provider.secrets)(None);
    report("made host, driver, notices, secrets");

    let told = notices.identity(Duration::from_millis(10)).await;
    println!("{:>10}  {told:?}", "");
    report("asked the metadata service");
    driver.perform(Effect::Http(Request::get("http://127.0.0.1:9/"))).await;
    report("asked over http");
    for url in env::args().skip(1) {
        println!("{:>10}  {:?}", "", driver.perform(Effect::Http(Request::get(url))).await);
        report("asked over https");
    }
    match host.membership().await {
        Ok(membership) => println!("{:>10}  {membership:?}", ""),
        Err(error) => println!("{:>10}  {error}", ""),
    }
    report("asked for its place in its group");
    host.forget();
    tokio::time::sleep(Duration::from_millis(100)).await;
    report("forgot it");
}

fn report(what: &str) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("?").trim();
    println!("{resident:>10}  {what}");
}
