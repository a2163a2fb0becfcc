//! A folder as a machine image: all is well in it, until one file is not as it should be.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use lightsout_core::doctor::{Place, facts::SettingsFacts};
use tempfile::TempDir;

use super::*;
use crate::args::Config;

const UNITS: &str = "usr/lib/systemd/system";
const ETC_UNITS: &str = "etc/systemd/system";
const SETTINGS: &str = "etc/lightsout/agent.toml";

type Change = Box<dyn Fn(&Image)>;

struct Image {
    folder: TempDir,
}

impl Image {
    /// As the image's scripts leave it.
    fn good() -> Self {
        let image = Self { folder: tempfile::tempdir().unwrap() };
        let runner = image.at("usr/bin/gitlab-runner");
        image.write(
            SETTINGS,
            &format!(
                "[platform.gitlab]\nurl = \"https://gitlab.example.com\"\ntoken = {{ ssm = \"/ci/token\" }}\nprogram = {runner:?}\n\
                 executor = \"docker\"\nimage = \"alpine\"\n"
            ),
        );
        image.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nlightsout-runner:x:998:997::/var/lib/runner:\n");
        image.program("usr/bin/gitlab-runner", "echo 'Version:      18.5.0'");
        image.program("usr/bin/dockerd", "");
        image.program("usr/sbin/nft", "");
        image.write(
            "etc/docker/daemon.json",
            r#"{"cgroup-parent": "docker.slice", "live-restore": true, "log-opts": {"max-size": "10m"}}"#,
        );
        for unit in [
            "lightsout-agent.service",
            "lightsout-dead-man.timer",
            "docker.service",
            "gitlab-runner.service",
            "apt-daily.timer",
        ] {
            image.write(&format!("{UNITS}/{unit}"), "[Unit]");
        }
        image.enable("multi-user.target", "lightsout-agent.service");
        image.enable("timers.target", "lightsout-dead-man.timer");
        image.enable("multi-user.target", "docker.service");
        image.mask("gitlab-runner.service");
        // Enabled by its package, and masked by the image's scripts.
        image.enable("timers.target", "apt-daily.timer");
        image.mask("apt-daily.timer");
        image.write("etc/needrestart/needrestart.conf", "");
        image.write(
            "etc/needrestart/conf.d/lightsout.conf",
            "qr(^lightsout-) => 0, qr(^docker) => 0, qr(^containerd) => 0",
        );
        image.write("etc/machine-id", "uninitialized\n");
        // What others may know.
        image.write("root/.ssh/id_ecdsa.pub", "x");
        image.says("2099-01-01");
        image
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn program(&self, path: &str, script: &str) {
        self.write(path, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    fn enable(&self, by: &str, unit: &str) {
        let folder = format!("{ETC_UNITS}/{by}.wants");
        fs::create_dir_all(self.at(&folder)).unwrap();
        symlink(format!("/{UNITS}/{unit}"), self.at(&format!("{folder}/{unit}"))).unwrap();
    }

    fn mask(&self, unit: &str) {
        symlink("/dev/null", self.at(&format!("{ETC_UNITS}/{unit}"))).unwrap();
    }

    fn says(&self, expires: &str) {
        let text = format!(
            r#"{{"built": "2026-11-26T18:00:00Z", "platform": "gitlab", "pins": [],
                "runner": {{"name": "gitlab-runner", "program": ["/usr/bin/gitlab-runner"], "version": "18.5.0", "expires": "{expires}"}}}}"#
        );
        self.write("usr/share/lightsout/image.json", &text);
    }

    /// What is not well, by name.
    async fn found(&self) -> Vec<&'static str> {
        let args = Doctor { config: Config { config: vec![self.at(SETTINGS)] }, image: true, json: false };
        let facts = gather(&args, &Root(self.folder.path().to_owned())).await;
        let findings = examine(&facts).into_iter();
        // How full this machine is, is none of the test's business.
        let findings = findings.filter(|found| found.verdict != Verdict::Ok && !found.id.starts_with("disk."));
        findings.map(|finding| finding.id).collect()
    }
}

