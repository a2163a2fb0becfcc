//! As whom the runner and its jobs run, and what of the machine that puts within their reach.

use std::{collections::BTreeMap, env, fs, os::unix::fs::MetadataExt, path::Path};

use lightsout_core::{
    exchange::Text,
    settings::{DEFAULT_RUNNER_USER, RunnerEnvironment},
};
use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use tokio::process::Command;

const ROOT: u32 = 0;
/// Where the container engine listens, unless somebody moved it.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// A user of this machine other than the agent's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunnerUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// The groups besides its own.
    pub groups: Vec<u32>,
    home: String,
    shell: String,
}

impl RunnerUser {
    /// The user that the settings ask for, on the machine whose files are in this folder, and for an agent of this user; `None`: the agent's own.
    ///
    /// # Errors
    /// When there is no such user, when this agent may not start anything as that user, or when it would be root without having been named.
    pub(crate) fn on(root: &Path, runner_environment: &RunnerEnvironment, own: u32) -> Result<Option<Self>, String> {
        let read =
            |path: &str| fs::read_to_string(root.join(path)).map_err(|error| format!("cannot read /{path}: {error}"));
        // Without a list of users there is nobody else.
        let users = match read("etc/passwd") {
            Ok(users) => users,
            Err(_) if runner_environment.user.is_none() => String::new(),
            Err(why) => return Err(why),
        };
        let groups = read("etc/group").unwrap_or_default();
        Self::find(runner_environment.user.as_deref(), own, &users, &groups)
    }

    fn find(wanted: Option<&str>, own: u32, users: &str, groups: &str) -> Result<Option<Self>, String> {
        let name = wanted.unwrap_or(DEFAULT_RUNNER_USER);
        let Some(user) = Self::read(name, users, groups) else {
            return match wanted {
                None if own == ROOT => Err(format!(
                    "agent.runner_user is not set, and this machine has no user {DEFAULT_RUNNER_USER}: jobs would run as root, and read the \
                     agent's secrets; make the user (the package lightsout-agent does; else: useradd --system --create-home \
                     {DEFAULT_RUNNER_USER}), or name another one in agent.runner_user, \"root\" if that is meant"
                )),
                None => Ok(None),
                Some(name) => Err(format!(
                    "agent.runner_user = {name:?}: this machine has no such user; make it (useradd --system --create-home \
                     {name}) or name another one"
                )),
            };
        };
        match (user.uid == own, own == ROOT) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(user)),
            (false, false) if wanted.is_none() => Ok(None),
            (false, false) => Err(format!(
                "agent.runner_user = {name:?}: only an agent that runs as root can start a runner as another user; leave it \
                 out, and the runner runs as the agent does"
            )),
        }
    }

    /// As passwd(5) and group(5) say.
    fn read(name: &str, users: &str, groups: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let found = users.lines().map(fields).find(|fields| fields.first().is_some_and(|it| it == name))?;
        let [name, _, uid, gid, _, home, shell] = <[String; 7]>::try_from(found).ok()?;
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let mut member: Vec<u32> = Vec::new();
        for group in groups.lines().map(fields) {
            if let [_, _, id, members] = &group[..]
                && members.split(',').any(|member| member.trim() == name)
                && let Ok(id) = id.parse()
                && id != gid
            {
                member.push(id);
            }
        }
        Some(Self { name, uid, gid, groups: member, home, shell })
    }

    /// Has a program start as this user, with these groups besides its own.
    pub(crate) fn run(&self, command: &mut Command, groups: Vec<u32>) {
        let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        #[expect(unsafe_code, reason = "std sets no groups besides the user's own")]
        // SAFETY: between fork and exec it makes three system calls and nothing else, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                set_thread_groups(&groups)?;
                set_thread_res_gid(gid, gid, gid)?;
                set_thread_res_uid(uid, uid, uid)?;
                Ok(())
            });
        }
    }

    /// What tells a program whose process it is.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let shell = if self.shell.is_empty() { "/bin/sh" } else { &self.shell };
        let all = [("HOME", &*self.home), ("USER", &self.name), ("LOGNAME", &self.name), ("SHELL", shell)];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Whether it is in the group of this engine's socket, whatever the settings say.
    pub(crate) fn may_use(&self, socket: &Path) -> bool {
        group_of(socket).is_some_and(|group| group == self.gid || self.groups.contains(&group))
    }

    /// The groups besides its own, with that of the container engine's socket where this user may use it.
    pub(crate) fn groups_with(&self, engine: Option<&Path>) -> Vec<u32> {
        let mut groups = self.groups.clone();
        if let Some(group) = engine.and_then(group_of) {
            if group == ROOT {
                tracing::warn!("the container engine's socket belongs to the group of root, which no runner gets");
            } else if group != self.gid && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

fn group_of(socket: &Path) -> Option<u32> {
    fs::metadata(socket).ok().map(|found| found.gid())
}

/// The environment of whatever runs as the runner does, with these variables besides; `None`: as the agent's own user.
pub(crate) fn environment(
    user: Option<&RunnerUser>,
    runner_environment: &RunnerEnvironment,
    more: &[(String, Text)],
) -> BTreeMap<String, Text> {
    let known = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    runner_environment.environment(known, user.map_or_else(own_variables, RunnerUser::variables), more)
}

/// Has a program run as the runner does, but for the container engine, which it gets no right to.
pub(crate) fn run_alike(command: &mut Command, user: Option<&RunnerUser>, runner_environment: &RunnerEnvironment) {
    let environment = environment(user, runner_environment, &[]);
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value.expose()))).current_dir("/");
    if let Some(user) = user {
        user.run(command, user.groups.clone());
    }
}

