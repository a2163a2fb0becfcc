//! A script on many instances, and what came of it on each.

use std::{collections::BTreeMap, time::Duration};

use lightsout_cloud::{
    Operator,
    operator::{MOST_AT_ONCE, Run},
};
use lightsout_core::{cloud::CloudErrorKind, duration::not_within};

/// How long an answer is usually waited for: for the delivery, for what is run, and some for the way.
pub(super) const PATIENCE: Duration = Duration::from_secs(100);
/// The pauses between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a script ended on an instance, or why it was not run there.
pub(super) type Came = Result<Ended, String>;

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code.
    pub(super) code: i32,
    /// What it wrote.
    pub(super) out: String,
    /// What it wrote to standard error.
    pub(super) err: String,
}

/// Runs it on all of these, and waits so long for what comes of it; an instance that is not reached has the reason.
pub(super) async fn run(
    operator: &dyn Operator,
    ids: &[String],
    script: &str,
    patience: Duration,
) -> BTreeMap<String, Came> {
    let mut came = BTreeMap::new();
    let reachable = match operator.reachable(ids).await {
        Ok(reachable) => reachable,
        Err(error) => return ids.iter().map(|id| (id.clone(), Err(error.to_string()))).collect(),
    };
    let (reachable, others): (Vec<String>, Vec<String>) = ids.iter().cloned().partition(|id| reachable.contains(id));
    for id in others {
        let why = "Systems Manager does not know it as online: its agent is not there, or its role lacks AmazonSSMManagedInstanceCore";
        came.insert(id, Err(why.to_owned()));
    }
    let mut open = Vec::new();
    for ids in reachable.chunks(MOST_AT_ONCE) {
        match operator.run(ids, script).await {
            Ok(command) => open.extend(ids.iter().map(|id| (command.clone(), id.clone()))),
            Err(error) => came.extend(ids.iter().map(|id| (id.clone(), Err(error.to_string())))),
        }
    }
    let begun = tokio::time::Instant::now();
    let mut pause = FIRST_PAUSE;
    while !open.is_empty() {
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        let mut left = Vec::new();
        for (command, id) in open {
            match operator.ran(&command, &id).await {
                Ok(Run::Ended { code, out, err }) => _ = came.insert(id, Ok(Ended { code, out, err })),
                Ok(Run::Undelivered(why)) => _ = came.insert(id, Err(why)),
                Ok(Run::Pending) => left.push((command, id)),
                Err(error) if may_pass(error.kind) => left.push((command, id)),
                Err(error) => _ = came.insert(id, Err(error.to_string())),
            }
        }
        open = left;
        if begun.elapsed() >= patience {
            let why = not_within(
                "no answer",
                patience,
                "it may still be run: see the instance's own log before it is sent again",
            );
            came.extend(open.drain(..).map(|(_, id)| (id, Err(why.clone()))));
        }
    }
    came
}

/// Whether the same question may be answered a moment later.
fn may_pass(kind: CloudErrorKind) -> bool {
    matches!(kind, CloudErrorKind::Throttled | CloudErrorKind::Timeout | CloudErrorKind::Unreachable)
}
