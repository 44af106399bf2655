//! From a part of a value back to the file: quotes, escapes, indents and folds lie between the two.

/// Where the part of `text` that begins at `offset` and is `length` bytes long stands in `raw`, which is the scalar as the file
/// has it. None where the two do not agree.
///
/// Blanks are not compared, because folding changes them. What begins at the end of the text stands behind its last
/// character.
pub fn within(raw: &str, text: &str, offset: usize, length: usize) -> Option<(usize, usize)> {
    let mut written = Written::new(raw);
    let mut last = 0;
    let mut start = None;
    for (at, c) in text.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        if let Some(start) = start
            && at >= offset + length
        {
            return Some((start, last));
        }
        let (from, to, found) = written.next()?;
        if found != c {
            return None;
        }
        if start.is_none() && at >= offset {
            start = Some(from);
        }
        last = to;
    }
    let start = start.unwrap_or(last);
    Some((start, last.max(start)))
}

/// Where an offset in `text` stands in `written`, the same text before variables were put into it. None: in a variable.
pub fn outside(text: &str, written: &str, offset: usize) -> Option<usize> {
    let before = written.find("${")?;
    let behind = written.len() - written.rfind('}').map_or(written.len(), |at| at + 1);
    if offset < before {
        return Some(offset);
    }
    let from_end = text.len().checked_sub(offset)?;
    (from_end <= behind).then(|| written.len() - from_end)
}

/// The characters of a scalar as it is written, without blanks: where each begins and ends, and what it is.
struct Written<'r> {
    raw: &'r str,
    at: usize,
    quote: Option<char>,
}

impl<'r> Written<'r> {
    fn new(raw: &'r str) -> Self {
        match raw.chars().next() {
            Some(quote @ ('"' | '\'')) => Written { raw, at: 1, quote: Some(quote) },
            // The header of a block: `|`, `>-`.
            Some('|' | '>') => Written { raw, at: raw.find('\n').unwrap_or(raw.len()), quote: None },
            _ => Written { raw, at: 0, quote: None },
        }
    }

    /// The character that an escape stands for, and the bytes behind the backslash that it takes.
    fn escape(rest: &str) -> Option<(Option<char>, usize)> {
        let first = rest.chars().next()?;
        let digits = match first {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'n' | 't' | 'r' | ' ' | '\n' | '\r' | '\t' | 'N' | '_' | 'L' | 'P' | 'v' | 'f' => {
                return Some((None, first.len_utf8()));
            }
            '0' => return Some((Some('\0'), 1)),
            'a' => return Some((Some('\u{7}'), 1)),
            'b' => return Some((Some('\u{8}'), 1)),
            'e' => return Some((Some('\u{1b}'), 1)),
            other => return Some((Some(other), other.len_utf8())),
        };
        let code = u32::from_str_radix(rest.get(1..1 + digits)?, 16).ok()?;
        Some((char::from_u32(code).filter(|c| !c.is_whitespace()), 1 + digits))
    }
}

impl Iterator for Written<'_> {
    type Item = (usize, usize, char);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let from = self.at;
            let rest = self.raw.get(from..)?;
            let c = rest.chars().next()?;
            self.at += c.len_utf8();
            match (self.quote, c) {
                _ if c.is_whitespace() => {}
                (Some('"'), '\\') => {
                    let (found, length) = Self::escape(rest.get(1..)?)?;
                    self.at += length;
                    if let Some(found) = found {
                        return Some((from, self.at, found));
                    }
                }
                (Some('\''), '\'') => {
                    self.at += 1;
                    return rest.starts_with("''").then_some((from, self.at, '\''));
                }
                (Some('"'), '"') => return None,
                _ => return Some((from, self.at, c)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_a_variable_has_no_place_and_the_rest_has() {
        // `x + ${A} + y` with A = 123.
        let (text, written) = ("x + 123 + y", "x + ${A} + y");
        for (offset, found) in [(0, Some(0)), (2, Some(2)), (4, None), (6, None), (8, Some(9)), (10, Some(11))] {
            assert_eq!(outside(text, written, offset), found, "{offset}");
        }
    }

    #[test]
    fn the_end_is_behind_the_last_character() {
        assert_eq!(within("'ab '", "ab ", 3, 1), Some((3, 3)));
        assert_eq!(within("ab", "ab", 1, 1), Some((1, 2)));
        assert_eq!(within("xy", "ab", 1, 1), None);
    }
}
