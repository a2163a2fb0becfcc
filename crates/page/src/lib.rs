//! The page that shows a fleet: instances over time, the queue and the capacity above them, what was decided and why.
//!
//! It is one HTML document with everything in it ([`page`]), a file or served. Where it is served, whoever has the program brings connections to
//! [`Page::answer`] and runs the [`Picture`], on a thread of its own, so that no reader takes the program's time: nobody is waited for, a queue is short,
//! and who falls behind is dropped. While nobody looks nothing is done.

#![warn(clippy::expect_used)]

mod answer;
mod document;
mod gate;
mod picture;
mod readers;

pub use self::{
    answer::{Body, Page, Visit},
    document::{page, static_page},
    gate::Gate,
    picture::{Picture, Source, open},
};
