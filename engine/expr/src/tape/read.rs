//! From text to marks.

use super::{Kind, Mark};
use crate::json::MAX_DEPTH;
use crate::number::is_json_number;
use crate::repeated::is_repeated;

/// The marks of `text` and the texts of its escaped strings.
pub(super) fn read(text: &str) -> Option<(Vec<Mark>, String)> {
    // Places are 32 bits wide.
    if text.len() >= u32::MAX as usize {
        return None;
    }
    let marks = Vec::with_capacity(text.len() / 12 + 8);
    let bytes = text.as_bytes();
    let mut reader = Reader { text, bytes, marks, decoded: String::new(), keys: Vec::new(), spoilt: 0 };
    let at = reader.blank(0);
    let at = reader.value(at, 0)?;
    let at = reader.blank(at);
    (at == text.len()).then_some((reader.marks, reader.decoded))
}

/// Each function reads from the place that it is given and returns the place behind what it has read.
struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    marks: Vec<Mark>,
    decoded: String,
    /// The keys of the object that is looked at for a repeated one.
    keys: Vec<&'t str>,
    /// How often something was seen that no canonical text has.
    spoilt: usize,
}

impl<'t> Reader<'t> {
    /// The byte at `at`; behind the end a zero, which no JSON has outside of strings.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Goes past blanks.
    #[inline(always)]
    fn blank(&mut self, at: usize) -> usize {
        if self.byte(at) > b' ' { at } else { self.blanks(at) }
    }

