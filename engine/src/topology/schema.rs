//! The JSON Schema of a language, for editors: generated from the tables that the loader checks with.
//!
//! It says of every key what the loader would: what may stand there, what it means, what it is when it is not there. What depends
//! on more than one place, such as whether a table exists, only the loader knows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::language::TOPOLOGY;
use super::shape::{Key, Kind, Names, Shape};
use super::value::TYPES;

/// The schema of topologies (draft 2020-12). A `${...}` may stand for any value, so whatever is more than text allows text with one.
pub fn schema() -> Value {
    of(&TOPOLOGY, "Topology")
}

/// The schema of another file that is a `shape`, into which nothing of the environment is put.
pub fn schema_of(shape: &'static Shape, title: &str) -> Value {
    let mut schema = of(shape, title);
    forget_variables(&mut schema);
    schema
}

/// Takes out what allows a `${...}` in place of a value.
fn forget_variables(schema: &mut Value) {
    match schema {
        Value::Array(items) => {
            items.retain(|item| *item != variable());
            items.iter_mut().for_each(forget_variables);
        }
        Value::Object(members) => {
            if let Some(Value::String(pattern)) = members.get_mut("pattern") {
                *pattern = pattern.trim_end_matches(OR_VARIABLE).to_owned();
            }
            members.values_mut().for_each(forget_variables);
        }
        _ => {}
    }
}

fn of(shape: &'static Shape, title: &str) -> Value {
    let mut definitions = BTreeMap::new();
    define(shape, &mut definitions);
    let root = reference(shape);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": root["$ref"],
        "$defs": definitions,
    })
}

/// A schema as it is printed, and kept beside the files that name it.
pub fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn slug(shape: &Shape) -> String {
    let name = shape.name;
    let name = name.strip_prefix("a ").or_else(|| name.strip_prefix("an ")).unwrap_or(name);
    name.replace(' ', "_")
}

fn reference(shape: &Shape) -> Value {
    json!({"$ref": format!("#/$defs/{}", slug(shape))})
}

fn define(shape: &'static Shape, definitions: &mut BTreeMap<String, Value>) {
    if definitions.contains_key(&slug(shape)) {
        return;
    }
    // Claimed before its keys are visited: shapes may contain themselves.
    definitions.insert(slug(shape), Value::Null);
    let mut properties = Map::new();
    for key in shape.keys {
        properties.insert(key.name.into(), property(key, definitions));
    }
    let required: Vec<_> = shape.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    let mut object = json!({
        "type": "object",
        "description": shape.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !shape.one_of.is_empty() {
        object["oneOf"] = shape.one_of.iter().map(|name| json!({"required": [name]})).collect();
    }
    definitions.insert(slug(shape), object);
}

/// The value of a key, with everything that an editor shows of it.
fn property(key: &Key, definitions: &mut BTreeMap<String, Value>) -> Value {
    let mut value = kind(&key.kind, definitions);
    if let Some(object) = value.as_object_mut() {
        // A key without a value counts as not given.
        if let (Some(Value::Array(kinds)), false) = (object.get_mut("anyOf"), key.required) {
            kinds.push(json!({"type": "null"}));
        }
        object.insert("description".into(), json!(key.about));
        if let Some(default) = key.default {
            object.insert("default".into(), plain(&key.kind, default));
        }
        if let Some(example) = key.example {
            object.insert("examples".into(), json!([plain(&key.kind, example)]));
        }
    }
    value
}

/// A value that the tables hold as text, as the YAML that it stands for.
fn plain(kind: &Kind, text: &str) -> Value {
    let word = |text: &str| json!(text.trim().trim_matches('"'));
    match kind {
        Kind::Bool | Kind::Integer(_) | Kind::Number | Kind::Within(..) | Kind::Between(..) => {
            serde_json::from_str(text).unwrap_or_else(|_| word(text))
        }
        Kind::List(inner) => {
            let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
            inside.split(',').filter(|item| !item.trim().is_empty()).map(|item| plain(inner, item.trim())).collect()
        }
        _ => word(text),
    }
}

/// Text that holds a variable of the environment.
fn variable() -> Value {
    json!({"type": "string", "pattern": "\\$\\{"})
}

/// What of a pattern allows a variable of the environment.
const OR_VARIABLE: &str = "|\\$\\{";

/// Text that holds a variable of the environment, or what `own` says of a text.
fn variable_or(own: &str) -> Value {
    json!({"type": "string", "pattern": format!("{own}{OR_VARIABLE}")})
}

fn kind(of: &Kind, definitions: &mut BTreeMap<String, Value>) -> Value {
    let bound = |unit: &str| json!({"anyOf": [{"type": "integer", "minimum": 0}, variable_or(&format!("^[0-9]+ *({unit})?$"))]});
    match of {
        Kind::Text | Kind::Secret | Kind::Name | Kind::DelayName | Kind::Reference => {
            json!({"type": ["string", "number", "boolean", "null"]})
        }
        Kind::Binding => json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
        Kind::Bool => json!({"anyOf": [{"type": "boolean"}, variable_or("^(true|false)$")]}),
        Kind::Integer(least) => json!({"anyOf": [{"type": "integer", "minimum": least}, variable_or("^[0-9]+$")]}),
        Kind::Number => json!({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, variable_or("^[0-9.eE+-]+$")]}),
        Kind::Within(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Between(least, most) => {
            let bounds = [("minimum", *least), ("maximum", *most)];
            let mut number = json!({"type": "number"});
            for (name, bound) in bounds.into_iter().filter(|(_, bound)| bound.abs() < f64::MAX) {
                number[name] = json!(bound);
            }
            number
        }
        Kind::Instant => {
            json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})$"})
        }
        Kind::Duration(_) => bound("ms|s|m|h|d"),
        Kind::Size(_) => bound("B|KiB|MiB|GiB|TiB"),
        // YAML reads a bare number or `true` as no text; as an expression it is the name of a field.
        Kind::Expression | Kind::Template => json!({"type": ["string", "number", "boolean"]}),
        Kind::Choice(words) => json!({"anyOf": [{"enum": choice(words)}, variable()]}),
        Kind::Column => typed("What the column means.", false),
        Kind::Field => typed("The expression it is computed from.", true),
        Kind::List(inner) => json!({"anyOf": [{"type": "array", "items": kind(inner, definitions)}, variable()]}),
        Kind::Tuple(kinds) => {
            let items: Vec<Value> = kinds.iter().map(|of| kind(of, definitions)).collect();
            json!({"type": "array", "prefixItems": items, "minItems": kinds.len(), "maxItems": kinds.len()})
        }
        Kind::Map(names, inner) => {
            let pattern = match names {
                Names::Any => ".",
                Names::Things => "^[A-Za-z_][A-Za-z0-9_.-]*$",
                Names::Bindings => "^[A-Za-z_][A-Za-z0-9_]*$",
                Names::Statuses => "^[1-5][0-9][0-9]$",
            };
            let map = json!({
                "type": ["object", "null"],
                "patternProperties": {pattern: kind(inner, definitions), "^<<$": {}},
                "additionalProperties": false,
            });
            json!({"anyOf": [map, variable()]})
        }
        Kind::Object(shape) => {
            define(shape, definitions);
            json!({"anyOf": [reference(shape), variable()]})
        }
        Kind::Any => json!({}),
        Kind::Tree(generators) => tree(generators, definitions),
        Kind::ListOr(inner, shape) => {
            define(shape, definitions);
            json!({"anyOf": [{"type": "array", "items": kind(inner, definitions)}, reference(shape)]})
        }
        Kind::ChoiceOr(words, shape) => {
            define(shape, definitions);
            json!({"anyOf": [{"enum": choice(words)}, reference(shape)]})
        }
    }
}

