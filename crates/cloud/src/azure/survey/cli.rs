//! Tokens of whoever has signed in with the Azure CLI.

use std::time::Duration;

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::Program,
};
use lightsout_io::program;
use secrecy::SecretString;
use serde::Deserialize;

/// How the CLI is called.
pub(in crate::azure) const AZ: &str = "az";
/// For how long a token is used: the CLI gives none that lasts for less than five minutes.
pub(in crate::azure) const KEPT: Duration = Duration::from_secs(4 * 60);
/// It asks Azure where what it keeps has run out.
const TIME: Duration = Duration::from_secs(30);

/// What it prints (Azure CLI reference, "az account get-access-token").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    access_token: String,
}

/// A token for this audience; `None`: the CLI is not installed.
///
/// # Errors
/// When it is, and gives none: in its words, with what to do.
pub(in crate::azure) async fn token(cli: &str, audience: &str) -> Result<Option<SecretString>, CloudError> {
    let argv = [cli, "account", "get-access-token", "--resource", audience, "--output", "json"];
    let program = Program::new(argv.map(str::to_owned).into(), Vec::new(), TIME);
    let failed = |why: &str| {
        let why = format!(
            "no access token of Azure: {cli}: {why}; az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
        );
        CloudError::new(CloudErrorKind::Credentials, why)
    };
    let output = match program::run(&program).await {
        Err(error) if error.missing => return Ok(None),
        Err(error) => return Err(failed(&error.why)),
        Ok(output) => output,
    };
    if output.status != Some(0) {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(said.trim().lines().last().unwrap_or("it says nothing")));
    }
    // What the parser says may quote the token, so it is not passed on.
    let Printed { access_token } = serde_json::from_slice(&output.stdout).map_err(|_| failed("it prints no token"))?;
    Ok(Some(access_token.into()))
}
