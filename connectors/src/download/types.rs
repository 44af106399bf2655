//! What a file may be: by its extension before the download, by content type and first bytes after it has begun.
//!
//! The table is data: for each allowed extension the content types that may come with it. A content type that says nothing
//! (`application/octet-stream`, or none at all) leaves the decision to the first bytes: they must look like one of the types
//! of the extension. An extension none of whose types has a signature here passes with any bytes except those of a web page,
//! which is what comes when a link has gone bad.

use std::collections::BTreeMap;

use url::Url;

use crate::redact::brief;
use crate::{Error, Result};

/// So many first bytes are looked at.
pub(super) const HEAD: usize = 1024;

/// Names of query parameters that hold the name of the file when the path has no extension, in this order.
const NAME_PARAMETERS: &[&str] = &["filename", "file", "name"];

const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const SHEET: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// The extensions and their content types that are allowed unless a connection says otherwise.
const DEFAULT: &[(&str, &[&str])] = &[
    ("bmp", &["image/bmp", "image/x-ms-bmp"]),
    ("csv", &["text/csv", "application/csv", "text/plain"]),
    ("doc", &["application/msword"]),
    ("docx", &[WORD, "application/zip"]),
    ("gif", &["image/gif"]),
    ("htm", &["text/html"]),
    ("html", &["text/html"]),
    ("jpeg", &["image/jpeg", "image/jpg"]),
    ("jpg", &["image/jpeg", "image/jpg"]),
    ("json", &["application/json", "text/json"]),
    ("mov", &["video/quicktime"]),
    ("mp4", &["video/mp4"]),
    ("pdf", &["application/pdf"]),
    ("png", &["image/png"]),
    ("tif", &["image/tiff"]),
    ("tiff", &["image/tiff"]),
    ("txt", &["text/plain"]),
    ("webp", &["image/webp"]),
    ("xls", &["application/vnd.ms-excel"]),
    ("xlsx", &[SHEET, "application/zip"]),
    ("xml", &["application/xml", "text/xml"]),
];

/// The row of every extension that has none of its own, and of files without one: they may be anything.
pub const OTHERS: &str = "*";

/// Content types that say nothing.
const GENERIC: &[&str] = &["application/octet-stream", "binary/octet-stream"];

/// Which sniffed types go with a declared one. A declared type that is not here has no signature.
const SIGNATURES: &[(&str, &[&str])] = &[
    ("application/csv", &["text/plain"]),
    ("application/json", &["text/plain"]),
    ("application/msword", &["application/x-ole-storage", "application/rtf"]),
    ("application/pdf", &["application/pdf"]),
    ("application/rtf", &["application/rtf"]),
    (SHEET, &["application/zip"]),
    (WORD, &["application/zip"]),
    ("application/vnd.ms-excel", &["application/x-ole-storage"]),
    ("application/xml", &["application/xml"]),
    ("application/zip", &["application/zip"]),
    ("image/bmp", &["image/bmp"]),
    ("image/gif", &["image/gif"]),
    ("image/jpeg", &["image/jpeg"]),
    ("image/png", &["image/png"]),
    ("image/tiff", &["image/tiff"]),
    ("image/webp", &["image/webp"]),
    ("text/csv", &["text/plain"]),
    ("text/html", &["text/html", "text/plain"]),
    ("text/json", &["text/plain"]),
    ("text/plain", &["text/plain", "application/xml"]),
    ("text/xml", &["application/xml"]),
    ("video/mp4", &["video/mp4", "video/quicktime"]),
    ("video/quicktime", &["video/quicktime", "video/mp4"]),
];

/// First bytes, where they stand, and what they mean.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"{\\rtf", "application/rtf"),
];

