//! How a run is shown: live on a terminal, as plain lines, or as JSON lines.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use lightsout_core::record::Record;
use lightsout_localcloud::{FleetEvent, Snapshot};
use serde_json::{Value, json};

use super::{
    story::{Line, Story},
    summary::Summary,
    view::View,
};

/// Where the run is shown.
pub struct Screen {
    form: Form,
    started_ms: i64,
    /// The reader has gone away.
    closed: bool,
}

enum Form {
    Json,
    Plain,
    /// A terminal; the view once the fleet is up.
    Live(Option<Box<View>>),
}

impl Screen {
    /// Chooses the form.
    pub fn new(json: bool, started_ms: i64) -> Self {
        let form = match (json, io::stdout().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Live(None),
            (false, false) => Form::Plain,
        };
        Self { form, started_ms, closed: false }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line about the run itself.
    pub fn note(&mut self, text: &str) {
        match self.form {
            Form::Json => self.json(&json!({ "note": text })),
            Form::Plain | Form::Live(_) => self.print(text),
        }
    }

    /// Takes the terminal over, when it is one. `title` stays at its top.
    pub fn open(&mut self, title: &str, max: u32) -> Result<()> {
        if let Form::Live(view @ None) = &mut self.form {
            *view = Some(Box::new(View::open(title, max, self.started_ms)?));
        }
        Ok(())
    }

    /// Something happened in the cloud or at the CI platform; `lines` tell the same for people.
    pub fn events(&mut self, events: &[FleetEvent], lines: &[Line]) {
        match self.form {
            Form::Json => events.iter().for_each(|event| self.json(&json!({ "event": event }))),
            Form::Plain => lines.iter().for_each(|line| self.line(line)),
            Form::Live(_) => {}
        }
    }

    /// The scaler has decided; `line` when that is news.
    pub fn decision(&mut self, record: &Record, line: Option<&Line>) {
        match self.form {
            Form::Json => self.json(&json!({ "decision": record })),
            Form::Plain => line.into_iter().for_each(|line| self.line(line)),
            Form::Live(_) => {}
        }
    }

    /// An agent has said something new.
    pub fn observed(&mut self, line: &Line) {
        match self.form {
            Form::Json => self.json(&json!({ "agent": line })),
            Form::Plain => self.line(line),
            Form::Live(_) => {}
        }
    }

    /// The fleet as it is now.
    pub fn draw(&mut self, story: &Story, snapshot: &Snapshot) -> Result<()> {
        match &mut self.form {
            Form::Live(Some(view)) => view.draw(story, snapshot),
            Form::Live(None) | Form::Json | Form::Plain => Ok(()),
        }
    }

    /// Resolves when the user asks to quit.
    pub async fn quit(&mut self) {
        match &mut self.form {
            Form::Live(Some(view)) => view.quit().await,
            Form::Live(None) | Form::Json | Form::Plain => std::future::pending().await,
        }
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        if let Form::Live(view) = &mut self.form {
            *view = None;
        }
    }

    /// The last words.
    pub fn summary(&mut self, summary: &Summary) {
        match self.form {
            Form::Json => {
                let summary = serde_json::to_string(summary).expect("a summary has only text keys");
                self.print(&format!("{{\"summary\":{summary}}}"));
            }
            Form::Plain | Form::Live(_) => self.print(&format!("\n{summary}")),
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