/// What tells a program whose process it is, when it is the agent's own user's. A system service has no home (systemd.exec(5)), and programs
/// that jobs call want one.
pub(crate) fn own_variables() -> Vec<(String, String)> {
    let home = env::var("HOME").unwrap_or_else(|_| if geteuid().is_root() { "/root".into() } else { "/".into() });
    let mut all = vec![("HOME".to_owned(), home)];
    all.extend(["USER", "LOGNAME", "SHELL"].iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))));
    all
}

/// Says at the start what jobs can reach.
pub(crate) fn announce(user: Option<&RunnerUser>, engine: Option<&Path>) {
    let Some(user) = user else {
        if geteuid().is_root() {
            tracing::info!("jobs run as root, as agent.runner_user says");
        } else {
            tracing::info!("jobs run as the agent's own user: they can read whatever the agent can");
        }
        return;
    };
    tracing::info!(user = user.name, uid = user.uid, "jobs run as a user of their own");
    if engine.is_some() {
        tracing::warn!(
            user = user.name,
            "jobs may use the Docker engine, so they are as good as root (agent.runner_docker)"
        );
    } else if user.may_use(Path::new(DEFAULT_SOCKET)) {
        tracing::warn!(
            user = user.name,
            "jobs may use the Docker engine although agent.runner_docker says no, so they are as good as root: take the user out of \
             the group of its socket"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nci:x:1001:1002::/home/ci:/bin/bash\n\
                         lightsout-runner:x:998:997::/var/lib/runner:\nbroken:x:y\n";
    const GROUPS: &str = "root:x:0:\ndocker:x:999:bob,ci\nci:x:1002:ci\nbuild:x:50:ci\nbroken\n";

    fn find(wanted: Option<&str>, own: u32) -> Result<Option<(String, u32, Vec<u32>)>, String> {
        let found = RunnerUser::find(wanted, own, USERS, GROUPS);
        found.map(|user| user.map(|user| (user.name, user.uid, user.groups)))
    }

    #[test]
    fn root_only_by_name_and_another_user_only_by_root() {
        assert_eq!(find(None, 0), Ok(Some(("lightsout-runner".into(), 998, vec![]))));
        assert_eq!(find(Some("ci"), 0), Ok(Some(("ci".into(), 1001, vec![999, 50]))));
        assert_eq!(find(Some("root"), 0), Ok(None));
        assert_eq!(find(None, 1001), Ok(None), "on a laptop");
        assert_eq!(find(Some("ci"), 1001), Ok(None));
        assert!(find(Some("root"), 1001).unwrap_err().contains("only an agent that runs as root"));
        for missing in ["nobody-here", "broken", ""] {
            assert!(find(Some(missing), 0).unwrap_err().contains("no such user"), "{missing:?}");
        }
    }

    #[test]
    fn an_agent_that_runs_as_root_makes_nothing_root_that_was_not_named() {
        for users in ["root:x:0:0:root:/root:/bin/bash\n", ""] {
            let error = RunnerUser::find(None, 0, users, "").unwrap_err();
            for told in [
                "agent.runner_user is not set",
                "no user lightsout-runner",
                "useradd --system",
                "\"root\" if that is meant",
            ] {
                assert!(error.contains(told), "{error}");
            }
            assert_eq!(RunnerUser::find(None, 1001, users, ""), Ok(None), "on a laptop");
        }
    }

    #[test]
    fn the_engines_group_is_the_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let user = RunnerUser::find(Some("ci"), 0, USERS, "").unwrap().unwrap();
        let own = fs::metadata(folder.path()).unwrap().gid();
        let with = user.groups_with(Some(folder.path()));
        assert_eq!(with, if own == ROOT { vec![] } else { vec![own] });
        assert_eq!(user.groups_with(None), Vec::<u32>::new());
        assert!(!user.may_use(folder.path()), "in no group of its");
        assert!(RunnerUser { gid: own, ..user.clone() }.may_use(folder.path()));
        assert!(RunnerUser { groups: vec![50, own], ..user.clone() }.may_use(folder.path()));
        assert_eq!(user.groups_with(Some(Path::new("/does/not/exist"))), Vec::<u32>::new());
        assert!(user.variables().contains(&("HOME".into(), "/home/ci".into())));
    }
}
