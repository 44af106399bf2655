//! Why a text is no expression, told to a person: what was expected, and what other languages would have had there.

use super::ParseError;

/// The crate's message without the names of its tokens, and what was probably meant.
pub(super) fn error(text: &str, error: &jmespath::JmespathError) -> ParseError {
    let jmespath::ErrorReason::Parse(reason) = &error.reason else {
        return ParseError::new(error.offset, error.reason.to_string());
    };
    let (message, found) = reason.split_once(" -- found ").unwrap_or((reason, ""));
    let rest = text.get(error.offset..).unwrap_or_default();
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
        other if other.starts_with("Unable to parse literal JSON") => "between backticks stands JSON".to_owned(),
        other => other.replacen("Invalid character: ", "no expression holds the character ", 1),
    };
    let mut error =
        ParseError::new(error.offset, if found == "Eof" { format!("{message}, but the text ends") } else { message });
    let before = text.get(..error.offset).unwrap_or_default().trim_end();
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let hint = match rest.chars().next() {
        Some('0'..='9' | '-') => Some("numbers are written in backticks: `1`"),
        Some('?') => Some("a choice is written if(condition, then, otherwise)"),
        Some('+' | '*' | '/' | '%') => Some("there is no arithmetic; sum([a, b]) adds, join('', [a, b]) joins texts"),
        Some('=') if rest.starts_with("=~") => Some("there are no patterns; see contains, starts_with, ends_with"),
        Some('`') => {
            Some("between backticks stands JSON: `5`, `true`, `\"text\"`; a text is simpler in single quotes: 'text'")
        }
        _ if word == "and" => Some("`and` is written `&&`"),
        _ if word == "or" => Some("`or` is written `||`"),
        _ if word == "is" || word == "eq" => Some("equality is written `==`"),
        _ if before == "not" => Some("`not` is written `!`"),
        _ if text.trim_start().starts_with('{') && !text.contains(':') => {
            Some("braces belong to templates; an expression stands without them")
        }
        _ => None,
    };
    match hint {
        Some(hint) => error = error.with_hint(hint),
        None if found == "Eof" => {
            if let Some(open) = unclosed(text) {
                error = error.with_hint(format!("`{open}` is not closed"));
            }
        }
        None => {}
    }
    error
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
            ("not a", 4, "`not` is written `!`"),
            ("a + b", 2, "there is no arithmetic; sum([a, b]) adds, join('', [a, b]) joins texts"),
            ("a ? b : c", 2, "a choice is written if(condition, then, otherwise)"),
            ("a == 5", 5, "numbers are written in backticks: `1`"),
            ("lower(a", 7, "`(` is not closed"),
            ("{event.id}", 6, "braces belong to templates; an expression stands without them"),
        ] {
            let error = Expr::parse(text).unwrap_err();
            assert_eq!((error.offset, error.hint.as_deref()), (offset, Some(hint)), "{text}: {error}");
        }
        for (text, offset, message) in
            [("a == 'b", 5, "`'` is never closed"), ("a == `b", 5, "the backtick is never closed")]
        {
            let error = Expr::parse(text).unwrap_err();
            assert_eq!((error.offset, error.message.as_str()), (offset, message), "{text}: {error}");
        }
    }
}
