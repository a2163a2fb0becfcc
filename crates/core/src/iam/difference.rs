//! How policies that are attached differ from what is needed.

use std::fmt;

use serde::Serialize;

use super::{
    Condition, Need, Pattern, Policy, RIGHTS,
    attached::{Selector, Statement},
};

/// What is missing, and what is more than needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Rights that are needed and not allowed.
    pub missing: Vec<Finding>,
    /// Rights that are allowed, or not denied, only where a condition holds that cannot be judged here.
    pub conditional: Vec<Finding>,
    /// What is allowed and not needed.
    pub too_wide: Vec<Finding>,
}

/// One of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The action, as it is needed, or as the policy has it.
    pub action: String,
    /// The resource, as it is needed, or as the policy has it.
    pub resource: String,
    /// What it is for, or what is wrong with it.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}: {}", self.action, self.resource, self.why)
    }
}

/// Compares what is needed with all policies that are attached to the same role.
pub fn compare(needs: &[Need], attached: &[Policy]) -> Difference {
    let statements: Vec<&Statement> = attached.iter().flat_map(|policy| &policy.statements).collect();
    let mut difference = Difference::default();
    for need in needs {
        for resource in &need.resources {
            let finding = |why: String| Finding { action: need.action.into(), resource: resource.to_string(), why };
            match judge(need, resource, &statements) {
                Verdict::Allowed => {}
                Verdict::Conditional(why) => difference.conditional.push(finding(why)),
                Verdict::Missing(why) => difference.missing.push(finding(why)),
            }
        }
    }
    let allowing = statements.iter().filter(|statement| statement.allows);
    difference.too_wide = allowing.flat_map(|statement| too_wide(statement, needs)).collect();
    difference
}

enum Verdict {
    Allowed,
    Conditional(String),
    Missing(String),
}

/// How much of something a statement is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    None,
    Some,
    All,
}

/// As IAM decides: a denial goes before whatever allows (IAM User Guide, "Policy evaluation logic").
fn judge(need: &Need, resource: &Pattern, statements: &[&Statement]) -> Verdict {
    let action = Pattern::literal(&need.action.to_lowercase());
    let purpose = format!("{}: {}", need.caller.as_str().replace('`', ""), need.why.replace('`', ""));
    let (mut allowed, mut doubts, mut partly) = (false, Vec::new(), Vec::new());
    for statement in statements {
        let part = part(&statement.actions, &action).min(part(&statement.resources, resource));
        if part == Part::None {
            continue;
        }
        let name = &statement.name;
        let strange = statement.conditions.iter().find(|held| !holds(held, &need.conditions));
        match (statement.allows, part, strange) {
            (false, Part::All, None) if statement.conditions.is_empty() => {
                return Verdict::Missing(format!("{purpose}; \"{name}\" denies it"));
            }
            (false, _, _) => doubts.push(format!("\"{name}\" denies it in some cases")),
            (true, Part::All, None) => allowed = true,
            (true, Part::All, Some(condition)) => {
                partly.push(format!("\"{name}\" allows it under the condition {}", said(condition)));
            }
            (true, _, _) => {}
        }
    }
    match (allowed, partly.is_empty(), doubts.is_empty()) {
        (true, _, true) => Verdict::Allowed,
        (true, _, false) => Verdict::Conditional(format!("{purpose}; {}", doubts.join(", "))),
        (false, false, _) => {
            partly.append(&mut doubts);
            Verdict::Conditional(format!("{purpose}; {}", partly.join(", ")))
        }
        (false, true, _) => Verdict::Missing(purpose),
    }
}

fn part(those: &Selector, of: &Pattern) -> Part {
    let of_list = |list: &[(String, Pattern)]| {
        if list.iter().any(|(_, pattern)| pattern.covers(of)) {
            Part::All
        } else if list.iter().any(|(_, pattern)| pattern.meets(of)) {
            Part::Some
        } else {
            Part::None
        }
    };
    match those {
        Selector::These(list) => of_list(list),
        Selector::AllBut(list) => match of_list(list) {
            Part::All => Part::None,
            Part::Some => Part::Some,
            Part::None => Part::All,
        },
    }
}

