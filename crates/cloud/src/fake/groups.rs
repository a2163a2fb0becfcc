//! The scaler's side of the cloud in memory: groups whose answers a test scripts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use lightsout_core::{
    cloud::{Capabilities, CapacityChange, CloudError, CloudErrorKind, Floor, Listed, Member},
    record::FailedLaunch,
};

use crate::{
    CloudFuture, GroupDescription, GroupView, Groups, History, Listing,
    fake::{CAPABILITIES, Fault, Script},
};

/// One call of [`Groups`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsCall {
    /// [`Groups::describe`].
    Describe(BTreeSet<String>),
    /// [`Groups::history`].
    History(String),
    /// [`Groups::listing`].
    Listing(BTreeSet<String>),
    /// [`Groups::members`].
    Members(String),
    /// [`Groups::raise`].
    Raise {
        group: String,
        /// The capacity asked for.
        to: u32,
    },
    /// [`Groups::leave_floor`].
    LeaveFloor {
        group: String,
        /// So many instances.
        floor: u32,
    },
}

impl fmt::Display for GroupsCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self {
            Self::Describe(names) => write!(f, "describe {}", all(names)),
            Self::Listing(names) => write!(f, "listing {}", all(names)),
            Self::History(group) => write!(f, "history {group}"),
            Self::Members(group) => write!(f, "members {group}"),
            Self::Raise { group, to } => write!(f, "raise {group} {to}"),
            Self::LeaveFloor { group, floor } => write!(f, "floor {group} {floor}"),
        }
    }
}

/// Groups from 0 to 10 with nothing desired, and what was asked of them. Clones share them.
#[derive(Clone, Debug)]
pub struct FakeGroups {
    script: Script<State, GroupsCall>,
    capabilities: Capabilities,
    location: String,
}

type Change = Box<dyn FnOnce(&mut BTreeMap<String, GroupView>) + Send>;

#[derive(Default)]
struct State {
    groups: BTreeMap<String, GroupView>,
    /// What describes tell instead, each of these groups.
    stale: BTreeMap<String, GroupView>,
    history: BTreeMap<String, History>,
    members: BTreeMap<String, Vec<Member>>,
    listed: BTreeMap<String, Vec<Listed>>,
    after_describe: Option<Change>,
    after_raise: Option<Change>,
    /// What histories tell from the next raise on.
    remembered_after_raise: Vec<(String, CapacityChange)>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl FakeGroups {
    /// Groups of these names, somewhere.
    pub fn of(names: &[&str]) -> Self {
        let view =
            |name: &&str| ((*name).to_owned(), GroupView { name: (*name).to_owned(), max: 10, ..GroupView::default() });
        let state = State { groups: names.iter().map(view).collect(), ..State::default() };
        Self { script: Script::new(state), capabilities: CAPABILITIES, location: "somewhere".into() }
    }

    /// The same groups, here.
    #[must_use]
    pub fn at(mut self, location: &str) -> Self {
        location.clone_into(&mut self.location);
        self
    }

    /// In a cloud that can do this.
    #[must_use]
    pub fn with(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Changes a group, as somebody else would.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut GroupView)) {
        change(self.script.lock().state.groups.get_mut(name).expect("a group of this name"));
    }

    /// Changes the groups after the next describe was answered.
    pub fn after_describe(&self, change: impl FnOnce(&mut BTreeMap<String, GroupView>) + Send + 'static) {
        self.script.lock().state.after_describe = Some(Box::new(change));
    }

    /// Changes this group when the next raise has taken effect, as somebody else would who writes right after it.
    pub fn after_raise(&self, name: &str, change: impl FnOnce(&mut GroupView) + Send + 'static) {
        let name = name.to_owned();
        let change: Change = Box::new(move |groups| _ = groups.get_mut(&name).map(change));
        self.script.lock().state.after_raise = Some(change);
    }

