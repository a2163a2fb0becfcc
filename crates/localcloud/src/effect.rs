//! What a model of a cloud asks of its surroundings, whichever vendor's it is.

use crate::time::Timestamp;

/// What the surroundings of the model have to do, or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Power a machine on; everything about it is in the model.
    Launch {
        /// Instance id.
        id: String,
    },
    /// The instance is gone, and so is its disk; its machine has been off for a while.
    Discard {
        /// Instance id.
        id: String,
    },
    /// End the machine: a clean shutdown for a moment, then hard off. Report the end to the model.
    PowerOff {
        /// Instance id.
        id: String,
    },
    /// A clean shutdown, and the machine on again with what is on its disk. Neither is reported to the model.
    Reboot {
        /// Instance id.
        id: String,
    },
    /// The answers of this instance's metadata service travel this many hops from now on.
    HopLimit {
        /// Instance id.
        id: String,
        /// The TTL of their packets.
        limit: u8,
    },
    /// For the timeline.
    Happened(Happening),
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: Timestamp,
    /// Which group, if it concerns one.
    pub group: Option<String>,
    /// Which instance, if it concerns one.
    pub instance: Option<String>,
    /// What, in a short sentence.
    pub what: String,
}
