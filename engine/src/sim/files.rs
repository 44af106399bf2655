//! Files and links to them. The bytes of a file are a function of the seed and of its address without the signature; a link
//! is good from the instant it is signed for as long as it says, on the clock of the run.

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use super::declaration::{Files, Link, LinkForm, Place, millis};
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

impl Files {
    /// Takes an address apart.
    pub(super) fn address(&self, path: &str, query: &str) -> Address {
        let mut address =
            Address { file: String::new(), signed_at: None, lifetime: None, signature: None, moved: false };
        let mut rest = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let means = |parameter: fn(&Link) -> &str| self.link.as_ref().map(parameter) == Some(&*name);
            if means(|link| &link.signed_at) {
                address.signed_at = self.form().instant(&value);
            } else if means(|link| &link.lifetime) {
                address.lifetime = value.parse().ok().and_then(|n: i64| n.checked_mul(self.form().unit()));
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

    /// Signs a path (perhaps with a query) at `now` milliseconds; without signatures it is only spelled as an address. `nth` is
    /// how often it was signed before; `scaled` shortens a lifetime as the run's clock does.
    pub(super) fn link(&self, draw: Draw, path: &str, now: i64, nth: u64, scaled: impl Fn(i64) -> i64) -> String {
        let file = self.file(path);
        let Some(link) = &self.link else { return file };
        let (mut valid, mut age) = (millis(link.valid), 0);
        let mut at = draw.with("odd link").with(file.as_str()).with(nth).unit();
        for odd in &link.odd {
            if at < odd.rate {
                valid = odd.valid.map_or(valid, |v| scaled(millis(v)));
                age = millis(odd.age);
                break;
            }
            at -= odd.rate;
        }
        self.signed(draw, &file, now - age, valid)
    }

    /// Signs a path at `at` milliseconds, good for so many: a function of its arguments alone, so that events can hold it.
    pub(super) fn dated_link(&self, draw: Draw, path: &str, at: i64, valid: Option<i64>) -> String {
        let usual = self.link.as_ref().map_or(0, |link| millis(link.valid));
        self.signed(draw, &self.file(path), at, valid.unwrap_or(usual))
    }

    /// What identifies the file at a path, perhaps with a query.
    fn file(&self, path: &str) -> String {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.address(&encoded(path), query).file
    }

    fn signed(&self, draw: Draw, file: &str, at: i64, valid: i64) -> String {
        let Some(link) = &self.link else { return file.to_owned() };
        // What is written is what is signed: whole units.
        let unit = link.form.unit();
        let (at, valid) = (at.div_euclid(unit) * unit, (valid + unit - 1).div_euclid(unit) * unit);
        let join = if file.contains('?') { '&' } else { '?' };
        let (name, lifetime, signature) = (&link.signed_at, &link.lifetime, &link.signature);
        let (instant, units) = (link.form.written(at), valid / unit);
        format!("{file}{join}{name}={instant}&{lifetime}={units}&{signature}={}", sign(draw, file, at, valid))
    }

    /// How instants and lifetimes are written.
    fn form(&self) -> LinkForm {
        self.link.as_ref().map(|link| link.form).unwrap_or_default()
    }

    /// The place that a path belongs to, if it is not like the others.
    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        self.places.iter().find(|place| path.starts_with(&place.under))
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
    pub(super) fn content(&self, draw: Draw, file: &str) -> (Vec<u8>, &str) {
        let extension = file.rsplit_once('.').map_or(String::new(), |(_, e)| e.to_ascii_lowercase());
        let (kind, head, tail) = shape(&extension);
        let draw = draw.with("file").with(file);
        let place = self.place(file);
        let (low, high) = place.and_then(|place| place.size).unwrap_or(self.size);
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
            // Text stays text: every byte a printable one that begins no tag.
            bytes.iter_mut().skip(head.len()).for_each(|b| *b = b'?' + *b % 64);
        }
        bytes.extend_from_slice(tail);
        (bytes, place.and_then(|place| place.kind.as_deref()).unwrap_or(kind))
    }
}

/// How an instant of signing is written in the form of S3, always UTC.
const COMPACT: &str = "%Y%m%dT%H%M%SZ";

impl LinkForm {
    /// Milliseconds in one unit of a lifetime.
    fn unit(self) -> i64 {
        match self {
            LinkForm::Ms => 1,
            LinkForm::Amz => 1_000,
        }
    }

