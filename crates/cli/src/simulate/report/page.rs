//! The report as one HTML page: the style is the live page's, and there is no script in it.

mod scatter;

use std::fmt::Write;

use lightsout_page::static_page;

use super::{Report, hours, wait};
use crate::{
    plural::plural,
    simulate::{Line, report::schedules::Scheduled},
};

const STYLE: &str = include_str!("page.css");
/// What the columns are.
const KEY: &str = "\
Waits that half, 95 and 99 of a hundred jobs did not exceed; hours of instances by what they did. <em>cut</em> are jobs that the fleet's own rule ended, \
<em>spot</em> those that the cloud's losses did.";
const STATES: [&str; 4] = ["booting", "idle", "busy", "draining"];

/// What a line of the report stands for.
#[derive(Clone, Copy)]
struct Role {
    now: bool,
    taken: bool,
    peer: bool,
}

impl Role {
    fn classes(self) -> String {
        let kind = match (self.peer, self.now) {
            (true, _) => "peer",
            (false, true) => "now",
            (false, false) => "tried",
        };
        if self.taken { format!("{kind} taken") } else { kind.to_owned() }
    }
}

impl Report<'_> {
    pub(in crate::simulate) fn as_page(&self) -> String {
        let played = self.played();
        let (first, rest) = played.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut body = format!(
            "<header>\n  <h1>lightsout simulate</h1>\n  <p>{}</p>\n</header>\n{}<main>\n",
            escaped(first),
            self.figures()
        );
        let conclusions = self.conclusions();
        let (limits, advice) = conclusions.split_last().map_or(("", &[][..]), |(last, all)| (last.as_str(), all));
        let advice: String = advice.iter().enumerate().map(|(index, text)| sentence(index == 0, text)).collect();
        body += &section("advice", "Which to take", &advice);
        body += &section(
            "tradeoff",
            self.axes(),
            &format!("<div id=\"chart\" class=\"scroll\">\n{}</div>\n", self.scatter()),
        );
        if !self.schedules.is_empty() {
            let schedules: String = self.schedules.iter().map(|schedule| self.scheduled(schedule)).collect();
            body += &section("schedules", "Schedules", &schedules);
        }
        body += &section(
            "grid",
            "All that was played",
            &format!("<p class=\"hint\">{KEY}</p>\n<div class=\"scroll\">\n{}</div>\n", self.table()),
        );
        let rest: String = rest.iter().map(|line| format!("<p>{}</p>\n", escaped(line))).collect();
        body += &section("how", "What is behind it", &format!("{rest}<p class=\"hint\">{}</p>\n", escaped(limits)));
        static_page("lightsout simulate", STYLE, &format!("{body}</main>\n"))
    }

    /// All that were played with their names, and what they stand for.
    fn cast(&self) -> impl Iterator<Item = (String, &Line, Role)> {
        let taken = self.advice.as_ref().map(|advice| advice.take);
        self.lines().enumerate().map(move |(index, (name, line))| {
            (name, line, Role { now: index == 0, taken: taken == Some(index), peer: index >= self.ours.len() })
        })
    }

    /// The numbers that matter, now and with what is advised.
    fn figures(&self) -> String {
        let (Some(now), Some(advice)) = (self.ours.first(), &self.advice) else { return String::new() };
        let then = &self.ours[advice.take];
        let pair = |show: &dyn Fn(&Line) -> String| match (show(now), show(then)) {
            (now, then) if now == then => now,
            (now, then) => format!("{now} → {then}"),
        };
        let mut figures = vec![
            ("half of the jobs wait up to", pair(&|line| wait(line.outcome.waits.p50))),
            ("95 % of them", pair(&|line| wait(line.outcome.waits.p95))),
            ("instance hours", pair(&|line| hours(line.outcome.seconds.all()))),
            ("of them without a job", pair(&|line| format!("{:.0} %", line.outcome.seconds.waste() * 100.0))),
        ];
        figures.extend(
            self.per_hour().map(|price| ("cost", pair(&|line| format!("{:.2}", line.outcome.seconds.cost(price))))),
        );
        let figures: String = figures
            .iter()
            .map(|(what, value)| format!("  <div><dt>{what}</dt><dd>{}</dd></div>\n", escaped(value)))
            .collect();
        format!("<dl id=\"figures\">\n{figures}</dl>\n")
    }

    fn scheduled(&self, schedule: &Scheduled<'_>) -> String {
        let entries: String =
            schedule.entries().iter().map(|entry| format!("  <li>{}</li>\n", escaped(entry))).collect();
        let list = if entries.is_empty() { entries } else { format!("<ul>\n{entries}</ul>\n") };
        format!("<p>{}</p>\n{list}", escaped(&schedule.sentence(self.per_hour())))
    }

    fn axes(&self) -> &'static str {
        match self.per_hour() {
            Some(_) => "Cost, and how long 95 % of the jobs wait at most",
            None => "Instance hours, and how long 95 % of the jobs wait at most",
        }
    }

    fn table(&self) -> String {
        let priced = self.per_hour().is_some();
        let mut text = String::from("<table>\n");
        text += "<thead><tr><th>settings</th><th>p50</th><th>p95</th><th>p99</th><th>instance h</th><th class=\"bar\"></th>";
        for state in STATES {
            let _ = write!(text, "<th><span class=\"key {state}\"></span>{state}</th>");
        }
        text += "<th>launched</th><th>cut</th><th>spot</th><th>not busy</th>";
        text += if priced { "<th>cost</th><th>of it not busy</th></tr></thead>\n" } else { "</tr></thead>\n" };
        let most = self.lines().map(|(_, line)| line.outcome.seconds.all()).fold(f64::MIN_POSITIVE, f64::max);
        let mut peers = false;
        text += "<tbody>\n";
        for (name, line, role) in self.cast() {
            if role.peer && !peers {
                text += "</tbody>\n<tbody>\n";
                peers = true;
            }
            text += &self.row_of_page(&name, line, role, most);
        }
        text + "</tbody>\n</table>\n"
    }

    fn row_of_page(&self, name: &str, line: &Line, role: Role, most: f64) -> String {
        let outcome = &line.outcome;
        let (waits, seconds) = (outcome.waits, outcome.seconds);
        let cell = |what: &str, value: f64, shown: String| {
            format!("<td data-what=\"{what}\" data-value=\"{value}\">{shown}</td>")
        };
        let mut text =
            format!("<tr class=\"{}\" data-name=\"{}\"><th>{}", role.classes(), escaped(&line.name), escaped(name));
        if role.taken && !role.now {
            text += " (advised)";
        }
        if outcome.unserved > 0 {
            let _ = write!(
                text,
                ", <span class=\"some\">{} never ran</span>",
                plural(outcome.unserved as u64, "job", "jobs")
            );
        }
        text += "</th>";
        for (what, value) in [("p50", waits.p50), ("p95", waits.p95), ("p99", waits.p99)] {
            text += &cell(what, value, wait(value));
        }
        text += &cell("all", seconds.all(), hours(seconds.all()));
        let states = STATES.into_iter().zip([seconds.booting, seconds.idle, seconds.busy, seconds.draining]);
        let bar: String = states
            .clone()
            .filter(|(_, value)| *value > 0.0)
            .map(|(state, value)| format!("<i class=\"{state}\" style=\"flex: {value:.0}\"></i>"))
            .collect();
        let width = seconds.all() / most * 100.0;
        let _ = write!(text, "<td class=\"bar\"><div class=\"share\" style=\"width: {width:.1}%\">{bar}</div></td>");
        for (state, value) in states {
            text += &cell(state, value, hours(value));
        }
        for (what, count) in [("launched", outcome.launched), ("cut", outcome.cut), ("spot", outcome.spot)] {
            let class = match (what, count) {
                ("launched", _) => "",
                (_, 0) => " class=\"nothing\"",
                _ => " class=\"some\"",
            };
            let _ = write!(text, "<td data-what=\"{what}\" data-value=\"{count}\"{class}>{count}</td>");
        }
        let waste = seconds.waste();
        text += &cell("waste", waste, format!("{:.0} %", waste * 100.0));
        if let Some(price) = self.per_hour() {
            let cost = seconds.cost(price);
            text += &cell("cost", cost, format!("{cost:.2}"));
            text += &cell("wasted", cost * waste, format!("{:.2}", cost * waste));
        }
        text + "</tr>\n"
    }
}

fn sentence(is_advice: bool, text: &str) -> String {
    let class = if is_advice { "advice" } else { "broken" };
    format!("<p class=\"{class}\">{}</p>\n", escaped(text))
}

fn section(id: &str, title: &str, inner: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{inner}</section>\n")
}

/// Text as HTML has it, between tags and in quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
