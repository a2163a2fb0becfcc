//! The tables of settings, tags, variables and findings, as Markdown.

use lightsout_core::{
    doctor::{Scope, rows},
    platform::KINDS,
    settings::{Key, Side, TAG_PREFIX, TAGS, TagSection, TagValue, ValueFormat, VariableMeaning},
};

/// The keys of a platform as a Markdown table.
pub(super) fn platform_table(keys: &[Key]) -> String {
    let mut table = String::from("| Key | Side | Type | Default | Meaning |\n|---|---|---|---|---|\n");
    for key in keys {
        let default = key.default.unwrap_or_default();
        table += &format!("| `{}` | {} | {} | {default} | {} |\n", key.name, side(key.side), key.kind, key.meaning);
    }
    table.replace("|  |", "| |")
}

/// The keys of several tables as one Markdown table; each name gets the path of its table, such as `agent.`.
pub(super) fn section_table(sections: &[(&str, &[Key])]) -> String {
    let mut table = String::from("| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
    for (path, keys) in sections {
        for key in *keys {
            let default = key.default.unwrap_or_default();
            table += &format!("| `{path}{}` | {} | {default} | {} |\n", key.name, key.kind, key.meaning);
        }
    }
    table.replace("|  |", "| |")
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Scaler => "scaler",
        Side::Agent => "agent",
        Side::Both => "both",
    }
}

/// The settings that an instance's tags may hold.
pub(super) fn tag_table() -> String {
    let mut table = String::from("| Tag | Setting | Value |\n|---|---|---|\n");
    for tag in TAGS {
        let path = match tag.section {
            TagSection::Agent => "agent",
            TagSection::Platform => "platform.NAME",
        };
        let value = match tag.value {
            TagValue::Number => "number",
            TagValue::Text => "as there, without quotes",
            TagValue::List => "words, with commas or spaces between them",
        };
        table += &format!("| `{TAG_PREFIX}{0}` | `{path}.{0}` | {value} |\n", tag.name);
    }
    table
}

/// The variables of all systems that people come from.
pub(super) fn variable_table() -> String {
    let mut table = String::from("| Platform | Variable | Here |\n|---|---|---|\n");
    for kind in KINDS {
        for variable in kind.variables {
            let here = match variable.means {
                VariableMeaning::Gone(why) => format!("no meaning any more: {why}"),
                VariableMeaning::Key(_, _, written) => {
                    format!("`{}`{}", variable.key(kind).unwrap_or_default(), in_words(written))
                }
            };
            table += &format!("| {} | `{}` | {here} |\n", kind.title, variable.name);
        }
    }
    table
}

/// What is said behind the key.
fn in_words(written: ValueFormat) -> String {
    match written {
        ValueFormat::Text | ValueFormat::Number | ValueFormat::Flag => String::new(),
        ValueFormat::NumberAbove0 => "; 0: none".to_owned(),
        ValueFormat::Minutes => ", in minutes".to_owned(),
        ValueFormat::Group => ", of the ARN the name".to_owned(),
        ValueFormat::ScaleSet { subscription, resource_group } => {
            format!(", with `{subscription}` and `{resource_group}` the scale set's resource id")
        }
        ValueFormat::AddressWithout(end) => format!(", without `{end}`"),
        ValueFormat::Parameter => " = `{ ssm = ... }`".to_owned(),
        ValueFormat::SecretKey(key) => format!(" = `{{ secretsmanager = ..., key = \"{key}\" }}`"),
        ValueFormat::StoredIn(key) => format!(", what the secret has below `{key}`"),
    }
}

/// What `doctor` looks at.
pub(super) fn doctor_table() -> String {
    let mut table = String::from("| Finding | Where | What must hold | Else |\n|---|---|---|---|\n");
    for row in rows() {
        let place = match row.scope {
            Scope::Instance => "instance",
            Scope::Image => "image",
            Scope::Both => "instance, image",
            Scope::Workstation => "workstation",
            Scope::Group => "instance, workstation",
        };
        table += &format!("| `{}` | {place} | {} | {} |\n", row.id, row.meaning, row.remedy);
    }
    table
}
