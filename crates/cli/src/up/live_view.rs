//! What `lightsout up` draws on a terminal: instances, jobs and the newest events, redrawn while the fleet lives.

use std::time::Duration;

use anyhow::{Context, Result};
use crossterm::event::{EventStream, KeyCode, KeyEvent, KeyModifiers};
use futures_util::StreamExt;
use lightsout_localcloud::fleet::{InstanceView, Snapshot};
use ratatui::{
    DefaultTerminal, Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line as Text, Span},
    widgets::{Block, Borders, Cell, Paragraph, Row, Table},
};

use super::timeline::{Line, Timeline, Tone};
use crate::{agent_report, duration::short, plural::plural};

/// How long an instance that has ended stays on the screen, in milliseconds.
const SHOW_ENDED_MS: i64 = 8_000;

/// The terminal while the fleet is shown on it; dropping gives it back.
pub(super) struct LiveView {
    terminal: DefaultTerminal,
    keys: EventStream,
    title: String,
    max: u32,
    started_ms: i64,
}

impl LiveView {
    /// Takes the terminal over.
    pub(super) fn open(title: &str, max: u32, started_ms: i64) -> Result<Self> {
        let terminal = ratatui::try_init().context("the terminal cannot be taken over; try `lightsout up | cat`")?;
        Ok(Self { terminal, keys: EventStream::new(), title: title.to_owned(), max, started_ms })
    }

    /// Shows the fleet as it is now.
    pub(super) fn draw(&mut self, timeline: &Timeline, snapshot: &Snapshot) -> Result<()> {
        let (title, max, started_ms) = (&self.title, self.max, self.started_ms);
        self.terminal.draw(|frame| render(frame, title, max, started_ms, timeline, snapshot))?;
        Ok(())
    }

