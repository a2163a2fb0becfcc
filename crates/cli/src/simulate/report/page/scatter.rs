//! Each of what was played as a point: how long jobs wait to the right, what it costs upwards.

use std::{fmt::Write, time::Duration};

use super::{super::Report, Role, escaped};
use crate::{duration::short, plural::plural, simulate::Line};

/// The picture, and where its axes are, in its own units.
const WIDE: f64 = 960.0;
const HIGH: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 12.0;
const FOOT: f64 = 40.0;
/// What a letter takes at most, and a line of them.
const LETTER: f64 = 6.6;
const LETTERS: f64 = 15.0;
const RADIUS: f64 = 6.0;
/// Steps of an axis of time, in seconds.
const SPANS: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0];

/// Where something is drawn: from left to right, from top to bottom.
#[derive(Clone, Copy)]
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Frame {
    fn around(x: f64, y: f64) -> Self {
        Self { left: x - RADIUS, top: y - RADIUS, right: x + RADIUS, bottom: y + RADIUS }
    }

    fn meets(self, other: Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }
}

impl Report<'_> {
    pub(super) fn scatter(&self) -> String {
        let height = |line: &Line| match self.per_hour() {
            Some(price) => line.outcome.seconds.cost(price),
            None => line.outcome.seconds.all() / 3600.0,
        };
        let most = |value: &dyn Fn(&Line) -> f64| self.lines().map(|(_, line)| value(line)).fold(0.0, f64::max);
        let (across, up) = (most(&|line| line.outcome.waits.p95).max(1.0) * 1.04, most(&height).max(0.01) * 1.08);
        let x = |seconds: f64| LEFT + seconds / across * (WIDE - LEFT - RIGHT);
        let y = |value: f64| HIGH - FOOT - value / up * (HIGH - FOOT - TOP);
        let mut text = format!("<svg viewBox=\"0 0 {WIDE} {HIGH}\" role=\"img\" aria-label=\"{}\">\n", self.axes());
        let step = SPANS.into_iter().find(|step| across / step <= 9.0).unwrap_or(across / 4.0);
        for at in steps(step, across) {
            let label = short(Duration::try_from_secs_f64(at).unwrap_or_default());
            let (x, foot) = (x(at), HIGH - FOOT);
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{foot}\"/><text class=\"soft\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                foot + 16.0,
                if at > 0.0 { &label } else { "0" }
            );
        }
        let step = decimal(up / 6.0);
        for at in steps(step, up) {
            let (y, right) = (y(at), WIDE - RIGHT);
            let label = if step < 1.0 { format!("{at:.2}") } else { format!("{at:.0}") };
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"soft\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        let foot = HIGH - FOOT;
        let _ = writeln!(text, "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{foot}H{}\"/>", WIDE - RIGHT);
        let points: Vec<(String, &Line, Role, f64, f64)> = self
            .cast()
            .map(|(name, line, role)| (costs(name, line), line, role, x(line.outcome.waits.p95), y(height(line))))
            .collect();
        // Those that have a name beside them last, so that they lie above the others.
        let named = |role: &Role| role.now || role.taken || role.peer;
        for (name, line, role, x, y) in
            points.iter().filter(|it| !named(&it.2)).chain(points.iter().filter(|it| named(&it.2)))
        {
            let seconds = Duration::try_from_secs_f64(line.outcome.waits.p95).unwrap_or_default();
            let what = format!("{name}: 95 % wait up to {}, {:.2}", short(seconds), height(line));
            let _ = writeln!(
                text,
                "<circle class=\"point {}\" data-name=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\"><title>{}</title></circle>",
                role.classes(),
                escaped(&line.name),
                escaped(&what)
            );
        }
        let mut taken: Vec<Frame> = points.iter().map(|(.., x, y)| Frame::around(*x, *y)).collect();
        let mut left: Vec<_> = points.iter().filter(|it| named(&it.2)).collect();
        // Whoever can have its name beside it has it there. The others' names stand further off, at the end of a line; where there is no room
        // even so the table has them.
        for lines in [0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0] {
            left.retain(|(name, _, _, x, y)| {
                let Some((frame, anchor)) = place(name, *x, *y, lines * LETTERS, &taken) else { return true };
                let at = if anchor == "start" { frame.left } else { frame.right };
                let middle = frame.bottom - LETTERS / 2.0;
                if lines.abs() > 0.5 {
                    let _ = writeln!(text, "<path class=\"leader\" d=\"M{x:.1} {y:.1}L{at:.1} {middle:.1}\"/>");
                }
                let (foot, name) = (frame.bottom - 4.0, escaped(name));
                let _ = writeln!(text, "<text x=\"{at:.1}\" y=\"{foot:.1}\" text-anchor=\"{anchor}\">{name}</text>");
                taken.push(frame);
                false
            });
        }
        let _ = writeln!(
            text,
            "<text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">95 % of the jobs wait up to</text>",
            WIDE - RIGHT,
            HIGH - 6.0
        );
        text + "</svg>\n"
    }
}