/// Any value, in which the mappings with a `$` are generators.
fn tree(generators: &[&'static Shape], definitions: &mut BTreeMap<String, Value>) -> Value {
    let itself = json!({"$ref": "#/$defs/tree"});
    if !definitions.contains_key("tree") {
        // Claimed before the generators are visited: they hold trees.
        definitions.insert("tree".into(), Value::Null);
        let mut forms = vec![
            json!({"type": ["string", "number", "boolean", "null"]}),
            json!({"type": "array", "items": itself}),
            json!({"type": "object", "patternProperties": {"^[^$]|^$": itself}, "additionalProperties": false}),
        ];
        for generator in generators {
            define(generator, definitions);
            forms.push(reference(generator));
        }
        definitions.insert("tree".into(), json!({"description": "Any value; `$` begins a generator.", "anyOf": forms}));
    }
    itself
}

/// The words of a choice; one that YAML reads as a number may stand as that.
fn choice(words: &[&str]) -> Vec<Value> {
    let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok()).map(Value::from);
    words.iter().map(|word| json!(word)).chain(numbers).collect()
}

/// A type, or a mapping of one type to what it means or is computed from.
fn typed(value: &str, field: bool) -> Value {
    let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).chain(field.then_some("any")).collect();
    let words: Vec<String> = names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}!")]).collect();
    let of_one: Map<String, Value> =
        words.iter().map(|word| (word.clone(), json!({"type": "string", "description": value}))).collect();
    json!({"anyOf": [
        {"enum": words},
        {"type": "object", "properties": of_one, "additionalProperties": false, "minProperties": 1, "maxProperties": 1},
        {"type": "string", "pattern": "\\$\\{"},
    ]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_defined_and_names_are_distinct() {
        let schema = schema();
        let text = schema.to_string();
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(schema["$defs"][name].is_object(), "{name}");
        }
        assert_eq!(schema["$defs"].as_object().map(Map::len), Some(35));
        assert_eq!(schema["$defs"]["flow"]["required"], json!(["source"]));
    }

    #[test]
    fn an_editor_is_told_what_a_key_means_and_what_may_stand_there() {
        let schema = schema();
        let keys = |of: &str| schema["$defs"][of]["properties"].clone();
        let rows = &keys("flush_bounds")["rows"];
        assert_eq!(rows["default"], json!(50_000));
        assert_eq!(rows["description"], json!("Rows in the buffer."));
        assert_eq!(
            keys("web_connection")["generic"]["default"],
            json!(["application/octet-stream", "binary/octet-stream"])
        );
        assert_eq!(keys("table")["mode"]["anyOf"][0]["enum"], json!(["merge", "insert"]));
        assert_eq!(schema["$defs"]["stage"]["additionalProperties"], json!(false));
        assert_eq!(schema["$defs"]["stage"]["oneOf"][0], json!({"required": ["route"]}));
    }
}
