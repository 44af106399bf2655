//! Files as they come: what cannot be read, and where a text stops being one.

use std::io::ErrorKind;
use std::path::Path;

use super::diagnostic::{Diagnostic, Diagnostics, code, nearest};
use super::source::{Source, Span};

/// The text of a file, without its byte order mark.
pub fn read(path: &Path) -> Result<Source, Diagnostics> {
    let name = path.display().to_string();
    let failed = |source: Source, span: Span, what: String| {
        let problem = Diagnostic::new(code::FILE, &source, span, what);
        Diagnostics::new(vec![problem], vec![source])
    };
    let nothing = || Source::new(name.clone(), "");
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let why = match error.kind() {
                ErrorKind::NotFound => "there is no such file".to_owned(),
                ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
                _ if path.is_dir() => "it is a folder; name a file in it".to_owned(),
                _ => error.to_string(),
            };
            let mut problems = failed(nothing(), Span::at(0), format!("cannot read {name}: {why}"));
            if error.kind() == ErrorKind::NotFound
                && let (Some(near), Some(problem)) = (neighbour(path), problems.items.first_mut())
            {
                problem.help = Some(format!("did you mean `{near}`?"));
            }
            return Err(problems);
        }
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let what = format!("cannot read {name}: it is UTF-16, and a topology is UTF-8");
        return Err(failed(nothing(), Span::at(0), what));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(at).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let what = format!("cannot read {name}: the byte 0x{byte:02x} is not UTF-8 text");
            // A byte order mark in front is three bytes of both.
            Err(failed(Source::new(name, text), Span { start: at, end: at + 3 }, what))
        }
    }
}

/// The path of a file beside `path` with a name near to it.
fn neighbour(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> =
        std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}