/// What is cheap at the jobs' expense says so.
fn costs(name: String, line: &Line) -> String {
    match line.outcome.cut {
        0 => name,
        cut => format!("{name}: {} cut", plural(cut as u64, "job", "jobs")),
    }
}

/// Beside a point, so far below it, where nothing is yet: to its right, then to its left; and which end of the name is at the point.
fn place(name: &str, x: f64, y: f64, below: f64, taken: &[Frame]) -> Option<(Frame, &'static str)> {
    #[expect(clippy::cast_precision_loss, reason = "some dozens of letters")]
    let wide = name.chars().count() as f64 * LETTER;
    let off = RADIUS + 3.0 + below.abs() / 2.0;
    let (top, bottom) = (y + below - LETTERS / 2.0, y + below + LETTERS / 2.0);
    let places = [
        (Frame { left: x + off, top, right: x + off + wide, bottom }, "start"),
        (Frame { left: x - off - wide, top, right: x - off, bottom }, "end"),
    ];
    let free = |frame: &Frame| {
        let inside = frame.left > LEFT && frame.right < WIDE && frame.top > 0.0 && frame.bottom < HIGH - FOOT;
        inside && !taken.iter().any(|other| frame.meets(*other))
    };
    places.into_iter().find(|(frame, _)| free(frame))
}

/// 1, 2 or 5 times a power of ten, and not below this.
fn decimal(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// The multiples of a step from 0 up to this.
fn steps(step: f64, up_to: f64) -> impl Iterator<Item = f64> {
    (0..100_u32).map(move |number| f64::from(number) * step).take_while(move |at| *at <= up_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_reach_as_far_as_the_axis() {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        near(decimal(0.3), 0.5);
        near(decimal(11.0), 20.0);
        near(decimal(51.0), 100.0);
        assert_eq!(steps(20.0, 50.0).collect::<Vec<_>>(), [0.0, 20.0, 40.0]);
    }

    #[test]
    fn names_lie_on_nothing() {
        let mut taken = vec![Frame::around(400.0, 200.0)];
        let name = "idle_timeout 10m, spare 0";
        for (below, room) in [(0.0, 2), (0.0, 0), (LETTERS, 2), (LETTERS, 0), (4.0, 0)] {
            for _ in 0..room {
                let (frame, _) = place(name, 400.0, 200.0, below, &taken).expect("there is room");
                assert!(!taken.iter().any(|other| frame.meets(*other)));
                taken.push(frame);
            }
            if room == 0 {
                assert!(place(name, 400.0, 200.0, below, &taken).is_none(), "{below}");
            }
        }
        assert!(place(name, 400.0, HIGH - FOOT, 0.0, &[]).is_none(), "it is no part of the axis");
    }
}