    /// Has describes tell the present state of this group from now on, whatever becomes of it, until told otherwise.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn stale(&self, name: &str, on: bool) {
        let state = &mut self.script.lock().state;
        let view = state.groups.get(name).expect("a group of this name").clone();
        if on {
            state.stale.insert(name.to_owned(), view);
        } else {
            state.stale.remove(name);
        }
    }

    /// Adds a change to what the group's history tells.
    pub fn remember(&self, name: &str, change: CapacityChange) {
        self.script.lock().state.history.entry(name.to_owned()).or_default().changes.push(change);
    }

    /// The same, from the next raise on.
    pub fn remember_after_raise(&self, name: &str, change: CapacityChange) {
        self.script.lock().state.remembered_after_raise.push((name.to_owned(), change));
    }

    /// Has this group tell of its members from now on.
    pub fn show_members(&self, name: &str, members: &[Member]) {
        self.script.lock().state.members.insert(name.to_owned(), members.to_vec());
    }

    /// Has this group list these instances from now on.
    pub fn list(&self, name: &str, listed: &[Listed]) {
        self.script.lock().state.listed.insert(name.to_owned(), listed.to_vec());
    }

    /// Adds a launch that failed to it, the newest one so far.
    pub fn remember_failure(&self, name: &str, launch: FailedLaunch) {
        self.script.lock().state.history.entry(name.to_owned()).or_default().failed_launches.insert(0, launch);
    }

    /// The desired capacity of a group.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn desired(&self, name: &str) -> u32 {
        self.script.lock().state.groups[name].desired
    }

    /// What was asked so far, in order.
    pub fn calls(&self) -> Vec<GroupsCall> {
        self.script.calls()
    }

    /// Has the next call that is exactly this one go wrong.
    pub fn inject(&self, call: GroupsCall, fault: Fault) {
        self.script.inject(call, fault);
    }

    /// Has every call fail with this until it is taken back.
    pub fn break_all(&self, error: Option<CloudError>) {
        self.script.lock().broken = error;
    }
}

impl Groups for FakeGroups {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, GroupDescription>> {
        let conditional = self.capabilities.conditional_raise;
        Box::pin(self.script.call(GroupsCall::Describe(names.clone()), move |state| {
            let seen = state.groups.iter().filter(|(name, _)| names.contains(*name));
            let seen = seen.map(|(name, view)| {
                let view = state.stale.get(name).unwrap_or(view);
                (name.clone(), Ok(GroupView { version: conditional.then(|| version(view)), ..view.clone() }))
            });
            let seen = seen.collect();
            if let Some(change) = state.after_describe.take() {
                change(&mut state.groups);
            }
            Ok(seen)
        }))
    }

    fn history<'a>(&'a self, name: &'a str) -> CloudFuture<'a, History> {
        let call = GroupsCall::History(name.to_owned());
        Box::pin(self.script.call(call, move |state| Ok(state.history.get(name).cloned().unwrap_or_default())))
    }

    fn members<'a>(&'a self, name: &'a str) -> CloudFuture<'a, Option<Vec<Member>>> {
        let call = GroupsCall::Members(name.to_owned());
        Box::pin(self.script.call(call, move |state| Ok(state.members.get(name).cloned())))
    }

    fn listing<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, Listing> {
        let call = GroupsCall::Listing(names.clone());
        Box::pin(self.script.call(call, move |state| {
            let listed = state.listed.iter().filter(|(name, _)| names.contains(*name));
            Ok(listed.map(|(name, listed)| (name.clone(), Ok(listed.clone()))).collect())
        }))
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        let call = GroupsCall::Raise { group: seen.name.clone(), to };
        Box::pin(self.script.call(call, move |state| {
            let group = find(state, &seen.name)?;
            if seen.version.as_ref().is_some_and(|seen| *seen != version(group)) {
                return Err(CloudError::new(CloudErrorKind::InProgress, "the group has changed since it was seen"));
            }
            if to < group.min || to > group.max {
                return Err(CloudError::new(CloudErrorKind::OutOfBounds, "the capacity is outside the group's bounds"));
            }
            group.desired = to;
            if let Some(change) = state.after_raise.take() {
                change(&mut state.groups);
            }
            for (name, change) in std::mem::take(&mut state.remembered_after_raise) {
                state.history.entry(name).or_default().changes.push(change);
            }
            Ok(())
        }))
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        let call = GroupsCall::LeaveFloor { group: name.to_owned(), floor: floor.instances };
        Box::pin(self.script.call(call, move |state| {
            find(state, name)?.floor = floor;
            Ok(())
        }))
    }
}

fn find<'a>(state: &'a mut State, name: &str) -> Result<&'a mut GroupView, CloudError> {
    let missing = || CloudError::new(CloudErrorKind::NotFound, format!("there is no group {name}"));
    state.groups.get_mut(name).ok_or_else(missing)
}

fn version(view: &GroupView) -> String {
    format!("{}-{}-{}", view.min, view.max, view.desired)
}
