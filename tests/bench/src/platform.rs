//! A GitLab and a GitHub that are large and far away: each answer takes its time.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};

/// How many items a page has, as it is asked for and at most.
const PAGE: usize = 100;

/// What a platform holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum World {
    /// A group with so many projects, in each of which one job waits.
    GitLab { projects: usize },
    /// An organisation with so many repositories, over which so many runs in progress are spread; in each run three jobs
    /// wait and two run.
    GitHub { repositories: usize, runs: usize },
}

/// A platform that listens for as long as this program runs.
pub(crate) struct Platform {
    url: String,
    requests: Arc<AtomicU32>,
}

impl Platform {
    /// Begins to listen. Each answer takes this long.
    ///
    /// # Errors
    /// When there is no port.
    pub(crate) fn start(world: World, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let requests = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                thread::spawn(move || serve(&stream, world, delay, &count));
            }
        });
        Ok(Self { url, requests })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Answers one connection's requests, one after the other.
fn serve(stream: &TcpStream, world: World, delay: Duration, count: &AtomicU32) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        // The rest of the head; no request here has a body.
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        count.fetch_add(1, Ordering::Relaxed);
        thread::sleep(delay);
        let body = answer(world, first.split(' ').nth(1).unwrap_or_default()).to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut out = stream;
        // In one piece: a second one would wait until the first is acknowledged.
        if out.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(world: World, target: &str) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let page = value("page").and_then(|page| page.parse().ok()).unwrap_or(1_usize);
    let of_page = |all: usize| (0..all).skip((page - 1) * PAGE).take(PAGE);
    let number = |part: &str| path.split('/').rev().find_map(|text| text.strip_prefix(part)?.parse::<usize>().ok());
    match world {
        World::GitLab { projects } if path.ends_with("/projects") => {
            of_page(projects).map(|id| json!({"id": id, "path_with_namespace": format!("bench/p{id}")})).collect()
        }
        World::GitLab { .. } => {
            let id = path.split('/').rev().nth(1).and_then(|id| id.parse::<usize>().ok()).unwrap_or(0);
            json!([{"id": id, "status": "pending", "tag_list": ["docker"], "runner": null, "commit": {"message": filler()}}])
        }
        World::GitHub { repositories, .. } if path.ends_with("/repos") => {
            of_page(repositories).map(|id| json!({"full_name": format!("bench/r{id}")})).collect()
        }
        World::GitHub { repositories, runs } if path.ends_with("/runs") => {
            let repository = number("r").unwrap_or(0);
            let ours =
                (0..runs).filter(|run| value("status") == Some("in_progress") && run % repositories == repository);
            json!({"workflow_runs": ours.map(|run| json!({"id": run, "head_commit": {"message": filler()}})).collect::<Vec<_>>()})
        }
        World::GitHub { .. } => {
            let run = number("").unwrap_or(0);
            let job = |job| {
                let status = if job < 3 { "queued" } else { "in_progress" };
                json!({"id": run * 10 + job, "status": status, "labels": ["linux"], "steps": filler()})
            };
            json!({"jobs": (0..5).map(job).collect::<Vec<_>>()})
        }
    }
}

/// What else such an item holds, about as much as in life.
fn filler() -> String {
    "x".repeat(1_500)
}
