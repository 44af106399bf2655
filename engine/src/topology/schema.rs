//! The JSON Schema of the language, for editors: generated from the tables that the loader checks with.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::language::TOPOLOGY;
use super::shape::{Kind, Names, Shape};
use super::value::TYPES;

/// The schema (draft 2020-12). A `${...}` may stand for any value, so every leaf allows text with one.
pub fn schema() -> Value {
    schema_of(&TOPOLOGY, "Topology")
}

/// The schema of a file that is a `shape`.
pub fn schema_of(shape: &'static Shape, title: &str) -> Value {
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
        let mut value = kind(&key.kind, definitions);
        if let Some(object) = value.as_object_mut() {
            object.insert("description".into(), json!(key.about));
            if let Some(default) = key.default {
                object.insert("default".into(), json!(default));
            }
        }
        properties.insert(key.name.into(), value);
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

fn kind(of: &Kind, definitions: &mut BTreeMap<String, Value>) -> Value {
    let variable = json!({"type": "string", "pattern": "\\$\\{"});
    let typed = |value: &str| {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).chain(["any"]).collect();
        let pattern = format!("^({})!?$", names.join("|"));
        json!({"anyOf": [
            {"type": "string", "pattern": pattern},
            {"type": "object", "patternProperties": {pattern: {"type": "string", "description": value}},
             "additionalProperties": false, "minProperties": 1, "maxProperties": 1},
        ]})
    };
    match of {
        Kind::Text | Kind::Secret | Kind::Name | Kind::DelayName | Kind::Reference => {
            json!({"type": ["string", "number", "boolean", "null"]})
        }
        Kind::Binding => json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
        Kind::Bool => json!({"anyOf": [{"type": "boolean"}, variable]}),
        Kind::Integer(least) => json!({"anyOf": [{"type": "integer", "minimum": least}, variable]}),
        Kind::Number => json!({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, variable]}),
        Kind::Duration(_) => json!({"anyOf": [
            {"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)?$"}, variable]}),
        Kind::Size(_) => json!({"anyOf": [
            {"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB)?$"}, variable]}),
        Kind::Expression | Kind::Template => json!({"type": "string", "description": of.expected()}),
        Kind::Choice(words) => json!({"anyOf": [{"enum": words}, variable]}),
        Kind::Column => typed("What the column means."),
        Kind::Field => typed("The expression it is computed from."),
        Kind::List(inner) => json!({"anyOf": [{"type": "array", "items": kind(inner, definitions)}, variable]}),
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
            json!({"anyOf": [map, variable]})
        }
        Kind::Object(shape) => {
            define(shape, definitions);
            json!({"anyOf": [reference(shape)]})
        }
        Kind::Any => json!({}),
        Kind::ListOr(inner, shape) => {
            define(shape, definitions);
            json!({"anyOf": [{"type": "array", "items": kind(inner, definitions)}, reference(shape)]})
        }
        Kind::ChoiceOr(words, shape) => {
            define(shape, definitions);
            json!({"anyOf": [{"enum": words}, reference(shape)]})
        }
    }
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
        assert_eq!(schema["$defs"].as_object().map(Map::len), Some(34));
        assert_eq!(schema["$defs"]["flow"]["required"], json!(["source"]));
    }
}
