//! The files of the repository, and what of a Rust file is code.

use std::path::{Path, PathBuf};

/// A file of the repository.
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text files below `folders` whose names end in one of `extensions`; in the order of their paths.
pub fn files(folders: &[&str], extensions: &[&str]) -> Vec<File> {
    fn walk(root: &Path, at: &Path, extensions: &[&str], into: &mut Vec<File>) {
        let mut entries: Vec<PathBuf> = at.read_dir().unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // What a build or a run leaves, and what begins with a dot, is not ours.
                if !name.starts_with('.') && !["target", "data"].contains(&name.as_str()) {
                    walk(root, &path, extensions, into);
                }
            } else if extensions.iter().any(|e| name.ends_with(e)) {
                let path_text = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                into.push(File { path: path_text, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    for folder in folders {
        walk(&root, &root.join(folder), extensions, &mut found);
    }
    assert!(!found.is_empty(), "no file ends in {extensions:?} below {folders:?}");
    found
}

/// The Rust files that a program is made of.
pub fn production() -> Vec<File> {
    let test = |path: &str| {
        ["/tests/", "/conformance/", "/compliance"].iter().any(|part| path.contains(part))
            || path.ends_with("/tests.rs")
            || path.ends_with("/fake_server.rs")
    };
    files(&["engine/src", "engine/expr/src", "connectors/src"], &[".rs"])
        .into_iter()
        .filter(|f| !test(&f.path))
        .collect()
}

impl File {
    /// The code before the test module; comments and texts are blank, lines stay where they are.
    pub fn code(&self) -> String {
        let code = code(&self.text);
        let tests = code.match_indices("#[cfg(test)]").find(|(at, _)| {
            let rest = code[*at..].lines().skip(1).find(|line| !line.trim_start().starts_with("#["));
            rest.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        });
        tests.map_or(code.clone(), |(at, _)| code[..at].to_owned())
    }
}

/// `text` with everything in comments and literals replaced by blanks; line ends stay.
pub fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = match rest[0] {
            b'/' if rest.starts_with(b"//") => find(rest, b"\n", 2),
            b'/' if rest.starts_with(b"/*") => find(rest, b"*/", 2) + 2,
            b'r' if is_raw(rest) && !preceded_by_word(bytes, at) => {
                let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
                let close = [b"\"".as_slice(), &rest[1..1 + hashes]].concat();
                find(rest, &close, 2 + hashes) + close.len()
            }
            b'"' => quoted(rest, b'"'),
            // A character, not a lifetime: it ends within a few bytes, or begins with a backslash.
            b'\'' if rest.get(1) == Some(&b'\\') || rest.iter().skip(2).take(4).next().is_some_and(|b| *b == b'\'') => {
                quoted(rest, b'\'')
            }
            b'\'' if rest.get(1).is_some_and(|b| *b >= 0x80) => find(rest, b"'", 1) + 1,
            _ => {
                at += 1;
                continue;
            }
        };
        let end = (at + end).min(bytes.len());
        out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8(out).unwrap()
}

fn is_raw(rest: &[u8]) -> bool {
    rest[1..].iter().find(|b| **b != b'#') == Some(&b'"')
}

fn preceded_by_word(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric() || bytes[before] == b'_')
        && !(bytes[at - 1] == b'b' && at.checked_sub(2).is_none_or(|b| !bytes[b].is_ascii_alphanumeric()))
}

fn find(rest: &[u8], what: &[u8], from: usize) -> usize {
    (from..rest.len()).find(|at| rest[*at..].starts_with(what)).unwrap_or(rest.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The byte behind the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let bytes = code.as_bytes();
    let (opens, closes) = match bytes[open] {
        b'(' => (b'(', b')'),
        _ => (b'{', b'}'),
    };
    let mut depth = 0;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        depth += i32::from(*byte == opens) - i32::from(*byte == closes);
        if depth == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// Whether `word` stands in `text` with nothing of a name around it.
pub fn has_word(text: &str, word: &str) -> bool {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(name) && !text[at + word.len()..].chars().next().is_some_and(name)
    })
}

#[test]
fn code_is_what_is_left_without_comments_and_literals() {
    let text = "let a = \"x // \\\" y\"; // b\nlet c = 'd'; let e: &'f str = r#\"g\"h\"#; /* i\n */ let j = b'\\''; let k = 'ä';\n";
    let found = code(text);
    assert_eq!(found.lines().count(), text.lines().count());
    let words: Vec<&str> = found.split_whitespace().collect();
    let expected = "let a = ; let c = ; let e: &'f str = ; let j = b ; let k = ;";
    assert_eq!(words.join(" "), expected);
    assert_eq!(closing("f(a(b), c) + 1", 1), 10);
    assert!(has_word("a HashSet<b>", "HashSet") && !has_word("MyHashSet", "HashSet"));
}
