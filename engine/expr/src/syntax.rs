//! Why a text is no expression, told to a person: what was expected, and what other languages would have had there.

use super::{ParseError, functions};

/// The crate's message without the names of its tokens, and what was probably meant.
pub(super) fn error(text: &str, error: &jmespath::JmespathError) -> ParseError {
    let jmespath::ErrorReason::Parse(reason) = &error.reason else {
        return ParseError::new(error.offset, error.reason.to_string());
    };
    let (message, found) = reason.split_once(" -- found ").unwrap_or((reason, ""));
    let message = match message {
        "Unexpected nud token" => "a value was expected".to_owned(),
        "Unexpected led token" => "an operator was expected".to_owned(),
        "Did not parse the complete expression" => "the expression should end here".to_owned(),
        "Expected Field to start key value pair" => "a name was expected: `{name: value}` makes an object".to_owned(),
        "Expected ':' to follow key" => "`:` was expected: `{name: value}` makes an object".to_owned(),
        other if other.starts_with("Unclosed ") => {
            let quote = other.chars().nth("Unclosed ".len()).unwrap_or('\'');
            format!("{} is never closed", if quote == '`' { "the backtick".to_owned() } else { format!("`{quote}`") })
        }
        other if other.starts_with("'=' is not valid") => "no operator is called `=`".to_owned(),
        other if other.starts_with("Unable to parse literal JSON") => "between backticks stands JSON".to_owned(),
        other => other.replacen("Invalid character: ", "no expression holds the character ", 1),
    };
    let message = if found == "Eof" { format!("{message}, but the text ends") } else { message };
    if let Some(foreign) = foreign(text, error.offset) {
        let mut problem = ParseError::new(foreign.start, message).with_hint(foreign.hint);
        problem.fix = foreign.fix;
        return problem;
    }
    let problem = ParseError::new(error.offset, message);
    match unclosed(text).filter(|_| found == "Eof") {
        Some(open) => problem.with_hint(format!("`{open}` is not closed")),
        None => problem,
    }
}

/// What stands in a text as another language has it.
struct Foreign {
    start: usize,
    hint: String,
    fix: Option<(usize, String)>,
}

/// Words of other languages, and how it is written here.
const WORDS: &[(&str, &str, &str)] = &[
    ("and", "&&", "`and` is written `&&`"),
    ("or", "||", "`or` is written `||`"),
    ("is", "==", "equality is written `==`"),
    ("eq", "==", "equality is written `==`"),
    ("equals", "==", "equality is written `==`"),
    ("ne", "!=", "inequality is written `!=`"),
    ("in", "", "`x in list` is written contains(list, x)"),
    ("not", "", "`not` is written `!`, `x not in list` !contains(list, x)"),
    ("like", "", "there are no patterns; see contains, starts_with, ends_with"),
    ("matches", "", "there are no patterns; see contains, starts_with, ends_with"),
    ("between", "", "write `a >= x && a <= y`"),
    ("if", "", "a choice is written if(condition, then, otherwise)"),
    ("then", "", "a choice is written if(condition, then, otherwise)"),
    ("else", "", "a choice is written if(condition, then, otherwise)"),
];

