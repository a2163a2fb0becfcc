//! `lightsout ps --group`: the members of a group as a table.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode, time::Duration};

use anyhow::Result;
use jiff::Timestamp;
use lightsout_cloud::operator::{Member, Members};
use serde_json::{Value, json};

use super::{Place, command};
use crate::{duration::short, ps::table};

/// What the agents of some instances say, or why they are not heard.
type Statuses = BTreeMap<String, Result<Value, String>>;

/// Prints it; with `agents` each agent is asked for its status.
pub(crate) async fn show(place: &Place, name: &str, agents: bool, json: bool) -> Result<ExitCode> {
    let operator = place.operator();
    let group = operator.group(name).await?;
    let ids: Vec<String> = group.members.iter().map(|it| it.id.clone()).collect();
    let statuses = if agents && !ids.is_empty() {
        let came = command::run(&*operator, &ids, "lightsout-agent status --json", command::PATIENCE).await;
        came.into_iter().map(|(id, came)| (id, came.and_then(|ended| status(&ended)))).collect()
    } else {
        Statuses::new()
    };
    let now = Timestamp::now();
    crate::print(&if json { as_json(&group, &statuses) } else { as_text(&group, agents.then_some(&statuses), now) });
    Ok(ExitCode::SUCCESS)
}

fn status(ended: &command::Ended) -> Result<Value, String> {
    match ended.code {
        0 => serde_json::from_str(&ended.out).map_err(|error| format!("its status cannot be read: {error}")),
        _ => Err(ended.err.trim().to_owned()),
    }
}

fn as_text(group: &Members, statuses: Option<&Statuses>, now: Timestamp) -> String {
    let Members { name, min, max, desired, members } = group;
    let serving = members.iter().filter(|it| it.state == "InService").count();
    let mut text = format!("group {name}: desired {desired}, in service {serving}, min {min}, max {max}\n\n");
    if members.is_empty() {
        return text + "no instances\n";
    }
    let Some(statuses) = statuses else {
        let head = ["INSTANCE", "STATE", "AGE", "PROTECTED", "TYPE", "SPOT", "ORDER", "LEAVES BECAUSE"];
        let row = |it: &Member| {
            let [id, state, age, protected, kind, spot, order] = common(it, now);
            [id, state, age, protected, kind, spot, order, it.why.clone().unwrap_or_else(dash)]
        };
        return text + &table(head, members.iter().map(row));
    };
    let head =
        ["INSTANCE", "STATE", "AGENT", "SINCE", "AGE", "PROTECTED", "TYPE", "SPOT", "ORDER", "JOBS", "LEAVES BECAUSE"];
    let row = |it: &Member| {
        let [id, state, age, protected, kind, spot, order] = common(it, now);
        let told = statuses.get(&it.id).and_then(|told| told.as_ref().ok());
        let word = |key: &str| told.and_then(|told| told[key].as_str().map(str::to_owned));
        let since = told.and_then(|told| Timestamp::from_millisecond(told["since_ms"].as_i64()?).ok());
        let jobs: Vec<&str> =
            told.and_then(|told| told["jobs"].as_array()).into_iter().flatten().filter_map(Value::as_str).collect();
        let agent = word("phase").unwrap_or_else(|| "?".to_owned());
        let since = since.map_or_else(dash, |since| short(span(since, now)));
        let jobs = if jobs.is_empty() { dash() } else { jobs.join(",") };
        let why = it.why.clone().or_else(|| word("why")).unwrap_or_else(dash);
        [id, state, agent, since, age, protected, kind, spot, order, jobs, why]
    };
    text += &table(head, members.iter().map(row));
    for (id, told) in statuses {
        if let Err(why) = told {
            let _ = write!(text, "\n{id}: its agent is not heard: {why}");
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn common(it: &Member, now: Timestamp) -> [String; 7] {
    let yes = |holds: bool| if holds { "yes" } else { "no" }.to_owned();
    [
        it.id.clone(),
        it.state.clone(),
        it.launched.map_or_else(dash, |at| short(span(at, now))),
        it.protected.map_or_else(dash, yes),
        it.kind.clone(),
        yes(it.spot),
        it.order.clone().unwrap_or_else(dash),
    ]
}

fn as_json(group: &Members, statuses: &Statuses) -> String {
    let one = |it: &Member| {
        let told = statuses.get(&it.id);
        json!({
            "id": it.id,
            "state": it.state,
            "protected": it.protected,
            "launched": it.launched.map(|at| format!("{at:.0}")),
            "type": it.kind,
            "spot": it.spot,
            "order": it.order,
            "why": it.why,
            "sees_orders": it.sees_orders,
            "agent": told.and_then(|told| told.as_ref().ok()),
            "agent_not_heard": told.and_then(|told| told.as_ref().err()),
        })
    };
    let Members { name, min, max, desired, members } = group;
    let members: Vec<Value> = members.iter().map(one).collect();
    format!("{}\n", json!({ "group": name, "min": min, "max": max, "desired": desired, "instances": members }))
}

fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> Member {
        Member {
            id: id.to_owned(),
            group: Some("ci".to_owned()),
            state: "InService".to_owned(),
            ended: false,
            protected: Some(true),
            launched: Some("2026-11-27T02:00:00Z".parse().unwrap()),
            kind: "c7i.large".to_owned(),
            spot: false,
            why: None,
            order: None,
            sees_orders: true,
        }
    }

    #[test]
    fn a_member_is_a_line_and_its_agent_is_shown_where_it_was_asked() {
        let order = Some("drain".to_owned());
        let members = vec![member("i-1"), Member { spot: true, order, protected: None, ..member("i-2") }];
        let group = Members { name: "ci".to_owned(), min: 1, max: 9, desired: 2, members };
        let now = "2026-11-27T02:03:05Z".parse().unwrap();
        let text = as_text(&group, None, now);
        assert!(text.starts_with("group ci: desired 2, in service 2, min 1, max 9\n\nINSTANCE "), "{text}");
        assert!(text.contains("i-1        InService   3m05s   yes         c7i.large   no     -       -\n"), "{text}");
        assert!(text.contains("i-2        InService   3m05s   -           c7i.large   yes    drain   -\n"), "{text}");

        let since = now.as_millisecond() - 61_000;
        let told = json!({ "phase": "draining", "why": "operator", "jobs": ["7", "8"], "since_ms": since });
        let statuses = Statuses::from([("i-1".to_owned(), Ok(told)), ("i-2".to_owned(), Err("not online".to_owned()))]);
        let text = as_text(&group, Some(&statuses), now);
        let wanted = "i-1        InService   draining   1m01s   3m05s   yes         c7i.large   no     -       7,8    operator\n";
        assert!(text.contains(wanted), "{text}");
        assert!(
            text.contains("InService   ?  ") && text.ends_with("\ni-2: its agent is not heard: not online\n"),
            "{text}"
        );
        let empty = Members { members: Vec::new(), ..group };
        assert!(as_text(&empty, None, now).ends_with("no instances\n"));
    }
}
