//! The client of the running fleet's control API.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use lightsout_cloud::Operator;
use lightsout_localcloud::Snapshot;
use lightsout_localrunner::http::Http;
use serde_json::{Value, json};

use crate::fleet_dir::FleetDir;

/// The region of a fleet's embedded cloud.
pub(crate) const REGION: &str = "eu-central-1";

/// A connection to the running fleet.
pub(crate) struct FleetClient {
    http: Http,
    /// The address of its cloud.
    url: String,
}

impl FleetClient {
    /// Finds the fleet that runs in this directory.
    ///
    /// # Errors
    /// When none runs, with what to do about it.
    pub(crate) fn find(fleet_dir: &FleetDir) -> Result<Self> {
        Ok(Self { http: Http::new(Duration::from_secs(10)), url: fleet_dir.running()?.url })
    }

    /// The operator of its cloud.
    pub(crate) async fn operator(&self) -> Box<dyn Operator> {
        lightsout_cloud::operator_at(REGION.to_owned(), &self.url).await
    }

    /// The fleet as it is now.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot> {
        let answer = self.request(Method::GET, "fleet", &Value::Null).await?;
        serde_json::from_value(answer)
            .context("the fleet answers in a form that this version does not know; was it started by another one?")
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, body).await
    }

    /// Asks the control API.
    pub(crate) async fn request(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let reply = self.http.json(method, &format!("{}/_lightsout/{path}", self.url), body).await?;
        let answer = if reply.body.is_empty() { json!({}) } else { reply.value()? };
        if reply.status.is_success() {
            return Ok(answer);
        }
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => bail!("the fleet answers HTTP {}", reply.status),
        }
    }

    /// The name of its group.
    pub(crate) async fn group(&self) -> Result<String> {
        let group = self.snapshot().await?.groups.into_iter().next();
        Ok(group.context("the fleet has no group yet; try again in a moment")?.name)
    }
}

/// The one id that begins like this, with or without its `i-`; living instances are preferred.
///
/// # Errors
/// When there is none or more than one, naming what there is.
pub(crate) fn resolve(snapshot: &Snapshot, wanted: &str) -> Result<String> {
    let known = snapshot.instances.iter().map(|instance| (instance.id.as_str(), instance.ended_ms.is_some()));
    pick(&known, wanted, "lightsout ps")
}

/// The same of these ids, each with whether it has ended, which the command `list` shows.
///
/// # Errors
/// As above.
pub(crate) fn pick<'a>(
    known: &(impl Iterator<Item = (&'a str, bool)> + Clone),
    wanted: &str,
    list: &str,
) -> Result<String> {
    let matching = |ended: bool| -> Vec<&str> {
        let ids = known.clone().filter(|(_, over)| *over == ended).map(|(id, _)| id);
        ids.filter(|id| id.starts_with(wanted) || id.strip_prefix("i-").is_some_and(|id| id.starts_with(wanted)))
            .collect()
    };
    let mut found = matching(false);
    if found.is_empty() {
        found = matching(true);
    }
    match found[..] {
        [id] => Ok(id.to_owned()),
        [] if known.clone().next().is_none() => bail!("no instance `{wanted}`: none has been launched yet"),
        [] => bail!("no instance `{wanted}`; `{list}` lists them"),
        [..] if wanted.is_empty() => bail!("which instance? `{list}` lists them"),
        [..] => bail!("`{wanted}` could be {}; write more of it", found.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use lightsout_localcloud::fleet::InstanceView;

    use super::*;

    fn fleet(ids: &[(&str, bool)]) -> Snapshot {
        let instances = ids.iter().map(|(id, ended)| InstanceView {
            id: (*id).to_owned(),
            ended_ms: ended.then_some(1),
            ..InstanceView::default()
        });
        Snapshot { instances: instances.collect(), ..Snapshot::default() }
    }

    #[test]
    fn a_unique_start_is_enough() {
        let fleet = fleet(&[("i-0aa1", false), ("i-0ab2", false)]);
        assert_eq!(resolve(&fleet, "i-0aa").unwrap(), "i-0aa1");
        assert_eq!(resolve(&fleet, "0ab").unwrap(), "i-0ab2");
        assert_eq!(resolve(&fleet, "i-0aa1").unwrap(), "i-0aa1");
    }

    #[test]
    fn the_living_come_first() {
        let fleet = fleet(&[("i-0aa1", true), ("i-0aa2", false), ("i-0b", true)]);
        assert_eq!(resolve(&fleet, "i-0a").unwrap(), "i-0aa2");
        assert_eq!(resolve(&fleet, "i-0b").unwrap(), "i-0b");
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let two = fleet(&[("i-0aa1", false), ("i-0ab2", false)]);
        assert!(resolve(&two, "i-0a").unwrap_err().to_string().contains("i-0aa1 or i-0ab2"));
        assert!(resolve(&two, "i-0c").unwrap_err().to_string().contains("lightsout ps"));
        assert!(resolve(&two, "").is_err());
        assert!(resolve(&fleet(&[]), "i-0").unwrap_err().to_string().contains("yet"));
    }
}