/// What another language has at a byte where no expression goes on.
fn foreign(text: &str, offset: usize) -> Option<Foreign> {
    let rest = text.get(offset..)?;
    let before = text.get(..offset)?.trim_end();
    let told = |start: usize, hint: &str| Some(Foreign { start, hint: hint.to_owned(), fix: None });
    let instead = |start: usize, length: usize, write: &str, hint: &str| {
        Some(Foreign { start, hint: hint.to_owned(), fix: Some((length, write.to_owned())) })
    };
    // A sign that began in front of the byte: `===`, `<>`, `event['kind']`.
    if rest.starts_with('=') && before.ends_with("==") && text.get(..offset) == Some(before) {
        return instead(offset - 2, 3, "==", "equality is written `==`");
    }
    if rest.starts_with('=') && before.ends_with("!=") && text.get(..offset) == Some(before) {
        return instead(offset - 2, 3, "!=", "inequality is written `!=`");
    }
    if rest.starts_with('>') && before.ends_with('<') {
        return instead(before.len() - 1, offset + 2 - before.len(), "!=", "inequality is written `!=`");
    }
    if let Some(found) = subscript(rest, before) {
        return Some(found);
    }
    if let Some(front) = before.strip_suffix("not").filter(|front| !front.ends_with(is_letter)) {
        return instead(front.len(), offset - front.len(), "!", "`not` is written `!`");
    }
    let operand = before.ends_with(|c: char| is_letter(c) || matches!(c, ')' | ']' | '}' | '\'' | '"' | '`'));
    let number = rest.starts_with(|c: char| c.is_ascii_digit())
        || !operand && rest.starts_with('-') && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    if number {
        let length = rest.char_indices().skip(1).find(|(_, c)| !c.is_ascii_digit() && *c != '.');
        let digits = rest.get(..length.map_or(rest.len(), |(at, _)| at))?;
        return instead(offset, digits.len(), &format!("`{digits}`"), "numbers are written in backticks: `1`");
    }
    match rest.chars().next()? {
        '?' if rest.starts_with("?.") => instead(offset, 2, ".", "write `.`: a field of what is missing is null"),
        '?' if rest.starts_with("??") => {
            instead(offset, 2, "||", "`||` takes the right where the left is null or empty")
        }
        '?' => told(offset, "a choice is written if(condition, then, otherwise)"),
        '+' | '*' | '/' | '%' | '-' => {
            told(offset, "there is no arithmetic; sum([a, b]) adds, join('', [a, b]) joins texts")
        }
        '&' => instead(offset, 1, "&&", "`and` is written `&&`"),
        '=' if rest.starts_with("=~") => told(offset, "there are no patterns; see contains, starts_with, ends_with"),
        '=' => instead(offset, 1, "==", "equality is written `==`"),
        '`' => told(
            offset,
            "between backticks stands JSON: `5`, `true`, `\"text\"`; a text is simpler in single quotes: 'text'",
        ),
        '$' => told(offset, "names stand without `$`"),
        _ if text.trim_start().starts_with('{') && !text.contains(':') => {
            told(offset, "braces belong to templates; an expression stands without them")
        }
        _ => {
            let length = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
            let word = rest.get(..length)?.to_ascii_lowercase();
            let (_, write, hint) = WORDS.iter().find(|(known, ..)| *known == word)?;
            if write.is_empty() { told(offset, hint) } else { instead(offset, length, write, hint) }
        }
    }
}

/// `event['kind']`, of which `rest` begins at the quote.
fn subscript(rest: &str, before: &str) -> Option<Foreign> {
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let front = before.strip_suffix('[').filter(|front| !front.is_empty())?;
    let (name, behind) = rest.get(1..)?.split_once(quote)?;
    let closing = behind.find(']').filter(|at| behind.get(..*at).is_some_and(|between| between.trim().is_empty()))?;
    let plain = name.chars().all(is_letter) && !name.starts_with(|c: char| c.is_ascii_digit());
    let field = if plain { format!(".{name}") } else { format!(".\"{name}\"") };
    let length = before.len() - front.len() + quote.len_utf8() + name.len() + quote.len_utf8() + closing + 1;
    let hint = format!("a field is written behind a dot: `{}{field}`", last_path(front));
    Some(Foreign { start: front.len(), hint, fix: Some((length, field)) })
}

