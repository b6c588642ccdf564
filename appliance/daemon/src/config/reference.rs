//! docs/configuration.md is made from the schemas of the configuration files, and the samples are held against them.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::PathBuf;

use schemars::Schema;
use serde_json::{Map, Value};

const HEAD: &str = "\
# Configuration

Made from the code by a test (`UPDATE_GOLDEN=1 cargo test -p yanqian reference`); `yanqian schema FILE` prints the
same as JSON Schema. All files are TOML; a key that is not listed here is refused. Commented samples are in
[samples/](../samples/). Profiles of tokens and platforms are data of their own: [hsm-profiles/](../hsm-profiles/README.md) and
the comments in platform-profiles/.

Both programs log to standard error: `YANQIAN_LOG` sets the level (`info`, or by module as in `yanqian_gateway=debug`),
`YANQIAN_LOG_FORMAT=json` writes one JSON object a line.
";

fn schemas() -> [(Schema, &'static str); 4] {
    [
        (super::schema(), include_str!("../../../../samples/yanqian.toml")),
        (yanqian_hsm::worker::WorkerConfig::schema(), include_str!("../../../../samples/hsm-worker.toml")),
        (yanqian_agreement::Agreement::schema(), include_str!("../../../../samples/agreement.toml")),
        (crate::conform::cases_schema(), include_str!("../../../../samples/conform-cases.toml")),
    ]
}

/// A table of the file, with the keys that stand in it.
struct Table {
    /// Empty for the top of the file; otherwise as TOML writes it.
    name: String,
    about: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    form: String,
    /// None when the key must stand there; empty when it may be left out and nothing stands in for it.
    default: Option<String>,
    about: String,
}

fn text(schema: &Map<String, Value>, key: &str) -> String {
    schema.get(key).and_then(Value::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn form(schema: &Map<String, Value>) -> String {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let named = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        // Optional: the type and null.
        Some(Value::Array(names)) => names[0].as_str().unwrap(),
        other => panic!("a key without a type: {other:?}"),
    };
    match named {
        "string" if schema.get("format").is_some_and(|format| format == "date") => "date".to_owned(),
        "integer" if schema.get("minimum").is_some_and(|minimum| minimum == 1) => "integer from 1".to_owned(),
        "array" => format!("list of {}", form(schema["items"].as_object().unwrap())),
        "object" => "table of strings".to_owned(),
        simple => simple.to_owned(),
    }
}

/// Whether a schema is of a table, which is described where it is defined.
fn is_table(schema: &Map<String, Value>) -> bool {
    schema.contains_key("properties")
}

/// The file's tables, the top first, then by name.
fn tables(schema: &Schema) -> Vec<Table> {
    let root = schema.as_value().as_object().unwrap();
    let resolve = |schema: &Value| -> Map<String, Value> {
        let schema = schema.as_object().unwrap();
        let Some(target) = schema.get("$ref").and_then(Value::as_str) else { return schema.clone() };
        let mut found = root["$defs"][target.rsplit('/').next().unwrap()].as_object().unwrap().clone();
        // What is said where it is used goes before what is said where it is defined.
        let here = |key: &str| key == "default" || (key == "description" && !is_table(&found));
        let here: Vec<_> = schema.iter().filter(|(key, _)| here(key)).collect();
        found.extend(here.into_iter().map(|(key, value)| (key.clone(), value.clone())));
        found
    };
    let mut tables = Vec::new();
    let mut waiting = vec![(String::new(), root.clone())];
    while !waiting.is_empty() {
        let (name, schema) = waiting.remove(0);
        let mut keys = Vec::new();
        let required: Vec<_> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
        for (key, value) in schema["properties"].as_object().unwrap() {
            let value = resolve(value);
            let items = value.get("items").map(resolve);
            let parent = name.trim_matches(['[', ']']);
            let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
            // A table within a table comes right after it.
            let place = if parent.is_empty() { waiting.len() } else { 0 };
            if let Some(block) = items.filter(is_table) {
                waiting.insert(place, (format!("[[{path}]]"), block));
            } else if is_table(&value) {
                waiting.insert(place, (format!("[{path}]"), value));
            } else {
                let default = value.get("default").filter(|default| !default.is_null());
                let must = required.iter().any(|name| *name == key);
                keys.push(Key {
                    name: key.clone(),
                    form: form(&value),
                    default: (!must).then(|| default.map(ToString::to_string).unwrap_or_default()),
                    about: text(&value, "description"),
                });
            }
        }
        tables.push(Table { name, about: text(&schema, "description"), keys });
    }
    tables
}

fn reference() -> String {
    let mut out = HEAD.to_owned();
    for (schema, _) in schemas() {
        writeln!(out, "\n## {}", text(schema.as_value().as_object().unwrap(), "title")).unwrap();
        for table in tables(&schema) {
            if !table.name.is_empty() {
                writeln!(out, "\n### `{}`", table.name).unwrap();
            }
            writeln!(out, "\n{}\n", table.about).unwrap();
            if table.keys.is_empty() {
                continue;
            }
            writeln!(out, "| Key | Form | Default | |\n|---|---|---|---|").unwrap();
            for Key { name, form, default, about } in table.keys {
                let default = match default.as_deref() {
                    None => "required".to_owned(),
                    Some("") => "–".to_owned(),
                    Some(value) => format!("`{value}`"),
                };
                writeln!(out, "| `{name}` | {form} | {default} | {about} |").unwrap();
            }
        }
    }
    out
}

#[test]
fn the_configuration_reference_is_what_the_code_reads() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let reference = reference();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &reference).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    let differs = reference.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        reference == written,
        "docs/configuration.md is of another time, for one: {differs:?}; write it with UPDATE_GOLDEN=1"
    );
}

#[test]
fn every_key_is_explained_and_shown_in_a_sample() {
    for (schema, sample) in schemas() {
        for table in tables(&schema) {
            let headed = |mark: &str| sample.find(&format!("\n{mark}{}", table.name));
            let start = if table.name.is_empty() { 0 } else { headed("").or_else(|| headed("# ")).expect(&table.name) };
            for key in &table.keys {
                let Key { name, about, .. } = key;
                assert!(!about.is_empty(), "{} {name} has no description", table.name);
                let shown = [format!("\n{name} = "), format!("\n# {name} = "), format!("\n[{name}]")];
                assert!(
                    shown.iter().any(|line| sample[start..].contains(line)),
                    "no sample shows {} {name}",
                    table.name
                );
            }
        }
    }
}

#[test]
fn a_sample_that_says_these_are_the_defaults_is_right() {
    let (schema, sample) = &schemas()[0];
    let sample: toml::Table = sample.parse().unwrap();
    for (table, least) in [("verification", 2), ("link", 10), ("clock", 4), ("limits", 20)] {
        let found = tables(schema).into_iter().find(|found| found.name == format!("[{table}]")).unwrap();
        assert!(found.keys.len() >= least);
        for Key { name, default, .. } in found.keys {
            assert_eq!(default, Some(sample[table][&name].to_string()), "{name}");
        }
    }
}