#[tokio::test]
async fn an_image_in_which_all_is_well_has_no_finding() {
    assert_eq!(Image::good().found().await, Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_wrong_in_an_image_is_found_and_nothing_else() {
    let write = |path: &'static str, text: &'static str| move |image: &Image| image.write(path, text);
    let remove = |path: &'static str| move |image: &Image| image.remove(path);
    let changes: Vec<(&str, Change)> = vec![
        ("settings", Box::new(write(SETTINGS, "[platform.gitlab\n"))),
        ("settings", Box::new(remove(SETTINGS))),
        // The URL may still come with the user data: a warning, which fails no build.
        ("settings", Box::new(write(SETTINGS, "[platform.gitlab]\ntoken = { ssm = \"/ci/token\" }\n"))),
        (
            "runner.engine",
            Box::new(|image| {
                let text = fs::read_to_string(image.at(SETTINGS)).unwrap();
                image.write(SETTINGS, &format!("[agent]\nrunner_docker = false\n{text}"));
                image.write("etc/group", "docker:x:999:lightsout-runner\n");
            }),
        ),
        (
            "image.inline-secret",
            Box::new(|image| {
                let text = fs::read_to_string(image.at(SETTINGS)).unwrap();
                image.write(SETTINGS, &text.replace("{ ssm = \"/ci/token\" }", "\"glrt-abcdefghijklmnopqrst\""));
                fs::set_permissions(image.at(SETTINGS), fs::Permissions::from_mode(0o600)).unwrap();
            }),
        ),
        ("runner.user", Box::new(write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"))),
        ("runner.program", Box::new(remove("usr/bin/gitlab-runner"))),
        (
            "runner.program",
            Box::new(|image| {
                fs::set_permissions(image.at("usr/bin/gitlab-runner"), fs::Permissions::from_mode(0o644)).unwrap();
            }),
        ),
        ("runner.version", Box::new(|image| image.program("usr/bin/gitlab-runner", "echo no libicu >&2; exit 134"))),
        ("runner.version", Box::new(|image| image.program("usr/bin/gitlab-runner", "echo 'Version: 99.1.0'"))),
        ("runner.expiry", Box::new(|image| image.says("2026-11-01"))),
        (
            "runner.second",
            Box::new(|image| {
                image.remove("etc/systemd/system/gitlab-runner.service");
                image.enable("multi-user.target", "gitlab-runner.service");
            }),
        ),
        ("units.agent", Box::new(remove("etc/systemd/system/multi-user.target.wants/lightsout-agent.service"))),
        ("units.agent", Box::new(remove("usr/lib/systemd/system/lightsout-agent.service"))),
        ("units.agent", Box::new(|image| image.mask("lightsout-agent.service"))),
        ("units.dead-man", Box::new(remove("etc/systemd/system/timers.target.wants/lightsout-dead-man.timer"))),
        ("metadata.guard", Box::new(remove("usr/sbin/nft"))),
        ("docker.unit", Box::new(remove("etc/systemd/system/multi-user.target.wants/docker.service"))),
        (
            "docker.log-limit",
            Box::new(write("etc/docker/daemon.json", r#"{"cgroup-parent": "docker.slice", "live-restore": true}"#)),
        ),
        (
            "docker.live-restore",
            Box::new(write("etc/docker/daemon.json", r#"{"cgroup-parent": "docker.slice", "log-driver": "local"}"#)),
        ),
        (
            "docker.cgroup-parent",
            Box::new(write("etc/docker/daemon.json", r#"{"live-restore": true, "log-driver": "local"}"#)),
        ),
        ("packages.automatic", Box::new(remove("etc/systemd/system/apt-daily.timer"))),
        ("packages.needrestart", Box::new(remove("etc/needrestart/conf.d/lightsout.conf"))),
        // Whose restart stops the engine, and leaves it stopped.
        (
            "packages.needrestart",
            Box::new(write("etc/needrestart/conf.d/lightsout.conf", "qr(^lightsout-) => 0, qr(^docker) => 0")),
        ),
        ("image.says", Box::new(remove("usr/share/lightsout/image.json"))),
        ("image.says", Box::new(write("usr/share/lightsout/image.json", "{"))),
        ("image.host-keys", Box::new(write("etc/ssh/ssh_host_ed25519_key", "key"))),
        ("image.machine-id", Box::new(write("etc/machine-id", "0123456789abcdef0123456789abcdef\n"))),
        ("image.agent-state", Box::new(write("var/lib/lightsout/journal.json", "{}"))),
        ("image.agent-state", Box::new(write("var/log/journal/0123/system.journal", "x"))),
        ("image.credentials", Box::new(write("home/admin/.aws/credentials", "x"))),
        ("image.credentials", Box::new(write("root/.azure/msal_token_cache.json", "x"))),
        ("image.credentials", Box::new(write("root/.config/gcloud/credentials.db", "x"))),
        ("image.credentials", Box::new(write("root/.ssh/id_ecdsa", "x"))),
        ("image.history", Box::new(write("root/.bash_history", "make secrets"))),
        ("image.history", Box::new(write("home/admin/.psql_history", "create user"))),
        ("image.first-boot", Box::new(write("var/lib/cloud/instances/i-1/boot-finished", "x"))),
    ];
    let mut covered = std::collections::BTreeSet::new();
    for (id, change) in changes {
        let image = Image::good();
        change(&image);
        assert_eq!(image.found().await, [id]);
        covered.insert(id);
    }
    let rows = lightsout_core::doctor::rows().filter(|row| row.scope.has(Place::Image));
    let left: Vec<_> = rows.map(|row| row.id).filter(|id| !covered.contains(id) && !id.starts_with("disk.")).collect();
    // Readability and breadth need a secret in the settings, which is an error of its own in an image.
    assert_eq!(left, ["settings.doubts", "settings.readable", "settings.broad-secret"]);
}

#[tokio::test]
async fn a_secret_that_everybody_may_read_is_found() {
    let image = Image::good();
    image.write("etc/token", "glrt-x");
    let text = fs::read_to_string(image.at(SETTINGS)).unwrap();
    image.write(SETTINGS, &text.replace("{ ssm = \"/ci/token\" }", "{ file = \"/etc/token\" }"));
    for (mode, found) in [(0o644, vec!["settings.readable"]), (0o600, vec![])] {
        fs::set_permissions(image.at("etc/token"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(image.found().await, found);
    }
}

/// A daemon's command line, and the defaults of a rootless one, are in no file.
#[tokio::test]
async fn what_the_engine_says_goes_before_its_file() {
    let image = Image::good();
    image.write("etc/docker/daemon.json", r#"{"data-root": "/", "log-driver": "json-file"}"#);
    let root = Root(image.folder.path().to_owned());
    let said = EngineInfo { data: Some("/proc".into()), log_driver: Some("local".into()), live_restore: Some(true) };
    let facts = Facts::default();
    let judged = async |info: &EngineInfo| {
        let software = software::installed(&facts, &root, info).await;
        software.engine_settings.unwrap().unwrap()
    };
    let (by_file, by_engine) = (judged(&EngineInfo::default()).await, judged(&said).await);
    assert_eq!((by_file.log_driver.as_str(), by_file.log_limit, by_file.live_restore), ("json-file", false, false));
    assert_eq!((by_engine.log_driver.as_str(), by_engine.log_limit, by_engine.live_restore), ("local", true, true));

    // A file system of its own on every machine.
    let root = Root::default();
    let seen = |engine: bool, info: &EngineInfo| {
        let disks = machine::disks(&SettingsFacts::default(), &root, engine, info);
        disks.iter().any(|disk| disk.as_ref().is_ok_and(|disk| disk.folder == Path::new("/proc")))
    };
    assert!(seen(true, &said));
    assert!(!seen(false, &said), "jobs need no engine");
    assert!(!seen(true, &EngineInfo::default()));
}

#[test]
fn routes_are_read_as_the_kernel_writes_them() {
    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    let ways = |ipv4: &str, ipv6: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc/net")).unwrap();
        fs::write(folder.path().join("proc/net/route"), format!("{HEAD}{ipv4}")).unwrap();
        fs::write(folder.path().join("proc/net/ipv6_route"), ipv6).unwrap();
        let found = machine::ways_out(&Root(folder.path().to_owned())).unwrap();
        (found.ipv4, found.ipv6)
    };
    let default = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    let local = "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
    let zeros = "0".repeat(32);
    let route = |flags: &str, device: &str| {
        format!(
            "{zeros} 00 {zeros} 00 {} 00000400 00000001 00000000 {flags} {device}\n",
            "fe80".to_owned() + &zeros[4..]
        )
    };
    assert_eq!(ways(default, ""), (true, false));
    assert_eq!(ways(local, &route("00450003", "eth0")), (false, true));
    // What a kernel without IPv6 routes has: a route that refuses, on the loopback.
    assert_eq!(ways(local, &route("00200200", "lo")), (false, false));
    assert_eq!(ways(local, &route("00200200", "eth0")), (false, false));
    assert!(machine::ways_out(&Root(Path::new("/nonexistent").to_owned())).is_ok_and(|ways| !ways.ipv4 && !ways.ipv6));
}
