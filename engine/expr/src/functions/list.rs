//! Lists as answers of services hold them: sometimes wrapped, sometimes not, with holes and strangers in them.

use std::collections::{HashMap, HashSet};

use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait};

use super::super::value::{NULL, Value};
use super::super::{Env, Json, json};
use super::{Arguments, Fault, Form, Function, Run, argument, ids, take, text_argument};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::plain(
        "find(list, 'field', value)",
        3,
        find,
        "The first object whose field is the same id as the value; null if none.",
    ),
    Function::new(
        "list(answer, 'name', ...)",
        1,
        None,
        Form::Plain(Run::Json(list)),
        "The elements of a list that are not null; of an object, those of the first named member that is a list, else the object itself; else none.",
    ),
    Function::of_values("objects(list)", 1, objects, "The elements of a list that are objects; none if it is no list."),
    Function::of_values("first(list)", 1, first, "The first element that is not null."),
    Function::plain("unique(list)", 1, unique, "The elements without those that equal an earlier one."),
    Function::plain(
        "unique_names(list)",
        1,
        unique_names,
        "File names, made different in any case: one that was there before carries _2, _3 before its extension. What is no text stays as it is.",
    ),
    Function::new(
        "zip(list, ...)",
        2,
        None,
        Form::Plain(Run::Json(zip)),
        "For each place a list of the elements that stand there, as long as the first list; null where another is shorter.",
    ),
    Function::new("coalesce(value, ...)", 1, None, Form::Coalesce, "The first value that is not null."),
    Function::new(
        "if(condition, then, otherwise)",
        2,
        Some(3),
        Form::If,
        "One of two values; the other is not evaluated. Null without a third.",
    ),
];

fn find(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let (Some(field), value) = (text_argument(arguments, 1), argument(arguments, 2)) else {
        return Ok(Json::new_null());
    };
    let mut elements = json::elements(argument(arguments, 0)).iter();
    let found = elements.find(|element| element.get(field).is_some_and(|id| ids::same(id, value)));
    Ok(found.cloned().unwrap_or_default())
}

fn list(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let answer = argument(arguments, 0);
    let mut names = (1..arguments.len()).filter_map(|at| text_argument(arguments, at));
    let array = match answer.as_object() {
        Some(object) => match names.find_map(|name| object.get(&name).and_then(|member| member.as_array())) {
            Some(array) => array.as_slice(),
            None => return Ok(Json::from(vec![answer.clone()])),
        },
        None => json::elements(answer),
    };
    Ok(array.iter().filter(|element| !element.is_null()).cloned().collect())
}

fn objects<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let mut elements = take(arguments, 0).into_elements().unwrap_or_default();
    elements.retain(|element| element.kind() == JsonType::Object);
    Ok(Value::List(elements))
}

fn first<'v>(arguments: &mut [Value<'v>], _: &Env) -> Result<Value<'v>, Fault> {
    let elements = take(arguments, 0).into_elements().unwrap_or_default();
    Ok(elements.into_iter().find(|element| !element.is_null()).unwrap_or(NULL))
}

fn unique(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let Some(list) = argument(arguments, 0).as_array() else { return Ok(Json::new_null()) };
    let mut seen = HashSet::with_capacity(list.len());
    Ok(list.iter().filter(|element| seen.insert(json::to_text(element))).cloned().collect())
}

/// See `unique_names` in [`FUNCTIONS`]. A number that another name has already is passed over, so no two results are the same.
fn unique_names(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let Some(list) = argument(arguments, 0).as_array() else { return Ok(Json::new_null()) };
    let mut taken = HashSet::with_capacity(list.len());
    // Where the search for a free number goes on: a thousand equal names are a thousand steps, not a million.
    let mut next: HashMap<String, u64> = HashMap::new();
    let mut different = |name: &str| {
        let lower = name.to_lowercase();
        if taken.insert(lower.clone()) {
            return name.to_owned();
        }
        let (stem, extension) = name.split_at(name.rfind('.').unwrap_or(name.len()));
        let number = next.entry(lower).or_insert(2);
        loop {
            let numbered = format!("{stem}_{number}{extension}");
            *number += 1;
            if taken.insert(numbered.to_lowercase()) {
                return numbered;
            }
        }
    };
    Ok(list
        .iter()
        .map(|element| element.as_str().map_or_else(|| element.clone(), |n| json::text(&different(n))))
        .collect())
}

