//! What is removed to make room, on an engine of the test's own: on anybody else's it would remove what is theirs.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::Engine;

/// How long a start or an end of the engine may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine with its own data, its own socket and its own containers, which ends with the test, whatever becomes of that.
struct OwnEngine {
    dockerd: Child,
    folder: TempDir,
}

impl OwnEngine {
    /// `None`, said loudly, where no engine can be started.
    fn start_or_skip(test: &str) -> Option<Self> {
        let why = if !geteuid().is_root() {
            "it takes root"
        } else if !output(Command::new("docker").arg("version")).is_some_and(|seen| seen.status.success()) {
            "no Docker engine answers, so none of its own could run either"
        } else if output(Command::new("dockerd").arg("--version")).is_none() {
            "dockerd is not installed"
        } else {
            return Some(Self::start());
        };
        // Not `eprintln!`, which is shown for failed tests only.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
        None
    }

    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("lightsout-engine-").tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        // The machine's own settings are not this engine's.
        fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let own = format!("lightsout-test-{}", std::process::id());
        let dockerd = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "TERM",
                "--",
                // A network of its own: with `--bridge none` an engine removes the docker0 of the one beside it (seen).
                "unshare",
                "--net",
                "--",
                "dockerd",
                "--storage-driver",
                "vfs",
                "--config-file",
                &place("daemon.json"),
            ])
            .args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("pid")])
            .args(["--host", &format!("unix://{}", place("docker.sock"))])
            .args(["--containerd-namespace", &own, "--containerd-plugins-namespace", &format!("{own}-plugins")])
            // Nothing of the machine's network is touched.
            .args([
                "--bridge",
                "none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let engine = Self { dockerd, folder };
        let begun = Instant::now();
        while !engine.command(&["version"]).status.success() {
            let log = || fs::read_to_string(engine.folder.path().join("log")).unwrap();
            assert!(begun.elapsed() < PATIENCE, "the engine does not start: {}", log());
            thread::sleep(Duration::from_millis(100));
        }
        engine
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(arguments);
        output(&mut command).unwrap()
    }

    /// What a command prints, line by line, in order.
    fn docker(&self, arguments: &[&str]) -> Vec<String> {
        let seen = self.command(arguments);
        assert!(seen.status.success(), "docker {arguments:?}: {seen:?}");
        let mut lines: Vec<_> = String::from_utf8_lossy(&seen.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// An image of a few links into the machine's own programs, which are mounted when it runs.
    fn import(&self, name: &str, label: &[&str]) {
        let root = self.folder.path().join("images").join(name);
        fs::create_dir_all(root.join("usr")).unwrap();
        fs::write(root.join("name"), name).unwrap();
        for link in ["bin", "sbin", "lib", "lib64"] {
            symlink(Path::new("usr").join(link), root.join(link)).unwrap();
        }
        let tar = tar(&root);
        self.docker(&[&["import"], label, &[&tar, name]].concat());
    }

    fn run(&self, name: &str, more: &[&str], program: &[&str]) {
        let always = ["run", "--name", name, "--network", "none", "--stop-signal", "KILL"];
        let programs = ["--mount", "type=bind,source=/usr,target=/usr,readonly", "--volume", "/of-nobody"];
        self.docker(&[&always, &programs[..], more, &[name], program].concat());
    }

    /// A build that leaves a cache: BuildKit's, whether or not the client has the plug-in for it.
    fn build(&self, name: &str) {
        let root = self.folder.path().join("context");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
        let context = fs::read(tar(&root)).unwrap();
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(
            stream,
            "POST /build?version=2&t={name} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/x-tar\r\n\
             Content-Length: {}\r\n\r\n",
            context.len()
        )
        .unwrap();
        stream.write_all(&context).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("Successfully tagged"), "{answer}");
    }

    fn containers(&self) -> Vec<String> {
        self.docker(&["ps", "--all", "--format", "{{.Names}} {{.State}}"])
    }

    fn images(&self) -> Vec<String> {
        self.docker(&["images", "--all", "--format", "{{.Repository}}"])
    }

    fn volumes(&self) -> Vec<String> {
        self.docker(&["volume", "ls", "--quiet"])
    }

    fn cached(&self) -> Vec<String> {
        let all = self.docker(&["system", "df", "--format", "{{.Type}}: {{.TotalCount}}"]);
        all.into_iter().filter(|line| line.starts_with("Build Cache")).collect()
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let pid = i32::try_from(self.dockerd.id()).ok().and_then(Pid::from_raw);
        // It ends its containers, and what it started for them.
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while matches!(self.dockerd.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.dockerd.kill();
        let _ = self.dockerd.wait();
    }
}

fn output(command: &mut Command) -> Option<Output> {
    command.env("DOCKER_CLI_HINTS", "false").stdin(Stdio::null()).output().ok()
}

/// All that is in this folder, as an archive beside it.
fn tar(folder: &Path) -> String {
    let file = folder.with_extension("tar").display().to_string();
    let packed = output(Command::new("tar").arg("-C").arg(folder).args(["-cf", &file, "."]));
    assert!(packed.is_some_and(|packed| packed.status.success()), "{file}");
    file
}

#[tokio::test]
async fn a_genuine_engine_removes_what_nobody_uses_and_nothing_else() {
    let Some(own) = OwnEngine::start_or_skip("a_genuine_engine_removes_what_nobody_uses_and_nothing_else") else {
        return;
    };
    for name in ["job", "stopped", "held", "unused"] {
        own.import(name, &[]);
    }
    own.import("kept", &["--change", "LABEL lightsout.keep=yes"]);
    own.docker(&["volume", "create", "cache"]);
    own.run("job", &["--detach", "--volume", "cache:/cache"], &["sleep", "600"]);
    own.run("stopped", &[], &["true"]);
    own.run("held", &["--label", "lightsout.keep"], &["true"]);
    own.build("built");
    let volumes = own.volumes();
    assert_eq!(volumes.len(), 4, "one with a name, and one of each container: {volumes:?}");
    assert_eq!(own.images(), ["built", "held", "job", "kept", "stopped", "unused"]);
    assert_ne!(own.cached(), ["Build Cache: 0"], "there is something to remove");

    let said = Engine::new(&own.socket()).prune(PATIENCE).await;
    assert!(said.starts_with("Docker has removed "), "{said}");
    assert_eq!(own.containers(), ["held exited", "job running"]);
    assert_eq!(own.images(), ["held", "job", "kept"]);
    assert_eq!(own.cached(), ["Build Cache: 0"]);
    assert_eq!(own.volumes(), volumes);
}