    /// Resolves when the user presses `q` or Ctrl-C.
    pub(super) async fn quit(&mut self) {
        while let Some(Ok(event)) = self.keys.next().await {
            if event.as_key_press_event().is_some_and(|key| is_quit(&key)) {
                return;
            }
        }
        // Without a keyboard there are still signals.
        std::future::pending::<()>().await;
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn is_quit(key: &KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    control_c || key.code == KeyCode::Char('q')
}

fn render(frame: &mut Frame<'_>, title: &str, max: u32, started_ms: i64, timeline: &Timeline, snapshot: &Snapshot) {
    let instances = shown(snapshot);
    let table_height = u16::try_from(instances.len().max(max as usize)).unwrap_or(u16::MAX).saturating_add(2);
    let [head, meters, table, lines, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(5),
        Constraint::Max(table_height),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let clock = short(span(snapshot.at_ms - started_ms));
    frame.render_widget(Text::from(vec![" lightsout ".bold().reversed(), format!("  {title}   {clock}").into()]), head);
    frame.render_widget(Paragraph::new(meter_lines(timeline, snapshot, meters.width)), meters);
    frame.render_widget(instance_table(timeline, snapshot, &instances), table);
    draw_timeline(frame, lines, timeline, started_ms);
    let help =
        " q quit   second terminal: lightsout ps, enqueue, crash, interrupt, rebalance, scale-in, refresh, logs, down";
    frame.render_widget(Text::from(help).dim(), foot);
}

/// The living and those that ended just now, in the order of their launch.
fn shown(snapshot: &Snapshot) -> Vec<&InstanceView> {
    let fresh = |instance: &&InstanceView| instance.ended_ms.is_none_or(|ended| snapshot.at_ms - ended < SHOW_ENDED_MS);
    snapshot.instances.iter().filter(fresh).collect()
}

fn meter_lines(timeline: &Timeline, snapshot: &Snapshot, width: u16) -> Vec<Text<'static>> {
    let queue = &snapshot.queue;
    let total = u32::try_from(snapshot.jobs.len()).unwrap_or(u32::MAX);
    let ended = queue.done + queue.failed + queue.interrupted + queue.lost;
    let group = snapshot.groups.first().cloned().unwrap_or_default();
    let room = usize::from(width.saturating_sub(60)).clamp(10, 50);
    let trouble = |count: u32, what: &str, color| {
        let style = if count > 0 { Style::new().fg(color).bold() } else { Style::new().dim() };
        Span::styled(format!("  {count} {what}"), style)
    };
    let decision = timeline.decision.as_ref().map_or_else(
        || "has not ticked yet".to_owned(),
        |record| match (&record.error, &record.reason) {
            (Some(error), _) => format!("failed: {error}"),
            (None, Some(reason)) => format!("{}: {reason}", record.result.as_str()),
            (None, None) => record.result.as_str().to_owned(),
        },
    );
    vec![
        Text::default(),
        Text::from(vec![
            " queue  ".bold(),
            bar(queue.waiting, total, room, '▇').yellow(),
            format!("  {} waiting, {} running", queue.waiting, queue.running).into(),
        ]),
        Text::from(vec![
            " fleet  ".bold(),
            bar(group.in_service, group.max, room, '■').green(),
            format!(
                "  {} in service, desired {} (min {}, max {})",
                group.in_service, group.desired, group.min, group.max
            )
            .into(),
        ]),
        Text::from(vec![
            " jobs   ".bold(),
            bar(ended, total, room, '█').cyan(),
            format!("  {ended}/{total} ended").into(),
            trouble(queue.lost, "lost", Color::Red),
            trouble(queue.interrupted, "interrupted", Color::Yellow),
            trouble(queue.failed, "failed", Color::Yellow),
        ]),
        Text::from(vec![
            " scaler ".bold(),
            decision.into(),
            format!(
                "  ({}, {})",
                plural(timeline.scaler.ticks, "tick", "ticks"),
                plural(timeline.scaler.raises, "raise", "raises")
            )
            .dim(),
        ]),
    ]
}

/// A bar of `room` cells, of which the share of `part` in `whole` is filled.
fn bar(part: u32, whole: u32, room: usize, full: char) -> Span<'static> {
    let filled = (part as usize * room).div_ceil(whole.max(1) as usize).min(room);
    Span::from(full.to_string().repeat(filled) + &"·".repeat(room - filled))
}

fn instance_table<'a>(timeline: &Timeline, snapshot: &Snapshot, instances: &[&InstanceView]) -> Table<'a> {
    let rows = instances.iter().map(|instance| row(timeline, snapshot.at_ms, instance));
    let widths = [
        Constraint::Length(19),
        Constraint::Length(19),
        Constraint::Length(14),
        Constraint::Length(9),
        Constraint::Length(4),
        Constraint::Min(10),
    ];
    let head = ["INSTANCE", "STATE", "AGENT", "JOB", "PROT", "LEAVES"];
    Table::new(rows, widths)
        .header(Row::new(head).style(Style::new().bold()))
        .block(Block::new().borders(Borders::TOP).border_style(Style::new().dim()))
}

fn row<'a>(timeline: &Timeline, now_ms: i64, instance: &InstanceView) -> Row<'a> {
    let ended = instance.ended_ms.is_some();
    let (phase, since_ms) = match timeline.phases.get(&instance.id) {
        Some((phase, since_ms)) => (phase.clone(), *since_ms),
        None => ("starting".to_owned(), instance.launched_ms),
    };
    let agent = if ended { String::new() } else { format!("{phase} {}", short(span(now_ms - since_ms))) };
    let jobs: Vec<String> = instance.jobs.iter().map(u64::to_string).collect();
    let cells = [
        Cell::new(instance.id.clone()),
        Cell::new(instance.state.clone()),
        Cell::new(agent).style(Style::new().fg(color(&phase))),
        Cell::new(if ended { String::new() } else { jobs.join(",") }),
        Cell::new(if instance.protected && !ended { "yes" } else { "" }),
        Cell::new(agent_report::leaving(instance).or_else(|| agent_report::note(instance)).unwrap_or_default()),
    ];
    let row = Row::new(cells);
    if ended { row.style(Style::new().add_modifier(Modifier::DIM)) } else { row }
}

fn color(phase: &str) -> Color {
    match phase {
        "idle" => Color::Green,
        "busy" => Color::Cyan,
        "draining" => Color::Yellow,
        "retiring" | "gone" => Color::Magenta,
        _ => Color::Blue,
    }
}

fn draw_timeline(frame: &mut Frame<'_>, area: Rect, timeline: &Timeline, started_ms: i64) {
    let block = Block::new().borders(Borders::TOP).border_style(Style::new().dim());
    let room = usize::from(area.height.saturating_sub(1));
    let first = timeline.lines.len().saturating_sub(room);
    let lines = timeline.lines.range(first..).map(|line| timeline_line(line, started_ms));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

fn timeline_line(line: &Line, started_ms: i64) -> Text<'static> {
    let style = match line.tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Leaving => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
    };
    Text::from(vec![
        format!("{:>6.1}s  ", span(line.at_ms - started_ms).as_secs_f64()).dim(),
        format!("{:<19}  ", line.who).into(),
        Span::styled(line.what.clone(), style),
    ])
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use lightsout_localcloud::fleet::{AgentReport, GroupView, JobState, JobView, QueueView};
    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::*;

