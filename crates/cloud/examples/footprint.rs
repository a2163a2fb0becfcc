//! Prints how much resident memory the parts of this crate take: made, used once, and given back.
//!
//! `AWS_ENDPOINT_URL`, `AWS_REGION` and credentials in the environment say which AWS to ask; without a reachable one the
//! failed call is measured. A second argument such as `https://ci.example` is asked for once, too.

use std::{env, fs, time::Duration};

use lightsout_cloud::aws::{
    Aws,
    host::{AwsInstance, Instance},
    metadata::Imds,
};
use lightsout_core::exchange::{Effect, Request};
use lightsout_io::http::Driver;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    report("started");
    let instance = AwsInstance::new("i-0123456789abcdef0", env::var("AWS_REGION").ok());
    let driver = Driver::new("lightsout/0 (footprint)");
    let imds = Imds::new("http://127.0.0.1:9").expect("a plain URL");
    let _aws = Aws::new(None);
    report("made AwsInstance, Driver, Imds, Aws");

    let item = imds.get("/latest/meta-data/instance-id").await;
    println!("{:>10}  {item:?}", "");
    report("asked the metadata service");
    driver.perform(Effect::Http(Request::get("http://127.0.0.1:9/"))).await;
    report("asked over http");
    for url in env::args().skip(1) {
        println!("{:>10}  {:?}", "", driver.perform(Effect::Http(Request::get(url))).await);
        report("asked over https");
    }
    match instance.describe().await {
        Ok(view) => println!("{:>10}  {view:?}", ""),
        Err(error) => println!("{:>10}  {error}", ""),
    }
    report("described itself");
    instance.forget().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    report("forgot it");
}

fn report(what: &str) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("?").trim();
    println!("{resident:>10}  {what}");
}
