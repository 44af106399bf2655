//! The functions of the JMESPath specification, as strict about types as it is.
//!
//! Integers stay integers where the result is one (`abs`, `ceil`, `floor`, `sum`); everything else is a float.

use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait};

use super::super::interpret::order_of;
use super::super::parse::By;
use super::super::value::{NULL, Value};
use super::super::{Env, Json, json};
use super::{Arguments, Fault, Form, Function, Run, argument, take};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::plain("abs(number)", 1, abs, "The number without its sign."),
    Function::plain("avg(numbers)", 1, avg, "The mean; null for an empty list."),
    Function::plain("ceil(number)", 1, ceil, "The next integer that is not less."),
    Function::plain("contains(subject, search)", 2, contains, "Whether a list holds a value, or a text another text."),
    Function::plain("ends_with(text, end)", 2, ends_with, "Whether a text ends with another."),
    Function::plain("floor(number)", 1, floor, "The next integer that is not greater."),
    Function::of_values(
        "join(glue, texts)",
        2,
        join,
        "The texts with the glue between them; nulls are skipped, a null list is null.",
    ),
    Function::plain("keys(object)", 1, keys, "The keys of an object, sorted."),
    Function::plain("length(subject)", 1, length, "The number of elements, members or characters."),
    Function::new(
        "map(&expression, list)",
        2,
        Some(2),
        Form::By(By::Map),
        "The expression for every element, nulls included.",
    ),
    Function::plain("max(list)", 1, max, "The greatest of numbers or texts; null for an empty list."),
    Function::new("max_by(list, &key)", 2, Some(2), Form::By(By::Max), "The element with the greatest key."),
    Function::new(
        "merge(object, ...)",
        1,
        None,
        Form::Plain(Run::Json(merge)),
        "One object of all members; later ones win.",
    ),
    Function::plain("min(list)", 1, min, "The least of numbers or texts; null for an empty list."),
    Function::new("min_by(list, &key)", 2, Some(2), Form::By(By::Min), "The element with the least key."),
    Function::new("not_null(value, ...)", 1, None, Form::Coalesce, "The first value that is not null."),
    Function::plain("reverse(subject)", 1, reverse, "A list or a text backwards."),
    Function::plain("sort(list)", 1, sort, "Numbers or texts in order."),
    Function::new("sort_by(list, &key)", 2, Some(2), Form::By(By::Sort), "The elements in the order of their keys."),
    Function::plain("starts_with(text, start)", 2, starts_with, "Whether a text starts with another."),
    Function::plain("sum(numbers)", 1, sum, "The sum; 0 for an empty list."),
    Function::plain("to_array(value)", 1, to_array, "A list as it is, anything else as a list of one."),
    Function::plain("to_number(value)", 1, to_number, "A number as it is, the number that a text spells, else null."),
    Function::plain("to_string(value)", 1, to_string, "A text as it is, anything else as its JSON text."),
    Function::of_values("type(value)", 1, type_of, "The name of a value's type."),
    Function::plain("values(object)", 1, values, "The values of an object, in the order of their keys."),
];

fn wrong(wanted: &str, got: &Json) -> Fault {
    Fault(format!("the argument must be {wanted}, not {}", json::type_name(got)))
}

fn text<'a>(arguments: Arguments<'a, '_>, at: usize) -> Result<&'a str, Fault> {
    let value = argument(arguments, at);
    value.as_str().ok_or_else(|| wrong("a string", value))
}

fn list<'a>(arguments: Arguments<'a, '_>, at: usize) -> Result<&'a [Json], Fault> {
    let value = argument(arguments, at);
    value.as_array().map(|array| array.as_slice()).ok_or_else(|| wrong("an array", value))
}

fn float(arguments: Arguments<'_, '_>) -> Result<f64, Fault> {
    let value = argument(arguments, 0);
    value.as_f64().ok_or_else(|| wrong("a number", value))
}

fn numbers<'a>(arguments: Arguments<'a, '_>) -> Result<&'a [Json], Fault> {
    let values = list(arguments, 0)?;
    match values.iter().find(|value| !value.is_number()) {
        Some(other) => Err(wrong("an array of numbers", other)),
        None => Ok(values),
    }
}

/// A list of numbers or a list of texts.
fn ordered<'a>(arguments: Arguments<'a, '_>) -> Result<&'a [Json], Fault> {
    let values = list(arguments, 0)?;
    if values.iter().all(|value| value.is_number()) || values.iter().all(|value| value.is_str()) {
        return Ok(values);
    }
    Err(Fault("the argument must be an array of numbers or an array of strings".to_owned()))
}

/// A float that is an integer as an integer.
fn whole(value: f64) -> Json {
    // Floats beyond 2^53 are no exact integers any more.
    if value.abs() < 9_007_199_254_740_992.0 { json::integer(value as i64) } else { json::float(value) }
}

fn boolean(value: bool) -> Result<Json, Fault> {
    Ok(Json::new_bool(value))
}

fn abs(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(match argument(arguments, 0).as_i64().and_then(i64::checked_abs) {
        Some(value) => json::integer(value),
        None => json::float(float(arguments)?.abs()),
    })
}

fn ceil(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(whole(float(arguments)?.ceil()))
}

fn floor(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(whole(float(arguments)?.floor()))
}

fn total(values: &[Json]) -> f64 {
    values.iter().filter_map(|value| value.as_f64()).sum()
}

fn avg(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let values = numbers(arguments)?;
    // Of nothing it is 0 / 0, which is not finite: null.
    Ok(json::float(total(values) / values.len() as f64))
}

