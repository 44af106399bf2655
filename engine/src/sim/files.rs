//! Files and links to them. The bytes of a file are a function of the seed and of its address without the signature; a link
//! is good from the instant it is signed for as long as it says, on the clock of the run.

use serde_json::Value;

use super::declaration::{FilesDeclaration, LinkDeclaration};
use super::draw::Draw;
use super::eval::hex;

/// The parameter of an address that a file has moved to.
const MOVED: &str = "moved";

/// An address of a file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Path and query without the signature: what identifies the file.
    pub file: String,
    /// When it was signed, in milliseconds.
    signed_at: Option<i64>,
    /// How long it is good, in milliseconds.
    lifetime: Option<i64>,
    /// The signature.
    signature: Option<String>,
    /// Whether it is the address that a file has moved to.
    pub moved: bool,
}

impl FilesDeclaration {
    /// Takes an address apart.
    pub(super) fn address(&self, path: &str, query: &str) -> Address {
        let mut address =
            Address { file: String::new(), signed_at: None, lifetime: None, signature: None, moved: false };
        let mut rest = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let means = |parameter: fn(&LinkDeclaration) -> &str| self.link.as_ref().map(parameter) == Some(&*name);
            if means(|link| &link.signed_at) {
                address.signed_at = value.parse().ok();
            } else if means(|link| &link.lifetime) {
                address.lifetime = value.parse().ok();
            } else if means(|link| &link.signature) {
                address.signature = Some(value.into_owned());
            } else if name == MOVED {
                address.moved = true;
            } else {
                rest.append_pair(&name, &value);
            }
        }
        let rest = rest.finish();
        address.file = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
        address
    }

    /// Signs a path (perhaps with a query) at `now` milliseconds; without signatures it is only spelled as an address. `nth` is how often it was signed before; `scaled` shortens
    /// a lifetime as the run's clock does.
    pub(super) fn link(&self, draw: Draw, path: &str, now: i64, nth: u64, scaled: impl Fn(i64) -> i64) -> String {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = encoded(path);
        let file = self.address(&path, query).file;
        let Some(link) = &self.link else { return file };
        let (mut valid, mut age) = (link.valid.millis(), 0);
        let mut at = draw.with("odd link").with(file.as_str()).with(nth).unit();
        for odd in &link.odd {
            if at < odd.rate {
                valid = odd.valid.map_or(valid, |v| scaled(v.millis()));
                age = odd.age.millis();
                break;
            }
            at -= odd.rate;
        }
        let signed = now - age;
        let join = if file.contains('?') { '&' } else { '?' };
        let (name, lifetime, signature) = (&link.signed_at, &link.lifetime, &link.signature);
        format!("{file}{join}{name}={signed}&{lifetime}={valid}&{signature}={}", sign(draw, &file, signed, valid))
    }

    /// Whether an address may be used at `now` milliseconds: signed by us and not expired, where links are signed at all.
    pub(super) fn allows(&self, draw: Draw, address: &Address, now: i64) -> Result<(), &'static str> {
        if self.link.is_none() {
            return Ok(());
        }
        let (Some(signed), Some(lifetime), Some(signature)) = (address.signed_at, address.lifetime, &address.signature)
        else {
            return Err("unsigned");
        };
        if *signature != sign(draw, &address.file, signed, lifetime) {
            return Err("forged");
        }
        if now >= signed.saturating_add(lifetime) { Err("expired") } else { Ok(()) }
    }

    /// The address that a file has moved to, from the one it was asked for at.
    pub(super) fn moved(path: &str, query: &str) -> String {
        format!("{path}?{query}&{MOVED}=1")
    }

    /// The content of a file, and its type.
    pub(super) fn content(&self, draw: Draw, file: &str) -> (Vec<u8>, &'static str) {
        let extension = file.rsplit_once('.').map_or(String::new(), |(_, e)| e.to_ascii_lowercase());
        let (kind, head, tail) = shape(&extension);
        let draw = draw.with("file").with(file);
        let (low, high) = (self.size.0.0, self.size.1.0);
        let size = low + draw.with("size").below(high - low + 1);
        let size = usize::try_from(size).unwrap_or(usize::MAX).max(head.len() + tail.len());
        let mut bytes = Vec::with_capacity(size + 8);
        bytes.extend_from_slice(head);
        let mut word = 0_u64;
        while bytes.len() < size - tail.len() {
            bytes.extend_from_slice(&draw.with(word).bits().to_be_bytes());
            word += 1;
        }
        bytes.truncate(size - tail.len());
        if kind.starts_with("text/") {
            // Text stays text: every byte a printable one.
            bytes.iter_mut().for_each(|b| *b = b' ' + *b % 95);
        }
        bytes.extend_from_slice(tail);
        (bytes, kind)
    }
}

