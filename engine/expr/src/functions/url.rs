//! Urls as texts. They are cut, not parsed: a link that a strict parser refuses still has a name and an extension.

use percent_encoding::percent_decode_str;

use super::super::time::{SECOND, format_timestamp, in_range, parse_compact};
use super::super::{Env, Json};
use super::{Arguments, Fault, Form, Function, Run, text_argument, text_or_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::plain("basename(url)", 1, |a, _| Ok(text_or_null(text_argument(a, 0).and_then(basename))), "The last segment of the path of a url, or of a path, as it is written; null if empty."),
    Function::new(
        "extension(url, 'parameter', ...)",
        1,
        None,
        Form::Plain(Run::Json(extension)),
        "What stands behind the last dot of the last segment, in lower case; without a dot there, that of the first named query parameter that has one.",
    ),
    Function::plain("query_param(url, 'name')", 2, query_param, "The decoded value of a query parameter, its name in any case; null if missing."),
    Function::plain(
        "presigned_expiry(url, 'signed', 'lifetime', 'ms' | 'amz')",
        4,
        presigned_expiry,
        "When a signed url expires: 'ms' for milliseconds since 1970 and milliseconds, 'amz' for 20260110T120000Z and seconds; null if a parameter is missing or bad.",
    )
    .literal(&[1, 2, 3]),
    Function::plain(
        "refused('connection', url)",
        2,
        refused,
        "Why the connection would not ask a url; null if it would. Nobody is asked.",
    )
    .literal(&[0]),
];

/// The path and the query of a url; of a text without `://` all is path.
fn path_and_query(url: &str) -> (&str, &str) {
    let Some((_, rest)) = url.split_once("://") else { return (url, "") };
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    (rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default(), query)
}

fn basename(url: &str) -> Option<&str> {
    path_and_query(url).0.rsplit('/').next().filter(|name| !name.is_empty())
}

fn extension_of(name: &str) -> Option<String> {
    let (_, extension) = name.rsplit_once('.')?;
    (!extension.is_empty()).then(|| extension.to_lowercase())
}

/// The decoded value of the first parameter of that name, in any case.
fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = path_and_query(url);
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode(key).eq_ignore_ascii_case(name).then(|| decode(value))
    })
}

fn extension(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let Some(url) = text_argument(arguments, 0) else { return Ok(Json::new_null()) };
    let names = (1..arguments.len()).filter_map(|at| text_argument(arguments, at));
    let found = basename(url).and_then(extension_of);
    let found = found.or_else(|| names.filter_map(|name| parameter(url, name)).find_map(|value| extension_of(&value)));
    Ok(text_or_null(found))
}

fn query_param(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let (Some(url), Some(name)) = (text_argument(arguments, 0), text_argument(arguments, 1)) else {
        return Ok(Json::new_null());
    };
    Ok(text_or_null(parameter(url, name)))
}

fn refused(arguments: Arguments<'_, '_>, env: &Env) -> Result<Json, Fault> {
    let Some(refused) = &env.refused else {
        return Err(Fault("`refused` cannot be asked here: there are no connections in sight".to_owned()));
    };
    let (connection, url) = (text_argument(arguments, 0).unwrap_or_default(), text_argument(arguments, 1));
    Ok(text_or_null(url.and_then(|url| refused(connection, url))))
}

fn presigned_expiry(arguments: Arguments<'_, '_>, _: &Env) -> Result<Json, Fault> {
    let text = |at| text_argument(arguments, at).unwrap_or_default();
    let number = |text: String| text.parse::<i64>().ok().filter(|number| *number >= 0);
    let micros_each = match text(3) {
        "ms" => SECOND / 1000,
        "amz" => SECOND,
        _ => return Err(Fault("the unit of `presigned_expiry` is 'ms' or 'amz'".to_owned())),
    };
    let expiry = parameter(text(0), text(1)).zip(parameter(text(0), text(2))).and_then(|(signed, lifetime)| {
        let signed = if text(3) == "ms" { number(signed)?.checked_mul(micros_each)? } else { parse_compact(&signed)? };
        signed.checked_add(number(lifetime)?.checked_mul(micros_each)?).filter(|expiry| in_range(*expiry))
    });
    Ok(text_or_null(expiry.map(format_timestamp)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn names_and_extensions() {
        check(
            r#"{"n":1}"#,
            &[
                ("basename('https://h/a/file.PDF?x=1/2#f/g')", r#""file.PDF""#),
                ("basename('https://h/a%2Fb.pdf')", r#""a%2Fb.pdf""#),
                ("basename('https://h/dir/')", "null"),
                ("basename('https://h.com')", "null"),
                ("basename('https://h.com?a=/b')", "null"),
                ("basename('dir/a#b.txt')", r#""a#b.txt""#),
                ("basename(n)", "null"),
                ("extension('https://h/a/file.PDF?x=1.zip')", r#""pdf""#),
                ("extension('https://h/x.tar.gz')", r#""gz""#),
                ("extension('https://h/.pdf')", r#""pdf""#),
                ("extension('https://h/v1.2/get?FileName=d%2EJpg&name=e.png', 'filename', 'name')", r#""jpg""#),
                ("extension('https://h/get?filename=d&name=e.png', 'filename', 'name')", r#""png""#),
                ("extension('https://h.com/get?filename=d.pdf')", "null"),
                ("extension('https://h.com')", "null"),
                ("query_param('https://h/?A=1&b=x%20y+z&b=2&c', 'B')", r#""x y z""#),
                ("query_param('https://h/?A=1&c', 'c')", r#""""#),
                ("query_param('https://h/?A=1', 'd')", "null"),
            ],
        );
    }

    #[test]
    fn refused_urls() {
        check(
            r#"{"l":["https://h/a","http://h/b",7]}"#,
            &[
                ("map(&refused('web', @), l)", r#"[null,"no",null]"#),
                ("l[?type(@) == 'string'] | [?!refused('web', @)]", r#"["https://h/a"]"#),
            ],
        );
    }

    #[test]
    fn expiry_of_signed_urls() {
        check(
            "null",
            &[
                (
                    "presigned_expiry('https://h/f?X-Amz-Date=20260110T120000Z&X-Amz-Expires=604800', 'x-amz-date', 'x-amz-expires', 'amz')",
                    r#""2026-01-17T12:00:00+00:00""#,
                ),
                (
                    "presigned_expiry('https://h/f?systemDate=1768046400500&expires=1000', 'systemdate', 'expires', 'ms')",
                    r#""2026-01-10T12:00:01.500000+00:00""#,
                ),
                ("presigned_expiry('https://h/f?expires=1000', 'systemdate', 'expires', 'ms')", "null"),
                ("presigned_expiry('https://h/f?systemDate=x&expires=1000', 'systemdate', 'expires', 'ms')", "null"),
                ("presigned_expiry('https://h/f?systemDate=1&expires=-1', 'systemdate', 'expires', 'ms')", "null"),
                ("presigned_expiry('https://h/f?a=9223372036854775807&b=1', 'a', 'b', 'ms')", "null"),
                (
                    "presigned_expiry('https://h/f?a=1&b=1', 'a', 'b', 's')",
                    "the unit of `presigned_expiry` is 'ms' or 'amz'",
                ),
            ],
        );
    }
}