/// The same for marks that a text may begin with too: they count in files that are no text.
const BINARY_MAGIC: &[(usize, &[u8], &str)] = &[
    (4, b"ftypqt  ", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (4, b"moov", "video/quicktime"),
    (4, b"mdat", "video/quicktime"),
    (4, b"wide", "video/quicktime"),
    (4, b"free", "video/quicktime"),
    (0, b"BM", "image/bmp"),
];

/// What files may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types {
    /// Content types by extension (lower case). An extension that is not here is refused, unless `*` is; an empty
    /// table allows all.
    pub allowed: BTreeMap<String, Vec<String>>,
    /// Content types that say nothing.
    pub generic: Vec<String>,
}

impl Default for Types {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Types {
            allowed: DEFAULT.iter().map(|(extension, types)| ((*extension).to_owned(), owned(types))).collect(),
            generic: owned(GENERIC),
        }
    }
}

impl Types {
    /// Everything is allowed.
    pub fn any() -> Self {
        Types { allowed: BTreeMap::new(), generic: Vec::new() }
    }

    /// The extension of the file that `url` names, if it is allowed.
    pub fn admit(&self, url: &Url) -> Result<Option<String>> {
        let extension = extension(url);
        match &extension {
            _ if self.open() => {}
            Some(extension) if self.allowed.contains_key(extension) => {}
            Some(extension) => {
                let message = format!("{}: files of type {:?} are not allowed", brief(url.as_str()), brief(extension));
                return Err(
                    Error::permanent(message).hint("add the extension to the connection's types if it is wanted")
                );
            }
            None => {
                let message = format!("{}: the file has no extension, so its type is not known", brief(url.as_str()));
                return Err(Error::permanent(message));
            }
        }
        Ok(extension)
    }

    /// Whether the content type settles the matter: false if the first bytes have to. `content_type` is as the header has it.
    pub fn check_content_type(&self, extension: Option<&str>, content_type: Option<&str>) -> Result<bool> {
        let Some((extension, types)) = self.row(extension) else { return Ok(self.open()) };
        let Some(content_type) = content_type else { return Ok(false) };
        let essence = essence(content_type);
        if essence.is_empty() || self.generic.contains(&essence) {
            return Ok(false);
        }
        if types.contains(&essence) {
            return Ok(true);
        }
        let message = format!("a file of type {extension:?} came as {:?}", brief(&essence));
        Err(Error::permanent(message)
            .hint("add the content type to the extension in the connection's types if it is right"))
    }

    /// Whether the first bytes look like a file of this extension.
    pub fn check_head(&self, extension: Option<&str>, head: &[u8]) -> Result<()> {
        let Some((extension, types)) = self.row(extension) else { return Ok(()) };
        let sniffed = sniff(head);
        let signatures: Vec<_> =
            types.iter().filter_map(|declared| SIGNATURES.iter().find(|(name, _)| name == declared)).collect();
        // One type that has a signature is enough to know what the file looks like; the others are its other names.
        let fits = match signatures.is_empty() {
            true => sniffed != Some("text/html"),
            false => sniffed.is_some_and(|sniffed| signatures.iter().any(|(_, accepted)| accepted.contains(&sniffed))),
        };
        if fits {
            return Ok(());
        }
        let looks = sniffed.unwrap_or("no known type");
        Err(Error::permanent(format!("a file of type {extension:?} without a content type begins like {looks}")))
    }

    /// Whether files that no row is about are let in.
    fn open(&self) -> bool {
        self.allowed.is_empty() || self.allowed.contains_key(OTHERS)
    }

    fn row<'a>(&'a self, extension: Option<&str>) -> Option<(&'a String, &'a Vec<String>)> {
        self.allowed.get_key_value(extension?)
    }
}