fn sum(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let values = numbers(arguments)?;
    let exact = values.iter().try_fold(0i64, |sum, value| sum.checked_add(value.as_i64()?));
    Ok(exact.map_or_else(|| json::float(total(values)), json::integer))
}

fn contains(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let (subject, search) = (argument(arguments, 0), argument(arguments, 1));
    match (subject.get_type(), subject.as_str()) {
        (JsonType::Array, _) => boolean(json::elements(subject).iter().any(|value| json::equal(value, search))),
        (_, Some(subject)) => boolean(search.as_str().is_some_and(|search| subject.contains(search))),
        _ => Err(wrong("an array or a string", subject)),
    }
}

fn ends_with(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    boolean(text(arguments, 0)?.ends_with(text(arguments, 1)?))
}

fn starts_with(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    boolean(text(arguments, 0)?.starts_with(text(arguments, 1)?))
}

fn join<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let wrong = |wanted: &str, got: &Value<'_>| {
        Fault(format!("the argument must be {wanted}, not {}", json::kind_name(got.kind())))
    };
    let (glue, list) = (take(arguments, 0), take(arguments, 1));
    let glue = glue.as_str().ok_or_else(|| wrong("a string", &glue))?;
    let kind = list.kind();
    if kind == JsonType::Null {
        return Ok(NULL);
    }
    if kind != JsonType::Array {
        return Err(wrong("an array", &list));
    }
    let mut joined: Option<String> = None;
    for value in list.into_elements().unwrap_or_default().iter().filter(|value| !value.is_null()) {
        let text = value.as_str().ok_or_else(|| wrong("an array of strings", value))?;
        match &mut joined {
            Some(joined) => {
                joined.push_str(&glue);
                joined.push_str(&text);
            }
            None => joined = Some(text.into_owned()),
        }
    }
    Ok(Value::from(joined.unwrap_or_default()))
}

fn object(value: &Json) -> Result<Vec<(&str, &Json)>, Fault> {
    if value.is_object() { Ok(json::entries(value)) } else { Err(wrong("an object", value)) }
}

fn keys(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(object(argument(arguments, 0))?.into_iter().map(|(key, _)| json::text(key)).collect())
}

fn values(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(object(argument(arguments, 0))?.into_iter().map(|(_, value)| value.clone()).collect())
}

fn merge(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let mut members = Vec::new();
    for value in arguments {
        members.extend(object(value)?.into_iter().map(|(key, value)| (key, value.clone())));
    }
    Ok(json::object(members))
}

fn length(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let value = argument(arguments, 0);
    let length = if let Some(text) = value.as_str() {
        text.chars().count()
    } else if let Some(array) = value.as_array() {
        array.len()
    } else if let Some(object) = value.as_object() {
        object.len()
    } else {
        return Err(wrong("an array, an object or a string", value));
    };
    Ok(Json::new_u64(length as u64))
}

fn max(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(ordered(arguments)?.iter().max_by(|a, b| order_of(a, b)).cloned().unwrap_or_default())
}

fn min(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(ordered(arguments)?.iter().min_by(|a, b| order_of(a, b)).cloned().unwrap_or_default())
}

fn sort(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let mut values = ordered(arguments)?.to_vec();
    values.sort_by(order_of);
    Ok(Json::from(values))
}

fn reverse(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let value = argument(arguments, 0);
    match value.as_str() {
        Some(text) => Ok(json::text(&text.chars().rev().collect::<String>())),
        None if value.is_array() => Ok(json::elements(value).iter().rev().cloned().collect()),
        None => Err(wrong("an array or a string", value)),
    }
}

fn to_array(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let value = argument(arguments, 0).clone();
    Ok(if value.is_array() { value } else { Json::from(vec![value]) })
}

fn to_number(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let value = argument(arguments, 0);
    Ok(match value.as_str() {
        Some(text) => json::number(text).unwrap_or_default(),
        None if value.is_number() => value.clone(),
        None => Json::new_null(),
    })
}

fn to_string(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let value = argument(arguments, 0);
    Ok(if value.is_str() { value.clone() } else { json::text(&json::to_text(value)) })
}

fn type_of<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    Ok(Value::from(json::kind_name(take(arguments, 0).kind())))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    // What the compliance suite leaves open or this engine decides.
    #[test]
    fn decisions_of_our_own() {
        check(
            r#"{"a":null,"n":[1,2],"f":[0.5,1.5],"o":{"b":1,"a":2},"t":["x",null,"y"]}"#,
            &[
                ("join('-', t)", r#""x-y""#),
                ("join('-', a)", "null"),
                ("join('-', missing)", "null"),
                ("join('-', n)", "the argument must be an array of strings, not number"),
                ("sum(n)", "3"),
                ("sum(f)", "2.0"),
                ("avg(`[]`)", "null"),
                ("abs(`-7`)", "7"),
                ("abs(`-1.5`)", "1.5"),
                ("ceil(`1.2`)", "2"),
                ("floor(`-1.2`)", "-2"),
                ("keys(o)", r#"["a","b"]"#),
                ("values(o)", "[2,1]"),
                ("o.*", "[2,1]"),
                ("to_number('1.50')", "1.50"),
                ("to_number('[1]')", "null"),
                ("length(a)", "the argument must be an array, an object or a string, not null"),
                ("map(&@, t)", r#"["x",null,"y"]"#),
                (
                    "sort_by(t, &@)",
                    "`sort_by` wants an expression that is a number for every element, or a string for every element",
                ),
            ],
        );
    }
}
