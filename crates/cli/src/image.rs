//! The image that demo jobs run in, made of what is on this machine: no registry is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use bollard::{Docker, body_full, query_parameters::CreateImageOptions};
use bytes::Bytes;
use futures_util::TryStreamExt;
use lightsout_core::duration::not_within;
use sha2::{Digest, Sha256};

/// What a demo job calls, when there is no busybox that has it all.
const PROGRAMS: [&str; 12] =
    ["sh", "sleep", "echo", "cat", "ls", "true", "false", "env", "date", "mkdir", "rm", "uname"];

/// How long the engine may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// A Docker engine that answers.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    /// The connection, with an API version that both sides speak.
    pub docker: Docker,
    /// The engine's own version.
    pub version: String,
}

/// Finds the Docker engine of this machine.
///
/// # Errors
/// When none answers within three seconds, and why.
pub(crate) async fn engine() -> Result<Engine> {
    let find = async {
        let docker = Docker::connect_with_local_defaults()?.negotiate_version().await?;
        let version = docker.version().await?.version.unwrap_or_else(|| "of an unknown version".to_owned());
        Ok::<_, bollard::errors::Error>(Engine { docker, version })
    };
    tokio::time::timeout(ANSWER, find)
        .await
        .map_err(|_| {
            anyhow!(not_within("the Docker engine did not answer", ANSWER, "docker info tells whether it works"))
        })?
        .context("no Docker engine answers")
}

/// The name of the jobs' image; it is built when it is not there yet. True when it was.
pub(crate) async fn job_image(docker: &Docker) -> Result<(String, bool)> {
    let tar = tokio::task::spawn_blocking(|| archive(&layout(Path::new("/bin/busybox"))?)).await??;
    let digest = format!("{:.12x}", Sha256::digest(&tar));
    let name = format!("lightsout/job:{digest}");
    match docker.inspect_image(&name).await {
        Ok(_) => return Ok((name, false)),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(error).context("the Docker engine cannot say which images it has"),
    }
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some("lightsout/job".to_owned()),
        tag: Some(digest),
        changes: vec!["ENV PATH=/bin".to_owned(), "CMD [\"sh\"]".to_owned()],
        ..CreateImageOptions::default()
    };
    let built: Vec<_> = docker
        .create_image(Some(options), Some(body_full(Bytes::from(tar))), None)
        .try_collect()
        .await
        .with_context(|| format!("the Docker engine does not take the image {name}"))?;
    tracing::debug!(image = name, answers = built.len(), "image built");
    Ok((name, true))
}

/// What goes into the image, by its path in it.
type Layout = BTreeMap<PathBuf, Entry>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// A program or library of this machine.
    File(PathBuf),
    /// A link to a path in the image.
    Link(PathBuf),
    /// An empty directory that anybody may write to.
    Scratch,
}

/// A busybox with all its applets when there is one, else a shell and a few programs; in both cases with the
/// libraries they load.
fn layout(busybox: &Path) -> Result<Layout> {
    let mut layout = Layout::from([(PathBuf::from("tmp"), Entry::Scratch)]);
    if busybox.is_file() {
        add_program(&mut layout, "busybox", busybox)?;
        for applet in applets(busybox)? {
            layout.entry(Path::new("bin").join(applet)).or_insert_with(|| Entry::Link("/bin/busybox".into()));
        }
    } else {
        for name in PROGRAMS {
            let found = ["/bin", "/usr/bin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file());
            match found {
                Some(path) => add_program(&mut layout, name, &path)?,
                None if name == "sh" || name == "sleep" => {
                    bail!("this machine has no {name} to make an image of; install busybox-static, or use --no-docker")
                }
                None => {}
            }
        }
    }
    Ok(layout)
}

fn add_program(layout: &mut Layout, name: &str, path: &Path) -> Result<()> {
    layout.insert(Path::new("bin").join(name), Entry::File(path.to_owned()));
    let listing = Command::new("ldd").arg(path).output();
    for library in libraries(&String::from_utf8_lossy(&listing.context("cannot run ldd")?.stdout)) {
        let inside = library.strip_prefix("/").unwrap_or(&library).to_owned();
        layout.insert(inside, Entry::File(library));
    }
    Ok(())
}

/// The files that `ldd` names; none for a static program.
fn libraries(listing: &str) -> BTreeSet<PathBuf> {
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

fn applets(busybox: &Path) -> Result<Vec<String>> {
    let listing =
        Command::new(busybox).arg("--list").output().with_context(|| format!("cannot run {}", busybox.display()))?;
    Ok(String::from_utf8_lossy(&listing.stdout).lines().filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// The layout as a tar; the same layout and files always give the same bytes.
fn archive(layout: &Layout) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, entry) in layout {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let added: io::Result<()> = match entry {
            Entry::File(source) => fs::read(source).and_then(|contents| {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(0o755);
                header.set_size(contents.len() as u64);
                tar.append_data(&mut header, path, contents.as_slice())
            }),
            Entry::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                tar.append_link(&mut header, path, target)
            }
            Entry::Scratch => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o1777);
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty())
            }
        };
        added.with_context(|| format!("cannot put {} into the image", path.display()))?;
    }
    tar.into_inner().context("cannot finish the image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_both_forms_of_line() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected: BTreeSet<PathBuf> =
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from).into();
        assert_eq!(libraries(listing), expected);
        assert_eq!(libraries("\tstatically linked\n"), BTreeSet::new());
    }

    #[test]
    fn without_busybox_the_image_has_a_shell_and_what_it_loads() {
        let layout = layout(Path::new("/nowhere/busybox")).unwrap();
        assert!(matches!(layout[Path::new("bin/sh")], Entry::File(_)));
        assert!(layout.contains_key(Path::new("bin/sleep")));
        for (path, entry) in &layout {
            assert!(path.is_relative(), "{}", path.display());
            if let Entry::File(source) = entry {
                assert!(source.is_file(), "{}", source.display());
            }
        }
    }

    #[test]
    fn the_tar_holds_the_layout_and_is_the_same_each_time() {
        let temp = tempfile::tempdir().unwrap();
        let program = temp.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let layout = Layout::from([
            ("bin/busybox".into(), Entry::File(program)),
            ("bin/sh".into(), Entry::Link("/bin/busybox".into())),
            ("tmp".into(), Entry::Scratch),
        ]);
        let bytes = archive(&layout).unwrap();
        assert_eq!(bytes, archive(&layout).unwrap());

        let mut tar = tar::Archive::new(bytes.as_slice());
        let found: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.path().unwrap().display().to_string(),
                    entry.header().mode().unwrap(),
                    entry.header().entry_type(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("bin/busybox".to_owned(), 0o755, tar::EntryType::Regular),
                ("bin/sh".to_owned(), 0o777, tar::EntryType::Symlink),
                ("tmp".to_owned(), 0o1777, tar::EntryType::Directory),
            ]
        );
    }
}
