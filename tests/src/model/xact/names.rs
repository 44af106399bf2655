//! The attachments of an event: their ids, and where their files go.

use std::collections::BTreeMap;

use uuid::{Uuid, uuid};

use super::door::Event;
use crate::model::coerce::{self, last_segment};

/// The namespace of media ids.
const NAMESPACE: Uuid = uuid!("63b5635e-4ed0-53e3-9381-ab45f5a83235");

/// The longest name, in bytes.
const LONGEST: usize = 200;

/// The extensions that a file may have.
const ALLOWED: &str =
    " pdf xml txt csv json html htm xls xlsx doc docx esx jpg jpeg png gif bmp tiff tif webp mov mp4 ";

/// One attachment of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Derived from trace id and link.
    pub media: String,
    /// The link, as it came.
    pub url: String,
    /// Whether the link may be asked for.
    pub admitted: bool,
    /// Where the file goes, below the store.
    pub path: String,
    /// The extension in upper case, or `UNKNOWN`.
    pub file_type: String,
    /// The assignment of the event.
    pub assignment: String,
}

/// The attachments of an event in their order. One that is named again is the same; one that is not admitted takes no number.
pub fn tasks(event: &Event, admits: impl Fn(&str) -> bool) -> Vec<Task> {
    let Some(assignment) = coerce::text(&event.data["assignmentId"]).as_str().map(str::to_owned) else {
        return Vec::new();
    };
    let estimate = coerce::text(&event.data["estimateVersion"]);
    let estimate = estimate.as_str().map_or("unknown".to_owned(), |version| cleaned(version, 11));
    let short = cleaned(&assignment, 38);
    let prefix = match event.subtype.as_str() {
        "firstNoticeOfLossReceived" => format!("{short}_FNOL_"),
        "estimatePackageReceived" => format!("{short}_{estimate}_"),
        _ => format!("{short}_"),
    };
    let trace = if safe(&event.trace) == event.trace { &event.trace } else { &event.id };
    let folder = format!("{}/{}/{trace}", safe(&event.subtype), safe(&assignment));
    let mut tasks: Vec<Task> = Vec::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for url in event.links() {
        if tasks.iter().any(|task| task.url == url) {
            continue;
        }
        let (name, file_type) = name(url);
        let admitted = admits(url);
        let mut numbered = name.clone();
        if admitted {
            let count = taken.entry(name.to_lowercase()).or_default();
            *count += 1;
            if *count > 1 {
                let (stem, extension) = name
                    .rsplit_once('.')
                    .map_or((name.as_str(), String::new()), |(stem, extension)| (stem, format!(".{extension}")));
                numbered = format!("{stem}_{count}{extension}");
            }
        }
        tasks.push(Task {
            media: coerce::uuid5(NAMESPACE, &format!("{}:{url}", event.trace)),
            url: url.to_owned(),
            admitted,
            path: format!("{folder}/{prefix}{numbered}"),
            file_type,
            assignment: assignment.clone(),
        });
    }
    tasks
}

/// The name and the type of the file under a link, by the last segment of its path.
pub fn name(url: &str) -> (String, String) {
    let segment = last_segment(url);
    let segment = segment.as_str().unwrap_or("unknown");
    match segment.rsplit_once('.') {
        Some((stem, extension)) => (safe(&format!("{stem}.{}", extension.to_lowercase())), extension.to_uppercase()),
        None => (safe(segment), "UNKNOWN".to_owned()),
    }
}

/// Whether a file of this name may come in: by its extension, which may stand in the query where the path has none.
pub fn is_allowed(url: &str) -> bool {
    let extension = coerce::extension(url);
    extension.as_str().is_some_and(|extension| ALLOWED.contains(&format!(" {extension} ")))
}

/// A name without separators, control and reserved characters, not too long, and nothing that leads upwards.
pub fn safe(name: &str) -> String {
    cleaned(name, LONGEST)
}

/// The same of at most so many bytes.
fn cleaned(name: &str, most: usize) -> String {
    let reserved = |c: char| {
        c.is_control()
            || c == '\u{61c}'
            || r#"<>:"/\|?*"#.contains(c)
            || ('\u{200e}'..='\u{200f}').contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let clean: String = name.chars().map(|c| if reserved(c) { '_' } else { c }).collect();
    let clean = clean.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if clean.is_empty() {
        return "_".to_owned();
    }
    let stem = clean.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let device = ["con", "prn", "aux", "nul", "conin$", "conout$"].contains(&stem.as_str())
        || ["com", "lpt"].iter().any(|port| (0..10).any(|number| stem == format!("{port}{number}")));
    let clean = if device { format!("_{clean}") } else { clean.to_owned() };
    let clean = clean.as_str();
    if clean.len() <= most {
        return clean.to_owned();
    }
    let longest = (most / 2).min(20);
    let extension =
        clean.rfind('.').map(|dot| &clean[dot..]).filter(|extension| extension.len() <= longest).unwrap_or_default();
    let mut stem = clean;
    while stem.len() + extension.len() > most {
        let mut shorter = stem.chars();
        shorter.next_back();
        stem = shorter.as_str();
    }
    let cut = format!("{stem}{extension}");
    cut.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}