/// Whether a statement's condition holds wherever those of the need do.
fn holds(condition: &Condition, known: &[Condition]) -> bool {
    known.iter().any(|known| same_test(condition, known) && known.values.is_subset(&condition.values))
}

/// Keys are compared without regard to case (IAM User Guide, "Condition keys").
fn same_test(one: &Condition, other: &Condition) -> bool {
    one.operator == other.operator && one.key.eq_ignore_ascii_case(&other.key)
}

fn said(condition: &Condition) -> String {
    let values: Vec<&str> = condition.values.iter().map(String::as_str).collect();
    format!("{} {} {}", condition.operator, condition.key, values.join(" or "))
}

/// What a statement allows beyond the needs.
fn too_wide(statement: &Statement, needs: &[Need]) -> Vec<Finding> {
    let name = &statement.name;
    let resources = match &statement.resources {
        Selector::These(list) => list.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", "),
        Selector::AllBut(list) => {
            format!("all but {}", list.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", "))
        }
    };
    let whole = |action: &str, why: String| Finding { action: action.into(), resource: resources.clone(), why };
    let actions = match &statement.actions {
        Selector::These(list) => list,
        Selector::AllBut(list) => {
            let but = list.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", ");
            let why = format!("\"{name}\" allows whatever it does not name: name what is needed");
            return vec![whole(&format!("all but {but}"), why)];
        }
    };
    let mut found = Vec::new();
    for (text, action) in actions {
        let used: Vec<&Need> =
            needs.iter().filter(|need| action.covers(&Pattern::literal(&need.action.to_lowercase()))).collect();
        let exact = used.iter().any(|need| need.action.eq_ignore_ascii_case(text));
        if !exact {
            let wanted: Vec<&str> = used.iter().map(|need| need.action).collect();
            let why = match (&wanted[..], RIGHTS.iter().find(|row| row.action.eq_ignore_ascii_case(text))) {
                ([], Some(row)) => format!(
                    "\"{name}\": these settings do not need it (it is for: {}: {})",
                    row.caller.as_str().replace('`', ""),
                    row.why.replace('`', "")
                ),
                ([], None) => format!("\"{name}\": lightsout never calls it"),
                (wanted, _) => format!("\"{name}\" allows more than {}", wanted.join(", ")),
            };
            found.push(whole(text, why));
            continue;
        }
        found.extend(beyond(statement, text, &used));
    }
    found
}

/// Where a statement allows a needed action on more than it is needed for.
fn beyond(statement: &Statement, action: &str, needs: &[&Need]) -> Vec<Finding> {
    let name = &statement.name;
    let finding = |resource: &str, why: String| Finding { action: action.into(), resource: resource.into(), why };
    let Selector::These(resources) = &statement.resources else {
        return vec![finding("all but some", format!("\"{name}\" allows it on whatever it does not name"))];
    };
    let mut found = Vec::new();
    for (text, pattern) in resources {
        let within = |need: &&&Need| need.resources.iter().any(|needed| needed.covers(pattern));
        let Some(need) = needs.iter().find(within) else {
            let enough: Vec<String> = needs.iter().flat_map(|need| &need.resources).map(Pattern::to_string).collect();
            found.push(finding(text, format!("\"{name}\": enough is {}", enough.join(", "))));
            continue;
        };
        let bound = |needed: &Condition| {
            statement.conditions.iter().any(|held| same_test(held, needed) && held.values.is_subset(&needed.values))
        };
        if let Some(needed) = need.conditions.iter().find(|needed| !bound(needed)) {
            found.push(finding(text, format!("\"{name}\" lacks the condition {}", said(needed))));
        }
    }
    found
}
