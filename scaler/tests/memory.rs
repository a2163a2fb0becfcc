//! The shipped program with many pools: how much memory each of them takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fmt::Write as _, fs, net::TcpListener, process::Stdio};

use lightsout_io::testing::{Answer, ReceivedRequest, Server};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
};

const POOLS: u32 = 600;
/// A thousand of them, beside what the program takes in any case, stay within the 20 MB that the README promises. What is
/// on the heap differs little between a build with and one without optimisation.
const MOST_KIB_A_POOL: u64 = 12;

/// The README's 20 MB, in KiB.
const MOST_KIB: u64 = 20_000_000 / 1024;

/// Auto Scaling with every group that is asked for, and a GitLab without jobs.
fn cloud_and_platform(seen: &ReceivedRequest, _: usize) -> Answer {
    if seen.method == "GET" {
        return Answer::with(200, ("etag", "\"empty\""), "[]");
    }
    let mut members = String::new();
    let names = seen.body.split('&').filter_map(|field| field.strip_prefix("AutoScalingGroupNames.member."));
    for (_, name) in names.filter_map(|member| member.split_once('=')) {
        write!(
            members,
            "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>5</MaxSize>\
             <DesiredCapacity>0</DesiredCapacity><DefaultCooldown>300</DefaultCooldown>\
             <HealthCheckType>EC2</HealthCheckType><CreatedTime>2026-01-01T00:00:00Z</CreatedTime></member>"
        )
        .unwrap();
    }
    Answer::ok(format!(
        "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
         <DescribeAutoScalingGroupsResult><AutoScalingGroups>{members}</AutoScalingGroups>\
         </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    ))
}

/// What is shown there.
async fn shown(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

/// The memory that no file backs, in KiB, once so many pools have ticked twice; with metrics, once they and the page were asked for there, too.
async fn anonymous(server: &Server, pools: u32, metrics: Option<u16>) -> u64 {
    let home = tempfile::tempdir().unwrap();
    let mut settings = format!(
        "[defaults.platform.gitlab]\nurl = '{}'\ntoken = 'glpat-test'\nprojects = ['a/b']\nrun_untagged = true\n",
        server.url
    );
    for number in 0..pools {
        writeln!(settings, "[[pool]]\ngroup = 'ci-{number}'").unwrap();
    }
    let config = home.path().join("scaler.toml");
    fs::write(&config, settings).unwrap();
    let mut scaler = Command::new(env!("CARGO_BIN_EXE_lightsout-scaler"))
        .args(["watch", "--tick", "1s", "--format", "json", "--config"])
        .arg(&config)
        .args(metrics.iter().flat_map(|port| {
            ["--metrics".to_owned(), "0".to_owned(), "--listen".to_owned(), format!("127.0.0.1:{port}")]
        }))
        .env_clear()
        .envs([("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", &server.url)])
        .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(scaler.stdout.take().unwrap()).lines();
    for _ in 0..2 * pools {
        let record = lines.next_line().await.unwrap().unwrap();
        assert!(record.contains("\"result\":\"held\""), "{record}");
    }
    if let Some(port) = metrics {
        for _ in 0..2 {
            for (path, last) in
                [("/metrics", format!("pool=\"ci-{}\"", pools - 1)), ("/", format!("\"pool\":\"ci-{}\"", pools - 1))]
            {
                let page = shown(port, path).await;
                assert!(page.contains(&last), "{last} is shown: {}", page.len());
            }
        }
    }
    let smaps = fs::read_to_string(format!("/proc/{}/smaps_rollup", scaler.id().unwrap())).unwrap();
    let line = smaps.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_pool_that_waits_for_others_takes_little_memory() {
    let server = Server::start(cloud_and_platform).await;
    let (one, many) = (anonymous(&server, 1, None).await, anonymous(&server, POOLS, None).await);
    let each = (many - one) / u64::from(POOLS - 1);
    println!("1 pool: {one} KiB, {POOLS} pools: {many} KiB, {each} KiB each");
    assert!(each <= MOST_KIB_A_POOL, "{each} KiB for each of {POOLS} pools");
}

#[tokio::test]
async fn a_thousand_pools_with_metrics_and_the_page_stay_within_what_is_promised() {
    let server = Server::start(cloud_and_platform).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let all = anonymous(&server, 1000, Some(port)).await;
    println!("1000 pools with metrics and the page: {all} KiB");
    assert!(all <= MOST_KIB, "{all} KiB for 1000 pools with metrics and the page");
}
