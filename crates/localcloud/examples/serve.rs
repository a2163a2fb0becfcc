//! Serves a localcloud whose machines run nothing, for trying its APIs out: prints its URL and runs until it is told to end
//! (`POST /_lightsout/down`). Where the metadata service of each instance answers goes to standard error: `metadata ID URL`.
//!
//! `cargo run -p lightsout-localcloud --example serve -- [PORT [PLATFORM]]`; `LIGHTSOUT_REPOSITORY=URL,COMMIT` names a
//! repository that GitLab's jobs are told to clone.

use std::{collections::BTreeMap, env, io, process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::{self, BoxFuture};
use lightsout_localcloud::{
    AzureOptions, Boot, CloudOptions, LocalCloud, LocalCloudOptions, Machine, Machines, PlatformKind,
    ci::gitlab::{self, GitLabOptions, Repository},
};

/// Machines that run nothing and never end by themselves.
struct Nothing;

impl Machines for Nothing {
    fn boot(&self, boot: Boot) -> BoxFuture<'static, io::Result<Box<dyn Machine>>> {
        eprintln!("metadata {} {}", boot.id, boot.imds);
        Box::pin(future::ready(Ok(Box::new(Self) as Box<dyn Machine>)))
    }
}

impl Machine for Nothing {
    fn off(&self) -> BoxFuture<'static, ()> {
        Box::pin(future::pending())
    }

    fn power_off(&self) -> BoxFuture<'static, ()> {
        Box::pin(future::ready(()))
    }

    fn crash_agent(&self) -> io::Result<()> {
        Err(io::Error::other("there is no agent on a machine that runs nothing"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Ok(port) = env::args().nth(1).unwrap_or_else(|| "0".into()).parse() else {
        eprintln!("usage: serve [PORT [PLATFORM]]");
        return ExitCode::from(2);
    };
    let platform = match env::args().nth(2).map_or_else(|| Ok(PlatformKind::default()), |name| name.parse()) {
        Ok(platform) => platform,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let repository = env::var("LIGHTSOUT_REPOSITORY").ok();
    let repository = repository.as_deref().and_then(|text| text.split_once(','));
    let platform = if platform == gitlab::KIND {
        let repository = repository.map(|(url, sha)| Repository { url: url.into(), sha: sha.into() });
        GitLabOptions { repository, ..GitLabOptions::default() }.into()
    } else {
        platform.options()
    };
    let options = LocalCloudOptions {
        cloud: CloudOptions {
            boot: Duration::from_secs(1),
            notice_power_off: Duration::from_secs(1),
            react: Duration::from_millis(50),
            ..CloudOptions::default()
        },
        azure: AzureOptions {
            boot: Duration::from_secs(1),
            react: Duration::from_millis(200),
            ..AzureOptions::default()
        },
        port,
        platform,
        secrets: BTreeMap::from([("/ci/gitlab-token".to_owned(), "glpat-lightsout-local".to_owned())]),
        ..LocalCloudOptions::default()
    };
    match LocalCloud::start(options, Arc::new(Nothing)).await {
        Ok(cloud) => {
            println!("{}", cloud.url());
            cloud.ended().await;
            cloud.down().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}