/// The path that a text ends with.
fn last_path(text: &str) -> &str {
    let start = text.rfind(|c| !(is_letter(c) || c == '.')).map_or(0, |at| at + 1);
    text.get(start..).unwrap_or(text)
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Functions of other languages, and what they are called here.
const FUNCTIONS: &[(&str, &str)] = &[
    ("len", "length"),
    ("size", "length"),
    ("count", "length"),
    ("lowercase", "lower"),
    ("to_lower", "lower"),
    ("uppercase", "upper"),
    ("to_upper", "upper"),
    ("strip", "trim"),
    ("concat", "join"),
    ("str", "to_string"),
    ("int", "to_number"),
    ("number", "to_number"),
    ("nvl", "coalesce"),
    ("ifnull", "coalesce"),
    ("isnull", "coalesce"),
    ("iif", "if"),
    ("case", "if"),
    ("includes", "contains"),
    ("has", "contains"),
    ("average", "avg"),
    ("mean", "avg"),
    ("array", "list"),
    ("parse", "parse_json"),
];

/// What to say where a function is called that is none.
pub(super) fn no_function(name: &str, offset: usize) -> ParseError {
    let error = ParseError::new(offset, format!("no function is called `{name}`"));
    let known = |name: &&str| functions::lookup(name).is_some();
    let elsewhere = FUNCTIONS.iter().find(|(word, _)| *word == name.to_ascii_lowercase()).map(|(_, here)| *here);
    match name {
        "not" => error.with_hint("`not` is written `!`").with_fix(name.len(), "!"),
        "and" | "or" => error.with_hint("`and` is written `a && b`, `or` `a || b`"),
        _ => match elsewhere.filter(known).or_else(|| functions::nearest(name)) {
            Some(meant) => error.with_hint(format!("did you mean `{meant}`?")).with_fix(name.len(), meant),
            None => error,
        },
    }
}

/// The innermost bracket that is not closed.
fn unclosed(text: &str) -> Option<char> {
    let (mut open, mut quote, mut escaped) = (Vec::new(), None, false);
    for c in text.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(quoted), _) if c == quoted => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => open.push(c),
            (None, ')' | ']' | '}') => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Expr;

    #[test]
    fn what_other_languages_have_is_told_in_ours() {
        for (text, offset, hint) in [
            ("a and b", 2, "`and` is written `&&`"),
            ("a OR b", 2, "`or` is written `||`"),
            ("not a", 0, "`not` is written `!`"),
            ("a && not b", 5, "`not` is written `!`"),
            ("a & b", 2, "`and` is written `&&`"),
            ("a = b", 2, "equality is written `==`"),
            ("a === b", 2, "equality is written `==`"),
            ("a <> b", 2, "inequality is written `!=`"),
            ("a in b", 2, "`x in list` is written contains(list, x)"),
            ("x || event['kind'] == 'a'", 10, "a field is written behind a dot: `event.kind`"),
            ("event?.kind", 5, "write `.`: a field of what is missing is null"),
            ("a - b", 2, "there is no arithmetic; sum([a, b]) adds, join('', [a, b]) joins texts"),
            ("len(a)", 0, "did you mean `length`?"),
            ("not(a)", 0, "`not` is written `!`"),
            ("a + b", 2, "there is no arithmetic; sum([a, b]) adds, join('', [a, b]) joins texts"),
            ("a ? b : c", 2, "a choice is written if(condition, then, otherwise)"),
            ("a == 5", 5, "numbers are written in backticks: `1`"),
            ("lower(a", 7, "`(` is not closed"),
            ("{event.id}", 6, "braces belong to templates; an expression stands without them"),
        ] {
            let error = Expr::parse(text).unwrap_err();
            assert_eq!((error.offset, error.hint.as_deref()), (offset, Some(hint)), "{text}: {error}");
        }
        for (text, mended) in [
            ("a and b", "a && b"),
            ("a OR b", "a || b"),
            ("not a", "!a"),
            ("a & b", "a && b"),
            ("a = b", "a == b"),
            ("a === b", "a == b"),
            ("a <> b", "a != b"),
            ("a < > b", "a != b"),
            ("event['kind'] == 'a'", "event.kind == 'a'"),
            ("event[\"order id\"]", "event.\"order id\""),
            ("a == 5", "a == `5`"),
            ("a > -1.5 && b", "a > `-1.5` && b"),
            ("a?.b", "a.b"),
            ("a ?? b", "a || b"),
            ("lenght(a)", "length(a)"),
            ("not(a)", "!(a)"),
        ] {
            let error = Expr::parse(text).unwrap_err();
            let (length, write) = error.fix.clone().unwrap_or_else(|| panic!("{text}: {error}"));
            let whole = format!("{}{write}{}", &text[..error.offset], &text[error.offset + length..]);
            assert_eq!(whole, mended, "{text}");
            Expr::parse(&whole).unwrap();
        }
        for (text, offset, message) in
            [("a == 'b", 5, "`'` is never closed"), ("a == `b", 5, "the backtick is never closed")]
        {
            let error = Expr::parse(text).unwrap_err();
            assert_eq!((error.offset, error.message.as_str()), (offset, message), "{text}: {error}");
        }
    }
}
