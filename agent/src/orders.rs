//! What is written on the instance as an order: which of it is for this instance, and which it came into being with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lightsout_core::{
    cloud::{NotFollowed, StandingOrder},
    settings::TAG_PREFIX,
};
use lightsout_io::files::replace;

use crate::settings::Tags;

/// The name of the tag behind [`TAG_PREFIX`].
const TAG: &str = "order";

/// Follows what is written on this instance.
#[derive(Debug)]
pub(crate) struct Orders {
    instance: String,
    /// What it came into being with, kept over a restart of the agent, until something else is written.
    born_with: Option<String>,
    path: PathBuf,
}

/// What is written as an order among these tags.
pub(crate) fn among(tags: &Tags) -> Option<String> {
    tags.iter().find(|(name, _)| name.strip_prefix(TAG_PREFIX) == Some(TAG)).map(|(_, text)| text.clone())
}

impl Orders {
    /// For this instance, on which this is written now. What the `first` of its agents finds was there from the beginning.
    pub(crate) fn open(state_dir: &Path, instance: &str, first: bool, written: Option<&str>) -> Self {
        let path = state_dir.join("born-with-order");
        let born_with = if first { written.map(str::to_owned) } else { fs::read_to_string(&path).ok() };
        if let (true, Some(text)) = (first, written)
            && let Err(error) = replace(&path, text.as_bytes(), 0o600, true)
        {
            tracing::warn!(path = %path.display(), %error, "what this instance came into being with cannot be written down");
        }
        let mut orders = Self { instance: instance.to_owned(), born_with, path };
        // It may have changed while there was no agent; and the disk may come from an image of another instance.
        orders.forget_unless(written);
        orders
    }

    /// The order that is written now; none where what is written is not followed, which is said.
    pub(crate) fn read(&mut self, text: Option<&str>) -> Option<StandingOrder> {
        self.forget_unless(text);
        let Some(text) = text else {
            tracing::info!("the tag {TAG_PREFIX}{TAG} of this instance orders nothing any more");
            return None;
        };
        match StandingOrder::read(text, &self.instance, self.born_with.as_deref()) {
            Ok(order) => {
                tracing::info!(%order, "what the tag {TAG_PREFIX}{TAG} of this instance orders has changed");
                Some(order)
            }
            Err(error @ NotFollowed::NoOrder(_)) => {
                tracing::error!("the tag {TAG_PREFIX}{TAG} of this instance is not followed: {error}");
                None
            }
            Err(error @ (NotFollowed::Another(_) | NotFollowed::Inherited(..))) => {
                tracing::warn!("the tag {TAG_PREFIX}{TAG} of this instance is not followed: {error}");
                None
            }
        }
    }

    /// Once something else is written, whatever is written later was written on this instance.
    fn forget_unless(&mut self, text: Option<&str>) {
        if text.is_none() || self.born_with.as_deref() != text {
            self.born_with = None;
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Option<StandingOrder> = Some(StandingOrder::Drain);

    #[test]
    fn an_order_from_birth_is_none_also_for_the_next_agent_until_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = |first| Orders::open(folder.path(), "i-1", first, Some("drain"));
        assert_eq!(open(true).read(Some("drain")), None);
        let mut next = open(false);
        assert_eq!((next.read(Some("drain")), next.read(Some("drain for i-1"))), (None, DRAIN));
        let mut next = open(false);
        assert_eq!(next.read(Some("drain")), DRAIN, "it was written anew");
        // Removed while there was no agent.
        open(true);
        assert_eq!(Orders::open(folder.path(), "i-1", false, None).read(Some("drain")), DRAIN);
        // The disk came from an image of an instance that inherited one.
        open(true);
        let mut other = Orders::open(folder.path(), "i-2", true, None);
        assert_eq!(other.read(Some("drain")), DRAIN);
        assert_eq!(Orders::open(folder.path(), "i-2", false, Some("drain")).read(Some("drain")), DRAIN);
    }

    #[test]
    fn an_order_that_names_this_instance_is_followed_whenever_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut orders = Orders::open(folder.path(), "i-1", true, Some("drain for i-1"));
        assert_eq!((orders.read(Some("drain for i-1")), orders.read(None)), (DRAIN, None));
        let mut orders = Orders::open(folder.path(), "i-1", true, None);
        assert_eq!((orders.read(Some("drain for i-2")), orders.read(Some("soon"))), (None, None));
    }

    #[test]
    fn the_order_stands_among_the_tags() {
        let tag = |name: &str| (name.to_owned(), "drain".to_owned());
        assert_eq!(among(&vec![tag("lightsout:slots"), tag("lightsout:order")]).as_deref(), Some("drain"));
        assert_eq!(among(&vec![tag("lightsout:orders")]), None);
    }
}