    /// The instant that a text means, in milliseconds.
    fn instant(self, text: &str) -> Option<i64> {
        match self {
            LinkForm::Ms => text.parse().ok(),
            LinkForm::Amz => Some(NaiveDateTime::parse_from_str(text, COMPACT).ok()?.and_utc().timestamp_millis()),
        }
    }

    /// An instant in milliseconds as text.
    fn written(self, at: i64) -> String {
        match self {
            LinkForm::Ms => at.to_string(),
            LinkForm::Amz => {
                DateTime::from_timestamp_millis(at).map_or_else(String::new, |at| at.format(COMPACT).to_string())
            }
        }
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
        "xml" => ("text/xml", b"<?xml version=\"1.0\"?>\n<note>", b"</note>\n"),
        "esx" => ("application/zip", b"PK\x03\x04", b""),
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
    use super::super::declaration::OddLink;
    use super::*;
    use std::time::Duration;

    fn files(odd: Vec<OddLink>) -> Files {
        let valid = Duration::from_secs(60);
        let [signed_at, lifetime, signature] = ["at", "ttl", "sig"].map(str::to_owned);
        Files {
            under: "/f/".to_owned(),
            size: (1_000, 3_000),
            link: Some(Link { signed_at, lifetime, signature, form: LinkForm::Ms, valid, odd }),
            places: Vec::new(),
            latency: Default::default(),
            faults: Vec::new(),
        }
    }

    fn check(files: &Files, link: &str, now: i64) -> Result<(), &'static str> {
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
        let files = Files { link: None, ..files(Vec::new()) };
        let link = files.link(Draw::of(1), "/f/1/a b.jpg", 0, 0, |v| v);
        assert_eq!(link, "/f/1/a%20b.jpg");
        assert_eq!(files.address("/f/1/a%20b.jpg", "at=1&moved=1").file, "/f/1/a%20b.jpg?at=1");
        assert_eq!(files.allows(Draw::of(1), &files.address(&link, ""), i64::MAX), Ok(()));
    }

    #[test]
    fn a_link_with_an_instant_of_its_own_is_a_function_of_it() {
        let mut files = files(Vec::new());
        files.link.as_mut().unwrap().form = LinkForm::Amz;
        // 2026-01-10T12:00:00.750Z; written in whole seconds.
        let at = 1_768_046_400_750;
        let link = files.dated_link(Draw::of(1), "/f/1/a b.pdf?n=1", at, None);
        assert!(link.starts_with("/f/1/a%20b.pdf?n=1&at=20260110T120000Z&ttl=60&sig="), "{link}");
        assert_eq!(files.dated_link(Draw::of(1), "/f/1/a b.pdf?n=1", at, None), link);
        assert_eq!(check(&files, &link, at), Ok(()));
        assert_eq!(check(&files, &link, 1_768_046_459_999), Ok(()));
        assert_eq!(check(&files, &link, 1_768_046_460_000), Err("expired"));
        assert_eq!(check(&files, &link.replace("ttl=60", "ttl=61"), at), Err("forged"));
        assert!(files.dated_link(Draw::of(1), "/f/1", at, Some(1)).contains("&ttl=1&"));
    }

    #[test]
    fn a_place_has_its_own_way() {
        let mut files = files(Vec::new());
        let place =
            |under: &str| Place { under: under.to_owned(), status: None, redirect: None, kind: None, size: None };
        files.places = vec![
            Place { size: Some((9_000, 9_001)), ..place("/f/large/") },
            Place { kind: Some("text/html".to_owned()), ..place("/f/page/") },
            Place { status: Some(404), ..place("/f/gone/") },
        ];
        assert!(files.content(Draw::of(1), "/f/large/a.pdf").0.len() >= 9_000);
        assert_eq!(files.content(Draw::of(1), "/f/page/a.pdf").1, "text/html");
        assert_eq!(files.place("/f/gone/a.pdf").unwrap().status, Some(404));
        assert!(files.place("/f/else/a.pdf").is_none());
    }

    #[test]
    fn odd_links_are_old_or_short_and_the_next_one_may_be_good() {
        let old = OddLink { rate: 0.5, valid: None, age: Duration::from_secs(61) };
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
            ("/f/a.xml", "text/xml", b"<?xml version=\"1.0\"?>\n<note>"),
        ] {
            let (bytes, found) = files.content(Draw::of(1), file);
            assert_eq!(found, kind);
            assert!(bytes.starts_with(head) && (1_000..=3_000).contains(&bytes.len()), "{file}");
            assert_eq!(files.content(Draw::of(1), file).0, bytes);
            assert_ne!(files.content(Draw::of(2), file).0, bytes);
        }
    }
}
