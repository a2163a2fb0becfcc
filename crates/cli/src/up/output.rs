//! How a run is shown: live on a terminal, as plain lines, or as JSON lines.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use lightsout_core::record::Decision;
use lightsout_localcloud::{FleetEvent, Snapshot};
use serde_json::{Value, json};

use super::{
    live_view::LiveView,
    summary::Summary,
    timeline::{Line, Timeline},
};

/// Where the run is shown.
pub(super) struct Output {
    format: Format,
    started_ms: i64,
    /// The reader has gone away.
    closed: bool,
}

enum Format {
    Json,
    Plain,
    /// A terminal; the view once the fleet is up.
    Live(Option<Box<LiveView>>),
}

impl Output {
    /// Chooses the format.
    pub(super) fn new(json: bool, started_ms: i64) -> Self {
        let format = match (json, io::stdout().is_terminal()) {
            (true, _) => Format::Json,
            (false, true) => Format::Live(None),
            (false, false) => Format::Plain,
        };
        Self { format, started_ms, closed: false }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line about the run itself.
    pub(super) fn note(&mut self, text: &str) {
        match self.format {
            Format::Json => self.json(&json!({ "note": text })),
            Format::Plain | Format::Live(_) => self.print(text),
        }
    }

    /// Takes the terminal over, when it is one. `title` stays at its top.
    pub(super) fn open(&mut self, title: &str, max: u32) -> Result<()> {
        if let Format::Live(view @ None) = &mut self.format {
            *view = Some(Box::new(LiveView::open(title, max, self.started_ms)?));
        }
        Ok(())
    }

    /// Something happened in the cloud or at the CI platform; `lines` tell the same for people.
    pub(super) fn events(&mut self, events: &[FleetEvent], lines: &[Line]) {
        match self.format {
            Format::Json => events.iter().for_each(|event| self.json(&json!({ "event": event }))),
            Format::Plain => lines.iter().for_each(|line| self.line(line)),
            Format::Live(_) => {}
        }
    }

    /// The scaler has decided; `line` when that is news.
    pub(super) fn decision(&mut self, record: &Decision, line: Option<&Line>) {
        match self.format {
            Format::Json => self.json(&json!({ "decision": record })),
            Format::Plain => line.into_iter().for_each(|line| self.line(line)),
            Format::Live(_) => {}
        }
    }

    /// An agent has said something new.
    pub(super) fn agent(&mut self, line: &Line) {
        match self.format {
            Format::Json => self.json(&json!({ "agent": line })),
            Format::Plain => self.line(line),
            Format::Live(_) => {}
        }
    }

    /// The fleet as it is now.
    pub(super) fn draw(&mut self, timeline: &Timeline, snapshot: &Snapshot) -> Result<()> {
        match &mut self.format {
            Format::Live(Some(view)) => view.draw(timeline, snapshot),
            Format::Live(None) | Format::Json | Format::Plain => Ok(()),
        }
    }

    /// Resolves when the user asks to quit.
    pub(super) async fn quit(&mut self) {
        match &mut self.format {
            Format::Live(Some(view)) => view.quit().await,
            Format::Live(None) | Format::Json | Format::Plain => std::future::pending().await,
        }
    }

    /// Gives the terminal back.
    pub(super) fn close(&mut self) {
        if let Format::Live(view) = &mut self.format {
            *view = None;
        }
    }

    /// The last words.
    pub(super) fn summary(&mut self, summary: &Summary) {
        match self.format {
            Format::Json => {
                let summary = serde_json::to_string(summary).expect("a summary has only text keys");
                self.print(&format!("{{\"summary\":{summary}}}"));
            }
            Format::Plain | Format::Live(_) => self.print(&format!("\n{summary}")),
        }
    }

    fn line(&mut self, line: &Line) {
        let seconds =
            std::time::Duration::from_millis((line.at_ms - self.started_ms).max(0).unsigned_abs()).as_secs_f64();
        self.print(&format!("{seconds:7.1}s  {:<19}  {}", line.who, line.what));
    }

    fn json(&mut self, value: &Value) {
        self.print(&value.to_string());
    }

    fn print(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        self.closed |= writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
    }
}