fn sign(draw: Draw, file: &str, signed: i64, lifetime: i64) -> String {
    hex(draw.with("sign").with(file).with(signed.cast_unsigned()).with(lifetime.cast_unsigned()), 32)
}

/// A path as it stands in an address.
fn encoded(path: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(path, KEEP).to_string()
}

/// Content type, first and last bytes by extension.
fn shape(extension: &str) -> (&'static str, &'static [u8], &'static [u8]) {
    match extension {
        "jpg" | "jpeg" => {
            ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", b"\xff\xd9")
        }
        "png" => ("image/png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"\x00\x00\x00\x00IEND\xaeB`\x82"),
        "gif" => ("image/gif", b"GIF89a", b"\x3b"),
        "pdf" => ("application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", b"\n%%EOF\n"),
        "mp4" => ("video/mp4", b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", b""),
        "mov" => ("video/quicktime", b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", b""),
        "txt" => ("text/plain", b"", b"\n"),
        _ => ("application/octet-stream", b"", b""),
    }
}

/// The error body of a refused file.
pub(super) fn refusal(reason: &str) -> Value {
    serde_json::json!({ "error": format!("the link is {reason}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::declaration::{OddLinkDeclaration, Size, Span};
    use super::*;
    use std::time::Duration;

    fn files(odd: Vec<OddLinkDeclaration>) -> FilesDeclaration {
        let valid = Span(Duration::from_secs(60));
        let [signed_at, lifetime, signature] = ["at", "ttl", "sig"].map(str::to_owned);
        FilesDeclaration {
            under: "/f/".to_owned(),
            size: (Size(1_000), Size(3_000)),
            link: Some(LinkDeclaration { signed_at, lifetime, signature, valid, odd }),
            latency: Default::default(),
            faults: Vec::new(),
        }
    }

    fn check(files: &FilesDeclaration, link: &str, now: i64) -> Result<(), &'static str> {
        let (path, query) = link.split_once('?').unwrap();
        files.allows(Draw::of(1), &files.address(path, query), now)
    }

    #[test]
    fn a_link_is_good_until_it_expires_and_only_as_it_was_signed() {
        let files = files(Vec::new());
        for path in ["/f/1/a b.jpg", "/f/2?name=x y.pdf&n=1"] {
            let link = files.link(Draw::of(1), path, 1_000_000, 0, |v| v);
            assert_eq!(check(&files, &link, 1_000_000), Ok(()), "{link}");
            assert_eq!(check(&files, &link, 1_059_999), Ok(()));
            assert_eq!(check(&files, &link, 1_060_000), Err("expired"));
            assert_eq!(check(&files, &link.replace("ttl=60000", "ttl=90000"), 1_000_000), Err("forged"));
            assert_eq!(check(&files, &link.replace("/f/", "/f/9"), 1_000_000), Err("forged"));
            assert_eq!(check(&files, link.split_once("&sig").unwrap().0, 1_000_000), Err("unsigned"));
        }
    }

    #[test]
    fn without_signatures_an_address_is_all_that_is_asked_for() {
        let files = FilesDeclaration { link: None, ..files(Vec::new()) };
        let link = files.link(Draw::of(1), "/f/1/a b.jpg", 0, 0, |v| v);
        assert_eq!(link, "/f/1/a%20b.jpg");
        assert_eq!(files.address("/f/1/a%20b.jpg", "at=1&moved=1").file, "/f/1/a%20b.jpg?at=1");
        assert_eq!(files.allows(Draw::of(1), &files.address(&link, ""), i64::MAX), Ok(()));
    }

    #[test]
    fn odd_links_are_old_or_short_and_the_next_one_may_be_good() {
        let old = OddLinkDeclaration { rate: 0.5, valid: None, age: Span(Duration::from_secs(61)) };
        let files = files(vec![old]);
        let expired = |nth| check(&files, &files.link(Draw::of(1), "/f/1", 0, nth, |v| v), 0).is_err();
        let count = (0..1_000).filter(|nth| expired(*nth)).count();
        assert!((400..600).contains(&count), "{count}");
    }

    #[test]
    fn content_has_the_size_and_the_signature_of_its_type_and_never_changes() {
        let files = files(Vec::new());
        for (file, kind, head) in [
            ("/f/a.JPG", "image/jpeg", &b"\xff\xd8\xff"[..]),
            ("/f/a.pdf", "application/pdf", b"%PDF-"),
            ("/f/get?name=a.png", "image/png", b"\x89PNG"),
            ("/f/a.mp4", "video/mp4", b"\x00\x00\x00\x18ftyp"),
        ] {
            let (bytes, found) = files.content(Draw::of(1), file);
            assert_eq!(found, kind);
            assert!(bytes.starts_with(head) && (1_000..=3_000).contains(&bytes.len()), "{file}");
            assert_eq!(files.content(Draw::of(1), file).0, bytes);
            assert_ne!(files.content(Draw::of(2), file).0, bytes);
        }
    }
}
