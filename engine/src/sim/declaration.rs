//! The parts of a simulation that are values as they stand in its file, and what is read of them.
//!
//! Their keys are declared in [`language`](super::language), with everything that may stand there; here they are what runs.

use std::time::Duration;

use base64::Engine as _;

use super::language::{BASIC, ODD_LINK, PLACE};
use crate::topology::node::Node;
use crate::topology::reader::Reader;
use crate::topology::shape::Shape;
use crate::topology::value;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    /// So many at the first event.
    pub first: u64,
    /// One more every so many events; none without.
    pub every: Option<u64>,
    /// Events are about the newest so many; about all without.
    pub window: Option<u64>,
}

/// Credentials.
#[derive(Clone, Debug)]
pub(super) enum Auth {
    /// Name and password of HTTP basic authentication.
    Basic(String, String),
    /// A bearer token.
    Bearer(String),
}

impl Auth {
    /// What stands in the header `Authorization`.
    pub(super) fn header(&self) -> String {
        match self {
            Auth::Basic(name, password) => {
                let pair = format!("{name}:{password}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Auth::Bearer(token) => format!("Bearer {token}"),
        }
    }
}

/// How long an answer takes: evenly from `mean - jitter` to `mean + jitter`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    /// The mean.
    pub mean: Duration,
    /// The largest distance from the mean.
    pub jitter: Duration,
}

/// One way to go wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faulty {
    /// The share of calls.
    pub rate: f64,
    /// What goes wrong.
    pub fault: Fault,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another status, perhaps with a `Retry-After`.
    Status(u16, Option<Duration>),
    /// The connection or the body; how long it takes.
    Kind(FaultKind, Duration),
}

/// What can happen to a connection or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Silence, then the connection closes.
    Timeout,
    /// The connection closes at once.
    Reset,
    /// The connection closes in the middle of the body.
    Truncated,
    /// The body comes in pieces (files only).
    Slow,
    /// 302 to another address of the same file (files only).
    Redirect,
    /// The content type says `application/octet-stream` (files only).
    GenericType,
}

/// The kinds of faults by the words that a file has for them; the first three are also those of routes.
pub(super) const FAULT_KINDS: [(&str, FaultKind); 6] = [
    ("timeout", FaultKind::Timeout),
    ("reset", FaultKind::Reset),
    ("truncated", FaultKind::Truncated),
    ("slow", FaultKind::Slow),
    ("redirect", FaultKind::Redirect),
    ("generic_type", FaultKind::GenericType),
];

/// The files that can be fetched.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// Every path that starts like this is a file.
    pub under: String,
    /// From so many to so many bytes.
    pub size: (u64, u64),
    /// How links are signed; without, whoever knows a file's address gets it.
    pub link: Option<Link>,
    /// Paths whose files are not like the others.
    pub places: Vec<Place>,
    /// How long an answer takes.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Vec<Faulty>,
}

/// Files that are not like the others: they always answer in the one way that is named. No fault is drawn for them.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Every path that starts like this.
    pub under: String,
    /// With this status.
    pub status: Option<u16>,
    /// With a redirect to this address.
    pub redirect: Option<String>,
    /// With this content type, whatever the file is.
    pub kind: Option<String>,
    /// With from so many to so many bytes.
    pub size: Option<(u64, u64)>,
}

/// How a link says when it was signed and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LinkForm {
    /// In milliseconds since 1970, and in milliseconds.
    #[default]
    Ms,
    /// As `20260110T120000Z`, and in seconds.
    Amz,
}

/// The query parameters of a signed link, and how long it is good.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The parameter that holds the instant of signing.
    pub signed_at: String,
    /// The parameter that holds the lifetime.
    pub lifetime: String,
    /// The parameter that holds the signature.
    pub signature: String,
    /// How the first two are written.
    pub form: LinkForm,
    /// How long it is good.
    pub valid: Duration,
    /// Links that are old when they are given out, or soon after.
    pub odd: Vec<OddLink>,
}

/// Some links are not as good as the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct OddLink {
    /// The share of links.
    pub rate: f64,
    /// Good for so long, on the scaled clock, in place of the usual time.
    pub valid: Option<Duration>,
    /// Signed so long ago.
    pub age: Duration,
}

/// A duration in microseconds.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    micros(duration) / 1_000
}

/// The element of a list as a mapping.
pub(super) fn element<'a>(node: &'a Node, shape: &'static Shape) -> Reader<'a> {
    Reader { node: Some(node), shape, at: node.span }
}

