//! The tables of docs/records.md, as its schema has them.

use std::{fs, path::Path};

use serde_json::Value;

use super::check;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/records.schema.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the schema")).expect("JSON")
}

/// One kind's keys as a Markdown table.
fn table(schema: &Value, kind: &str) -> String {
    let mut table = String::from("| Key | Type | Meaning |\n|---|---|---|\n");
    rows(schema, &schema["$defs"][kind], "", &mut table);
    table
}

fn rows(schema: &Value, at: &Value, before: &str, table: &mut String) {
    let required: Vec<&str> = at["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in at["properties"].as_object().into_iter().flatten() {
        let meaning = value["description"].as_str().expect("each key is described");
        let found =
            value["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#'))).unwrap_or(value);
        let name = format!("{before}{key}");
        let may = if required.contains(&key.as_str()) || !before.is_empty() { "" } else { ", or absent" };
        table.push_str(&format!("| `{name}` | {}{may} | {meaning}{} |\n", kind_of(found), words(found)));
        if found["properties"].is_object() {
            rows(schema, found, &format!("{name}."), table);
        } else if found["type"] == "array" {
            let item = &found["items"];
            let item =
                item["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#'))).unwrap_or(item);
            rows(schema, item, &format!("{name}[]."), table);
        }
    }
}

fn kind_of(at: &Value) -> String {
    match (&at["type"], &at["const"], &at["format"]) {
        (_, Value::Number(number), _) => number.to_string(),
        (_, Value::String(word), _) => format!("`\"{word}\"`"),
        (_, _, Value::String(_)) => "time".into(),
        (Value::String(kind), ..) if kind == "string" => "text".into(),
        (Value::String(kind), ..) if kind == "integer" => "number".into(),
        (Value::String(kind), ..) if kind == "array" => "list".into(),
        (Value::String(kind), ..) if kind == "boolean" => "true, false".into(),
        (Value::String(kind), ..) => kind.clone(),
        (Value::Array(_), ..) => "number or null".into(),
        _ => "word".into(),
    }
}

/// The words that may stand there, unless they are so many that they have a table of their own.
fn words(at: &Value) -> String {
    let said: Vec<String> = at["oneOf"]
        .as_array()
        .or_else(|| at["enum"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|word| word.get("const").unwrap_or(word).as_str().map(|word| format!("`{word}`")))
        .collect();
    if said.is_empty() || said.len() > 12 { String::new() } else { format!(" One of {}.", said.join(", ")) }
}

/// Every kind of incident.
fn incidents(schema: &Value) -> String {
    let mut table = String::from("| `what` | Meaning |\n|---|---|\n");
    let kinds = schema["$defs"]["incident"]["properties"]["what"]["oneOf"].as_array().expect("a list");
    for kind in kinds {
        let (word, meaning) =
            (kind["const"].as_str().expect("a word"), kind["description"].as_str().expect("a meaning"));
        table.push_str(&format!("| `{word}` | {meaning} |\n"));
    }
    table
}

#[test]
fn the_tables_of_records_are_those_of_their_schema() {
    let schema = schema();
    let mut tables: Vec<(&str, String)> =
        ["departure", "incident", "decision"].into_iter().map(|kind| (kind, table(&schema, kind))).collect();
    tables.push(("incidents", incidents(&schema)));
    check("docs/records.md", &tables);
}
