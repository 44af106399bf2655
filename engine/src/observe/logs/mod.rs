//! Logs: a line for each event that matters, to standard error and into a file for each flow.
//!
//! A line says when, how grave, by which module, what, in which topology and flow, and the event's own fields. It is one JSON
//! object, or, for people, text. Secrets are cut out of everything that a line says. Lines of one flow also go to its own file
//! below a folder, one file a day (`files`); what belongs to no flow goes to `engine.log` there.
//!
//! Levels: `error`, a flow cannot go on; `warn`, somebody should look; `info`, what an operator wants to know afterwards;
//! `debug`, for whoever searches. No line for each row or message above `debug`.

mod files;
mod line;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::topology::nearest;
use files::Files;
use line::Lines;

/// The levels, as they may be spelled.
const LEVELS: &[(&str, &str)] = &[
    ("error", "error"),
    ("warn", "warn"),
    ("warning", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
    ("off", "off"),
];

/// The libraries below say what we say better, or what is no news.
const QUIET: &[&str] =
    &["deltalake_core=warn", "buoyant_kernel=warn", "delta_kernel=warn", "datafusion=warn", "hyper=warn"];

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One JSON object a line.
    Json,
    /// Text, with colours or without.
    Text {
        /// Whether levels are coloured.
        colours: bool,
    },
}

impl Style {
    /// What standard error gets: what `JSON_LOGS` says, else text on a terminal and JSON elsewhere. A person reads a
    /// terminal; what is no terminal is read by a program sooner or later.
    pub fn of_stderr(json_logs: Option<&str>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        match json_logs.map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1") => Style::Json,
            Some("false" | "0") => Style::Text { colours: terminal },
            _ if terminal => Style::Text { colours: true },
            _ => Style::Json,
        }
    }

    /// What files get: the same, without colours; but text only where it was asked for.
    fn of_files(json_logs: Option<&str>) -> Self {
        match json_logs.map(str::to_ascii_lowercase).as_deref() {
            Some("false" | "0") => Style::Text { colours: false },
            _ => Style::Json,
        }
    }
}

/// Where logs go, and how many.
#[derive(Clone, Debug)]
pub struct Options {
    /// A level, or a filter such as `engine=debug,warn`.
    pub level: String,
    /// The variable `JSON_LOGS`.
    pub json_logs: Option<String>,
    /// The folder of the files; none: no files.
    pub folder: Option<PathBuf>,
}

/// Keeps the files open. What was logged is written when this is dropped.
pub struct Logging(Option<Arc<Files>>);

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(files) = &self.0 {
            files.close();
        }
    }
}

/// Begins logging, once in a process. Returns why not: a level that nobody knows, a folder that cannot be written.
pub fn begin(options: &Options) -> Result<Logging, String> {
    let filter = filter(&options.level)?;
    let json = options.json_logs.as_deref();
    let files = match &options.folder {
        Some(folder) => Some(Arc::new(Files::open(folder)?)),
        None => None,
    };
    let lines =
        Lines { stderr: Style::of_stderr(json), files: files.clone().map(|files| (Style::of_files(json), files)) };
    let begun = tracing_subscriber::registry().with(filter).with(lines).try_init();
    begun.map_err(|e| format!("no logs: {e}"))?;
    Ok(Logging(files))
}

/// The filter that a level, or a list of targets and levels, means.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let mut directives = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (target, level) = part.rsplit_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let known = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(level)).map(|(_, level)| *level);
        let Some(level) = known else {
            let near = nearest(level, LEVELS.iter().map(|(name, _)| *name));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!(
                "--log-level: `{level}` is no level; there are error, warn (or warning), info, debug, trace and off{hint}"
            ));
        };
        directives.push(target.map_or_else(|| level.to_owned(), |target| format!("{target}={level}")));
    }
    // A level of its own for one target does not silence the others.
    if !directives.iter().any(|d| !d.contains('=')) {
        directives.insert(0, "info".to_owned());
    }
    let quiet = QUIET.iter().filter(|q| {
        let target = q.split('=').next().unwrap_or_default();
        !directives.iter().any(|d| d.split('=').next() == Some(target))
    });
    let all: Vec<String> = directives.iter().cloned().chain(quiet.map(|q| (*q).to_owned())).collect();
    EnvFilter::try_new(all.join(",")).map_err(|e| format!("--log-level: {e}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_known_in_any_case() {
        for (text, expected) in [
            ("INFO", "info"),
            ("Warning", "warn"),
            ("error", "error"),
            ("engine=DEBUG", "engine=debug,info"),
            ("engine=debug,WARN", "engine=debug,warn"),
        ] {
            let shown = filter(text).unwrap().to_string();
            let held = |directive: &str| shown.split(',').any(|d| d == directive);
            assert!(expected.split(',').all(held), "{text}: {shown}");
            assert!(held("datafusion=warn"), "{text}: {shown}");
        }
        assert!(filter("hyper=debug").unwrap().to_string().contains("hyper=debug"), "what is asked for wins");
        for text in ["inof", "engine=verbose", "chatty"] {
            assert!(filter(text).unwrap_err().contains("is no level"), "{text}");
        }
        assert!(filter("wran").unwrap_err().contains("did you mean `warn`"));
    }

    #[test]
    fn what_json_logs_says_is_done() {
        assert_eq!(Style::of_stderr(Some("TRUE")), Style::Json);
        assert!(matches!(Style::of_stderr(Some("false")), Style::Text { .. }));
        assert_eq!(Style::of_files(None), Style::Json);
        assert_eq!(Style::of_files(Some("0")), Style::Text { colours: false });
    }
}