/// A share; none, where it is not one, which has been told.
pub(super) fn share(reader: &Reader<'_>, name: &str) -> f64 {
    Some(number(reader, name)).filter(|share| (0.0..=1.0).contains(share)).unwrap_or(0.0)
}

/// A number of a key.
pub(super) fn number(reader: &Reader<'_>, name: &str) -> f64 {
    reader.opt_text(name).and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

impl Pool {
    pub(super) fn read(entity: &Reader<'_>) -> Option<Self> {
        let pool = entity.opt_object("pool")?;
        let count = |name| pool.opt_integer(name);
        Some(Pool { first: count("first").unwrap_or(1).max(1), every: count("every"), window: count("window") })
    }
}

impl Auth {
    pub(super) fn read(server: &Reader<'_>) -> Option<Self> {
        let auth = server.opt_object("auth")?;
        if let Some(token) = auth.opt_text("bearer") {
            return Some(Auth::Bearer(token.to_owned()));
        }
        let basic = auth.object("basic", &BASIC);
        Some(Auth::Basic(basic.text("username"), basic.text("password")))
    }
}

impl Latency {
    pub(super) fn read(of: &Reader<'_>) -> Option<Self> {
        let latency = of.opt_object("latency")?;
        Some(Latency { mean: latency.duration("mean"), jitter: latency.duration("jitter") })
    }
}

impl Faulty {
    /// The faults of a server, a route or the files, each a `shape`.
    pub(super) fn list(of: &Reader<'_>, shape: &'static Shape) -> Vec<Self> {
        of.items("faults").iter().map(|item| Faulty::read(&element(item, shape))).collect()
    }

    fn read(fault: &Reader<'_>) -> Self {
        let kind = fault.opt_text("kind").and_then(|text| FAULT_KINDS.iter().find(|(word, _)| *word == text));
        let fault_of = match (fault.opt_integer("status"), kind) {
            (Some(status), _) => Fault::Status(status, fault.opt_duration("retry_after")),
            (None, kind) => {
                let kind = kind.map_or(FaultKind::Reset, |(_, kind)| *kind);
                Fault::Kind(kind, fault.opt_duration("lasts").unwrap_or(kind.usual()))
            }
        };
        Faulty { rate: number(fault, "rate"), fault: fault_of }
    }
}

impl FaultKind {
    /// How long it takes where nobody says.
    fn usual(self) -> Duration {
        match self {
            FaultKind::Timeout => Duration::from_secs(60),
            FaultKind::Slow => Duration::from_millis(500),
            _ => Duration::ZERO,
        }
    }
}

/// From so many to so many bytes.
fn sizes(of: &Reader<'_>) -> Option<(u64, u64)> {
    let [low, high] = of.items("size") else { return None };
    Some((value::size(low.text()?)?, value::size(high.text()?)?))
}

impl Files {
    pub(super) fn read(simulation: &Reader<'_>, faults: &'static Shape) -> Option<Self> {
        let files = simulation.opt_object("files")?;
        Some(Files {
            under: files.text("under"),
            size: sizes(&files).unwrap_or_default(),
            link: files.opt_object("link").map(|link| Link::read(&link)),
            places: files.items("places").iter().map(|item| Place::read(&element(item, &PLACE))).collect(),
            latency: Latency::read(&files).unwrap_or_default(),
            faults: Faulty::list(&files, faults),
        })
    }
}

impl Place {
    fn read(place: &Reader<'_>) -> Self {
        Place {
            under: place.text("under"),
            status: place.opt_integer("status"),
            redirect: place.opt_text("redirect").map(str::to_owned),
            kind: place.opt_text("type").map(str::to_owned),
            size: sizes(place),
        }
    }
}

impl Link {
    fn read(link: &Reader<'_>) -> Self {
        let odd = |item: &Node| {
            let odd = element(item, &ODD_LINK);
            OddLink { rate: number(&odd, "rate"), valid: odd.opt_duration("valid"), age: odd.duration("age") }
        };
        Link {
            signed_at: link.text("signed_at"),
            lifetime: link.text("lifetime"),
            signature: link.text("signature"),
            form: if link.opt_text("form") == Some("amz") { LinkForm::Amz } else { LinkForm::Ms },
            valid: link.duration("valid"),
            odd: link.items("odd").iter().map(odd).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_of_one_kind() {
        assert_eq!(Auth::Basic("ada".into(), "pass".into()).header(), "Basic YWRhOnBhc3M=");
        assert_eq!(Auth::Bearer("t-1".into()).header(), "Bearer t-1");
    }
}