/// The extension of the file that `url` names, in lower case: after the last dot of the last segment of the path, else of a
/// query parameter that names a file.
fn extension(url: &Url) -> Option<String> {
    let after_dot = |name: &str| {
        let (_, extension) = name.rsplit_once('.')?;
        (!extension.is_empty()).then(|| extension.to_lowercase())
    };
    let segment = url.path().rsplit('/').next().unwrap_or_default();
    after_dot(segment).or_else(|| {
        NAME_PARAMETERS.iter().find_map(|parameter| {
            let named =
                |(name, value): (_, std::borrow::Cow<'_, str>)| (name == *parameter).then(|| after_dot(&value))?;
            url.query_pairs().find_map(named)
        })
    })
}

/// A content type without its parameters, in lower case.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What the first bytes of a file look like.
///
/// ```
/// use connectors::download::sniff;
///
/// assert_eq!(sniff(b"%PDF-1.7 ..."), Some("application/pdf"));
/// assert_eq!(sniff(b"\n<!DOCTYPE html><html>"), Some("text/html"));
/// assert_eq!(sniff(b"\x00\x01\x02"), None);
/// ```
pub fn sniff(head: &[u8]) -> Option<&'static str> {
    let head = head.get(..HEAD).unwrap_or(head);
    let magic = |(at, bytes, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes));
    if let Some((_, _, sniffed)) = MAGIC.iter().find(magic) {
        return Some(sniffed);
    }
    // Some writers put a few bytes in front of the mark.
    if head.windows(5).any(|window| window == b"%PDF-") {
        return Some("application/pdf");
    }
    let Some(text) = text(head) else {
        return BINARY_MAGIC.iter().find(magic).map(|(_, _, sniffed)| *sniffed);
    };
    let start = text.trim_start().to_ascii_lowercase();
    let is_page = ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| start.starts_with(tag));
    Some(match start.starts_with('<') {
        _ if is_page => "text/html",
        // A document type of XML may still be the one of a page.
        true if start.contains("<html") => "text/html",
        true => "application/xml",
        false => "text/plain",
    })
}