    #[inline(never)]
    fn blanks(&mut self, mut at: usize) -> usize {
        self.spoilt += 1;
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    #[inline(always)]
    fn push(&mut self, kind: Kind, start: usize, end: usize, canonical: bool) {
        let next = self.marks.len() as u32 + 1;
        self.marks.push(Mark { start: start as u32, end: end as u32, next, kind, canonical });
    }

    fn value(&mut self, at: usize, depth: usize) -> Option<usize> {
        match self.byte(at) {
            b'"' => self.string(at),
            b'{' if depth < MAX_DEPTH => self.object(at, depth),
            b'[' if depth < MAX_DEPTH => self.list(at, depth),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.word(at, b"true", Kind::True),
            b'f' => self.word(at, b"false", Kind::False),
            b'n' => self.word(at, b"null", Kind::Null),
            _ => None,
        }
    }

    fn word(&mut self, at: usize, word: &[u8], kind: Kind) -> Option<usize> {
        let end = at + word.len();
        (self.bytes.get(at..end)? == word).then(|| {
            self.push(kind, at, end, true);
            end
        })
    }

    fn number(&mut self, at: usize) -> Option<usize> {
        let mut end = at + 1;
        while self.byte(end).is_ascii_digit() {
            end += 1;
        }
        // Digits alone need no second look, unless there is a zero before them.
        let plain = matches!(self.byte(at), b'1'..=b'9') && !matches!(self.byte(end), b'.' | b'e' | b'E');
        if !plain {
            while matches!(self.byte(end), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
                end += 1;
            }
        }
        (plain || is_json_number(self.text.get(at..end)?)).then(|| {
            self.push(Kind::Number, at, end, true);
            end
        })
    }

    /// Reads a string, whose quote is at `at`.
    #[inline(always)]
    fn string(&mut self, at: usize) -> Option<usize> {
        let start = at + 1;
        let end = stop(self.bytes, start)?;
        if self.byte(end) != b'"' {
            return self.escaped(start, end);
        }
        self.push(Kind::Text, start, end, true);
        Some(end + 1)
    }

    /// Reads a string from its first escape at `at` on.
    #[cold]
    fn escaped(&mut self, start: usize, mut at: usize) -> Option<usize> {
        self.spoilt += 1;
        let place = self.decoded.len();
        let mut copied = start;
        loop {
            self.decoded.push_str(self.text.get(copied..at)?);
            match self.byte(at) {
                b'"' => break,
                b'\\' => {}
                _ => return None,
            }
            let (character, width) = self.escape(at)?;
            self.decoded.push(character);
            copied = at + width;
            at = stop(self.bytes, copied)?;
        }
        self.push(Kind::Escaped, place, self.decoded.len(), false);
        Some(at + 1)
    }

    /// The character that the escape at `at` stands for, and how long it is written.
    fn escape(&self, at: usize) -> Option<(char, usize)> {
        let character = match self.bytes.get(at + 1)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex(at + 2)?;
                if let Some(character) = char::from_u32(high) {
                    return Some((character, 6));
                }
                let low = (self.bytes.get(at + 6..at + 8)? == b"\\u").then(|| self.hex(at + 8)).flatten()?;
                if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
                    return None;
                }
                return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 12));
            }
            _ => return None,
        };
        Some((character, 2))
    }

    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    }

    fn list(&mut self, at: usize, depth: usize) -> Option<usize> {
        let (here, spoilt) = (self.marks.len(), self.spoilt);
        self.push(Kind::List, at, at, true);
        let mut at = self.blank(at + 1);
        if self.byte(at) != b']' {
            loop {
                at = self.value(at, depth + 1)?;
                at = self.blank(at);
                match self.byte(at) {
                    b',' => at = self.blank(at + 1),
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.close(here, at + 1, Kind::List, spoilt)
    }

    fn object(&mut self, at: usize, depth: usize) -> Option<usize> {
        let (here, spoilt) = (self.marks.len(), self.spoilt);
        self.push(Kind::Sorted, at, at, true);
        let mut at = self.blank(at + 1);
        let (mut sorted, mut last, mut last_head) = (true, "", 0);
        if self.byte(at) != b'}' {
            loop {
                if self.byte(at) != b'"' {
                    return None;
                }
                let end = self.string(at)?;
                let key = self.text.get(at + 1..end - 1)?;
                let head = self.head(at + 1, key.len());
                if sorted && here + 1 < self.marks.len() - 1 {
                    sorted = last_head < head || last_head == head && last < key;
                }
                (last, last_head) = (key, head);
                at = self.blank(end);
                if self.byte(at) != b':' {
                    return None;
                }
                at = self.blank(at + 1);
                at = self.value(at, depth + 1)?;
                at = self.blank(at);
                match self.byte(at) {
                    b',' => at = self.blank(at + 1),
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        if self.spoilt != spoilt || !sorted {
            // A key may be written with escapes.
            sorted &= self.plain_keys(here)?;
        }
        if !sorted {
            self.spoilt += 1;
            if is_repeated(&mut self.keys) {
                return None;
            }
        }
        self.close(here, at + 1, if sorted { Kind::Sorted } else { Kind::Unsorted }, spoilt)
    }

    /// The first eight bytes of the key at `at`, zeros behind its end: a smaller number is a smaller key.
    #[inline(always)]
    fn head(&self, at: usize, length: usize) -> u64 {
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) if length >= 8 => u64::from_be_bytes(*bytes),
            Some(bytes) if length > 0 => u64::from_be_bytes(*bytes) & u64::MAX << (64 - 8 * length),
            // At the end of the text: the keys themselves are compared.
            _ => 0,
        }
    }

    fn close(&mut self, here: usize, end: usize, kind: Kind, spoilt: usize) -> Option<usize> {
        let next = self.marks.len() as u32;
        let mark = self.marks.get_mut(here)?;
        *mark = Mark { start: mark.start, end: end as u32, next, kind, canonical: self.spoilt == spoilt };
        Some(end)
    }

    /// Collects the keys of the object of the mark `here`; nothing if one is written with escapes.
    fn plain_keys(&mut self, here: usize) -> Option<bool> {
        self.keys.clear();
        let mut at = here + 1;
        while let Some(key) = self.marks.get(at) {
            if key.kind != Kind::Text {
                return None;
            }
            self.keys.push(self.text.get(key.start as usize..key.end as usize)?);
            at = self.marks.get(at + 1)?.next as usize;
        }
        Some(true)
    }
}

/// Where the first byte is from `at` on that ends the plain part of a string: a quote, a backslash, or a control character.
#[inline(always)]
fn stop(bytes: &[u8], mut at: usize) -> Option<usize> {
    let ends = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        // One comparison for all sixteen: a loop without branches is compiled to vector instructions.
        let mut found = [0u8; 16];
        for (found, byte) in found.iter_mut().zip(chunk) {
            *found = if ends(*byte) { 0xff } else { 0 };
        }
        let found = u128::from_le_bytes(found);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 16;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| ends(*byte)).map(|found| at + found)
}