fn zip(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let Some(first) = argument(arguments, 0).as_array() else { return Ok(Json::new_null()) };
    let lists: Vec<&[Json]> = (0..arguments.len()).map(|at| json::elements(argument(arguments, at))).collect();
    let row = |at: usize| lists.iter().map(|list| list.get(at).cloned().unwrap_or_default()).collect::<Json>();
    Ok((0..first.len()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{check, eval_over};
    use super::*;

    #[test]
    fn lists_without_repetition() {
        check(
            r#"{"l":[1,"1",null,{"b":1,"a":2},1.5,{"a":2,"b":1},"1",null],"s":"x","n":["a.pdf","A.PDF","u","u","a.pdf",null,7,".pdf",".pdf","x.tar.gz","x.tar.gz"]}"#,
            &[
                ("unique(l)", r#"[1,"1",null,{"a":2,"b":1},1.5]"#),
                ("unique(s)", "null"),
                ("unique(`[]`)", "[]"),
                (
                    "unique_names(n)",
                    r#"["a.pdf","A_2.PDF","u","u_2","a_3.pdf",null,7,".pdf","_2.pdf","x.tar.gz","x.tar_2.gz"]"#,
                ),
                // A number that is a name already is nobody else's.
                ("unique_names(`[\"a\",\"a_2\",\"a\",\"a_2\",\"A\"]`)", r#"["a","a_2","a_3","a_2_2","A_4"]"#),
                ("unique_names(s)", "null"),
                ("zip(`[1,2,3]`, `[4,5]`, s)", "[[1,4,null],[2,5,null],[3,null,null]]"),
                ("zip(s, `[1]`)", "null"),
                ("zip(`[]`, `[1]`)", "[]"),
            ],
        );
    }

    proptest! {
        #[test]
        fn unique_names_differ_and_keep_their_places(names in prop::collection::vec("[aAb](_[23])?(\\.[xX])?", 0..12)) {
            let json = serde_json::to_string(&names).unwrap_or_default();
            let found: Vec<String> = serde_json::from_str(&eval_over(&json, "unique_names(@)")).unwrap_or_default();
            prop_assert_eq!(found.len(), names.len());
            let lower: HashSet<String> = found.iter().map(|name| name.to_lowercase()).collect();
            prop_assert_eq!(lower.len(), names.len(), "{:?}", found);
            let mut seen = HashSet::new();
            for (name, found) in names.iter().zip(&found) {
                // The first of a name keeps it, unless it is the number that an earlier one was given.
                let first = seen.insert(name.to_lowercase());
                prop_assert!(!first || name == found || found.contains('_'), "{} became {}", name, found);
            }
        }
    }

    #[test]
    fn lists() {
        check(
            r#"{"l":[null,1,{"id":7,"n":"a"},{"id":"8"},{"id":"7","n":"b"}],"w":{"data":[{"id":1},null],"x":2},"b":{"data":{}},"s":"x"}"#,
            &[
                ("find(l, 'id', '7').n", r#""a""#),
                ("find(l, 'id', `8.0`).id", r#""8""#),
                ("find(l, 'id', '9')", "null"),
                ("find(l, 'id', missing)", "null"),
                ("find(missing, 'id', '7')", "null"),
                ("find(s, 'id', '7')", "null"),
                ("find(w, 'id', '7')", "null"),
                ("list(w, 'items', 'data')", r#"[{"id":1}]"#),
                ("list(w.data)", r#"[{"id":1}]"#),
                ("list(w)", r#"[{"data":[{"id":1},null],"x":2}]"#),
                ("list(b, 'data')", r#"[{"data":{}}]"#),
                ("list(s, 'data')", "[]"),
                ("list(missing)", "[]"),
                ("length(objects(l))", "3"),
                ("objects(w)", "[]"),
                ("first(l)", "1"),
                ("first(`[]`)", "null"),
                ("first(s)", "null"),
                ("coalesce(missing, `false`, s)", "false"),
                ("coalesce(missing)", "null"),
                ("if(s, 'yes', length(s.x))", r#""yes""#),
                ("if(missing, 'yes')", "null"),
                ("if(`0`, 'yes', 'no')", r#""yes""#),
            ],
        );
    }
}