/// `head` as text, if that is what it is: no control characters but the usual ones, in any encoding that contains ASCII, or
/// UTF-16 with its mark.
fn text(head: &[u8]) -> Option<String> {
    if head.is_empty() {
        return None;
    }
    let wide = |bytes: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = head.chunks_exact(2).skip(1).filter_map(|pair| pair.try_into().ok()).map(bytes).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match head {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(head).into_owned(),
    };
    let is_binary = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1a' | '\x1b');
    (!text.contains(is_binary)).then_some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_comes_from_the_last_segment_or_the_query() {
        let cases = [
            ("https://h/a/b.PDF?filename=c.jpg", Some("pdf")),
            ("https://h/a.b/c?filename=photo.JPG", Some("jpg")),
            ("https://h/get/6f1c?filename=kitchen_01.jpg&sign=ab", Some("jpg")),
            ("https://h/get?name=a.png&file=b.gif", Some("gif")),
            ("https://h/get?filename=none&name=a%2Epng", Some("png")),
            ("https://h/a.", None),
            ("https://h/a", None),
            ("https://h.pdf/", None),
            ("https://h/?x=a.pdf", None),
        ];
        for (url, expected) in cases {
            assert_eq!(extension(&Url::parse(url).unwrap()).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn an_extension_must_be_in_the_table() {
        let admit = |types: &Types, url: &str| types.admit(&Url::parse(url).unwrap()).is_ok();
        assert!(admit(&Types::default(), "https://h/a.pdf"));
        assert!(!admit(&Types::default(), "https://h/a.exe"));
        assert!(!admit(&Types::default(), "https://h/a"));
        assert!(admit(&Types::any(), "https://h/a.exe"));
        assert!(admit(&Types::any(), "https://h/a"));
    }

    #[test]
    fn a_row_for_all_others_leaves_the_named_ones_strict() {
        let png = ("png".to_owned(), vec!["image/png".to_owned()]);
        let types = Types { allowed: [png, (OTHERS.to_owned(), Vec::new())].into(), ..Types::default() };
        for name in ["a.png", "a.tar.gz", "a"] {
            assert!(types.admit(&Url::parse(&format!("https://h/{name}")).unwrap()).is_ok(), "{name}");
        }
        assert!(types.check_content_type(Some("gz"), Some("text/html")).unwrap());
        assert!(types.check_content_type(None, None).unwrap());
        assert!(types.check_content_type(Some("png"), Some("text/html")).is_err());
        assert!(!types.check_content_type(Some("png"), None).unwrap(), "its bytes decide");
    }

    #[test]
    fn every_file_of_the_table_can_be_downloaded() {
        let heads: &[(&str, &[u8])] = &[
            ("bmp", b"BM\x36\x00\x00"),
            ("csv", b"a,b\n1,2\n"),
            ("doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0"),
            ("docx", b"PK\x03\x04\x14\0"),
            ("gif", b"GIF89a\x01"),
            ("htm", b"<html>"),
            ("html", b"<!doctype HTML>"),
            ("jpeg", b"\xff\xd8\xff\xe1"),
            ("jpg", b"\xff\xd8\xff\xe0"),
            ("json", b"{\"a\":1}"),
            ("mov", b"\0\0\0\x14ftypqt  "),
            ("mp4", b"\0\0\0\x18ftypmp42"),
            ("pdf", b"%PDF-1.4"),
            ("png", b"\x89PNG\r\n\x1a\n"),
            ("tif", b"II*\0\x08"),
            ("tiff", b"MM\0*\0"),
            ("txt", "über".as_bytes()),
            ("webp", b"RIFF\0\0\0\0WEBPVP8 "),
            ("xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0"),
            ("xlsx", b"PK\x03\x04\x14\0"),
            ("xml", b"\xef\xbb\xbf<?xml version=\"1.0\"?><a/>"),
        ];
        let types = Types::default();
        assert!(heads.iter().map(|(extension, _)| extension).eq(types.allowed.keys()));
        for (extension, head) in heads {
            for declared in &types.allowed[*extension] {
                assert!(types.check_content_type(Some(extension), Some(&format!("{declared}; charset=x"))).unwrap());
            }
            for unknown in [None, Some(""), Some("Binary/Octet-Stream")] {
                assert!(!types.check_content_type(Some(extension), unknown).unwrap());
            }
            types.check_head(Some(extension), head).unwrap();
            let garbage = types.check_head(Some(extension), b"\x7fELF\x02\x01\x01\0");
            assert!(garbage.is_err(), "{extension}");
        }
    }

    #[test]
    fn a_wrong_type_is_refused() {
        let types = Types::default();
        let cases = [
            ("pdf", "text/html"),
            ("jpg", "application/pdf"),
            ("jpg", "image/png"),
            ("csv", "application/x-msdownload"),
        ];
        for (extension, content_type) in cases {
            assert!(
                types.check_content_type(Some(extension), Some(content_type)).is_err(),
                "{extension} {content_type}"
            );
        }
        let page = b"<!DOCTYPE html><title>Sign in</title>";
        for extension in ["pdf", "jpg", "csv", "json", "xml", "txt", "mp4"] {
            assert!(types.check_head(Some(extension), page).is_err(), "{extension}");
        }
    }

    #[test]
    fn a_type_without_a_signature_passes_unless_it_is_a_page() {
        let allowed = [("dat".to_owned(), vec!["application/x-dat".to_owned()])].into();
        let types = Types { allowed, ..Types::default() };
        assert!(types.check_head(Some("dat"), b"\x00\x01").is_ok());
        assert!(types.check_head(Some("dat"), b"<html>").is_err());
    }

    #[test]
    fn text_is_told_from_bytes() {
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("<?xml?>".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let cases: &[(&[u8], Option<&str>)] = &[
            (&wide, Some("application/xml")),
            (b"caf\xe9;1", Some("text/plain")), // Latin-1
            (b"BMW,I'm free", Some("text/plain")),
            (b"a\0b", None),
            (b"", None),
            (b"  <?xml version='1.0'?><!DOCTYPE html><html>", Some("text/html")),
            (b"\x00\x00\x00\x01%PDF-1.2", Some("application/pdf")),
        ];
        for (head, expected) in cases {
            assert_eq!(sniff(head), *expected, "{head:?}");
        }
    }
}
