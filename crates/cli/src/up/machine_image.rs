//! What machines are booted of, and whether this machine can boot any.

use std::{
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use bollard::{Docker, errors::Error};
use futures_util::TryStreamExt;
use rustix::process::geteuid;

/// The image that Packer's Docker builder makes (`docker_tag` in packer/variables.pkr.hcl).
const DEFAULT: &str = "lightsout/image:test";

/// What each machine of a fleet is booted of.
#[derive(Clone, Debug)]
pub(crate) struct MachineImage {
    /// The engine that has it.
    pub(crate) docker: Docker,
    pub(crate) name: String,
    /// A directory that machines see where this one has it: the runner, and what is below.
    pub(crate) shared: PathBuf,
    /// The image for jobs as an archive, where they run in containers.
    pub(crate) job_image: Option<PathBuf>,
}

impl MachineImage {
    /// Finds it, and puts the jobs' image into the directory that machines share.
    ///
    /// # Errors
    /// When something is missing, with how to get it.
    pub(crate) async fn find(
        docker: &Docker,
        name: Option<&str>,
        shared: &Path,
        job_image: Option<&str>,
    ) -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "--instances machines needs root, to give each machine a network of its own: run it with sudo, or leave it out"
        );
        let paths = env::var_os("PATH").unwrap_or_default();
        ensure!(
            env::split_paths(&paths).any(|dir| dir.join("ip").is_file()),
            "--instances machines needs the program `ip`: install iproute2, or leave it out"
        );
        let name = name.unwrap_or(DEFAULT);
        match docker.inspect_image(name).await {
            Ok(_) => {}
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => bail!(
                "--instances machines: the Docker engine has no machine image {name}: build it as packer/README.md says, or \
                 name another with --machine-image"
            ),
            Err(error) => return Err(error).context("the Docker engine cannot say which images it has"),
        }
        let job_image = match job_image {
            Some(image) => Some(save(docker, image, shared).await?),
            None => None,
        };
        Ok(Self { docker: docker.clone(), name: name.to_owned(), shared: shared.to_owned(), job_image })
    }
}

/// Writes an image of this engine into an archive that another can load.
async fn save(docker: &Docker, image: &str, dir: &Path) -> Result<PathBuf> {
    let path = dir.join("job-image.tar");
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut pieces = std::pin::pin!(docker.export_image(image));
    while let Some(piece) = pieces.try_next().await.with_context(|| format!("cannot save the image {image}"))? {
        file.write_all(&piece)?;
    }
    Ok(path)
}