    fn rendered(width: u16, height: u16, timeline: &Timeline, snapshot: &Snapshot) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| render(frame, "on loopback", 5, 0, timeline, snapshot)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>()).collect::<Vec<_>>().join("\n")
    }

    fn fleet() -> Snapshot {
        let instance = |id: &str, ended_ms, phase: &str| InstanceView {
            id: id.to_owned(),
            state: "InService".to_owned(),
            protected: true,
            ended_ms,
            jobs: vec![1001],
            agent: Some(AgentReport(json!({ "phase": phase }))),
            ..InstanceView::default()
        };
        let job = JobView {
            id: 1001,
            state: JobState::Running,
            instance: Some("i-1".to_owned()),
            waited_s: 1.0,
            ran_s: Some(1.0),
            tags: Vec::new(),
            failure: None,
        };
        Snapshot {
            at_ms: 20_000,
            groups: vec![GroupView { name: "g".into(), max: 5, desired: 2, in_service: 1, ..GroupView::default() }],
            instances: vec![
                instance("i-1", None, "busy"),
                instance("i-2", Some(15_000), "gone"),
                instance("i-3", Some(1_000), "gone"),
            ],
            jobs: vec![job],
            queue: QueueView { running: 1, ..QueueView::default() },
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_screen_shows_the_fleet() {
        let mut timeline = Timeline::default();
        let snapshot = fleet();
        timeline.on_snapshot(&Snapshot { at_ms: 13_000, ..snapshot.clone() });
        timeline.push(Line { at_ms: 12_340, who: "scaler".into(), what: "raised 0 -> 2".into(), tone: Tone::Good });
        let screen = rendered(140, 24, &timeline, &snapshot);
        for text in [
            "on loopback   20s",
            "1 in service, desired 2 (min 0, max 5)",
            "0/1 ended",
            "busy 7.0s",
            "12.3s  scaler",
            "raised 0 -> 2",
        ] {
            assert!(screen.contains(text), "{text}\n{screen}");
        }
        assert!(screen.contains("i-2") && !screen.contains("i-3"), "{screen}");
    }

    #[test]
    fn a_tiny_terminal_is_no_reason_to_panic() {
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 3)] {
            rendered(width, height, &Timeline::default(), &fleet());
            rendered(width, height, &Timeline::default(), &Snapshot::default());
        }
    }

    #[test]
    fn bars_are_never_longer_than_their_room() {
        assert_eq!(bar(0, 0, 4, '#').content, "····");
        assert_eq!(bar(1, 20, 4, '#').content, "#···");
        assert_eq!(bar(9, 3, 4, '#').content, "####");
    }

    #[test]
    fn q_and_control_c_quit() {
        let key = |code, modifiers| is_quit(&KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
