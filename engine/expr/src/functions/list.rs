//! Lists as answers of services hold them: sometimes wrapped, sometimes not, with holes and strangers in them.

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use super::super::{Env, Json, json};
use super::{Arguments, Fault, Form, Function, argument, ids, text_argument};

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
        Form::Plain(list),
        "The elements of a list that are not null; of an object, those of the first named member that is a list, else the object itself; else none.",
    ),
    Function::plain("objects(list)", 1, objects, "The elements of a list that are objects; none if it is no list."),
    Function::plain("first(list)", 1, first, "The first element that is not null."),
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

fn objects(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    Ok(json::elements(argument(arguments, 0)).iter().filter(|element| element.is_object()).cloned().collect())
}

fn first(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let mut elements = json::elements(argument(arguments, 0)).iter();
    Ok(elements.find(|element| !element.is_null()).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

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
