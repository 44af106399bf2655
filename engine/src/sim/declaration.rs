//! The YAML of a simulation as types. What they mean is said in the [module's documentation](super); what is drawn, bound
//! and checked from them is compiled in `tree` and `world`.
//!
//! Durations are `250ms`, `30s`, `5m`, `24h`, `7d`; sizes are `500B`, `16KiB`, `2MiB`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declaration {
    /// Its name.
    pub simulation: String,
    /// The version of this language: 1.
    pub language: u32,
    /// For people.
    #[serde(default)]
    #[allow(dead_code)]
    pub about: Option<String>,
    /// Variables that the topology is loaded with.
    #[serde(default)]
    pub provides: BTreeMap<String, String>,
    /// What the events and answers are about.
    #[serde(default)]
    pub entities: BTreeMap<String, EntityDeclaration>,
    /// What is put on the topic.
    pub events: EventsDeclaration,
    /// What holds for every route.
    #[serde(default)]
    pub server: ServerDeclaration,
    /// What answers which request.
    #[serde(default)]
    pub routes: BTreeMap<String, Spanned<RouteDeclaration>>,
    /// The files that can be fetched.
    #[serde(default)]
    pub files: Option<FilesDeclaration>,
    /// What the tables hold in the end.
    #[serde(default)]
    pub expect: Vec<Spanned<ExpectDeclaration>>,
}

/// One kind of thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntityDeclaration {
    /// The id of number 0; number n has this plus n.
    pub id: i64,
    /// A pool of its own; or
    #[serde(default)]
    pub pool: Option<PoolDeclaration>,
    /// children of each of another kind,
    #[serde(default)]
    pub of: Option<String>,
    /// from so many to so many of each.
    #[serde(default)]
    pub per: Option<(u64, u64)>,
    /// Its attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, Spanned<Value>>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolDeclaration {
    /// So many at the first event.
    pub first: u64,
    /// One more every so many events; none without.
    #[serde(default)]
    pub every: Option<u64>,
    /// Events are about the newest so many; about all without.
    #[serde(default)]
    pub window: Option<u64>,
}

/// The events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsDeclaration {
    /// The topic.
    pub topic: String,
    /// The simulated instant of the first event.
    pub start: String,
    /// The simulated time between two events.
    pub step: Span,
    /// What identifies an event.
    pub id: Spanned<Value>,
    /// The key of its message.
    pub key: Spanned<Value>,
    /// Its message.
    pub value: Spanned<Value>,
    /// Events sent again.
    #[serde(default)]
    pub duplicates: Vec<DuplicatesDeclaration>,
    /// The types of events.
    pub types: BTreeMap<String, TypeDeclaration>,
}

/// Some events are sent again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DuplicatesDeclaration {
    /// The share of all messages that are copies.
    pub rate: f64,
    /// At most so many messages after the original.
    pub within: u64,
}

/// One type of event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypeDeclaration {
    /// Its share, against the weights of the others.
    pub weight: f64,
    /// The kind of entity it is about.
    pub pick: String,
    /// Whether it is about the newest of the pool, not any of them.
    #[serde(default)]
    pub newest: bool,
    /// Whether the event that brings a new one into the pool is of this type, and about that one. Such an event is never a copy.
    #[serde(default)]
    pub births: bool,
    /// Values of its own, bound as `event.fields`.
    #[serde(default)]
    pub fields: BTreeMap<String, Spanned<Value>>,
}

/// What holds for every route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerDeclaration {
    /// The credentials that every call must carry.
    #[serde(default)]
    pub auth: Option<AuthDeclaration>,
    /// How long an answer takes.
    #[serde(default)]
    pub latency: Latency,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<FaultDeclaration>,
}

/// Credentials: `basic` or `bearer`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuthDeclaration {
    /// Of HTTP basic authentication.
    Basic(BasicDeclaration),
    /// A bearer token.
    Bearer(String),
}

impl AuthDeclaration {
    /// What stands in the header `Authorization`.
    pub(super) fn header(&self) -> String {
        match self {
            AuthDeclaration::Basic(basic) => {
                let pair = format!("{}:{}", basic.username, basic.password);
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            AuthDeclaration::Bearer(token) => format!("Bearer {token}"),
        }
    }
}

/// A user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicDeclaration {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// How long an answer takes: evenly from `mean - jitter` to `mean + jitter`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Latency {
    /// The mean.
    #[serde(default)]
    pub mean: Span,
    /// The largest distance from the mean.
    #[serde(default)]
    pub jitter: Span,
}

/// One way to go wrong: a `status`, or a `kind`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultDeclaration {
    /// The share of calls.
    pub rate: f64,
    /// The status that is answered instead.
    #[serde(default)]
    pub status: Option<u16>,
    /// The `Retry-After` of that answer.
    #[serde(default)]
    pub retry_after: Option<Span>,
    /// What happens to the connection or the body instead.
    #[serde(default)]
    pub kind: Option<FaultKind>,
    /// How long a `timeout` is silent before the connection closes, or a `slow` body takes.
    #[serde(default)]
    pub lasts: Option<Span>,
}

/// What can happen to a connection or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// What answers a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteDeclaration {
    /// The path of a GET; or
    #[serde(default)]
    pub get: Option<String>,
    /// of a POST.
    #[serde(default)]
    pub post: Option<String>,
    /// What query and body must hold.
    #[serde(default)]
    pub when: MatchDeclaration,
    /// Entities to look up by id, besides those that the path names.
    #[serde(default)]
    pub bind: BTreeMap<String, Value>,
    /// Values that the answer uses, in the order of their names' first use.
    #[serde(default, rename = "let")]
    pub values: BTreeMap<String, Value>,
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body.
    pub answer: Value,
    /// In place of the server's.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// In place of the server's.
    #[serde(default)]
    pub faults: Option<Vec<FaultDeclaration>>,
}

fn ok() -> u16 {
    200
}

/// What query and body must hold, by name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchDeclaration {
    /// In the query.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// At the top of the JSON body.
    #[serde(default)]
    pub body: BTreeMap<String, Value>,
}

/// The files that can be fetched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesDeclaration {
    /// Every path that starts like this is a file.
    pub under: String,
    /// From so many to so many bytes.
    pub size: (Size, Size),
    /// How links are signed; without, whoever knows a file's address gets it.
    #[serde(default)]
    pub link: Option<LinkDeclaration>,
    /// Paths whose files are not like the others.
    #[serde(default)]
    pub places: Vec<PlaceDeclaration>,
    /// How long an answer takes.
    #[serde(default)]
    pub latency: Latency,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<FaultDeclaration>,
}

/// Files that are not like the others: they always answer in the one way that is named. No fault is drawn for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceDeclaration {
    /// Every path that starts like this.
    pub under: String,
    /// With this status.
    #[serde(default)]
    pub status: Option<u16>,
    /// With a redirect to this address.
    #[serde(default)]
    pub redirect: Option<String>,
    /// With this content type, whatever the file is.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// With from so many to so many bytes.
    #[serde(default)]
    pub size: Option<(Size, Size)>,
}

/// How a link says when it was signed and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkForm {
    /// In milliseconds since 1970, and in milliseconds.
    #[default]
    Ms,
    /// As `20260110T120000Z`, and in seconds.
    Amz,
}

/// The query parameters of a signed link, and how long it is good.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkDeclaration {
    /// The parameter that holds the instant of signing.
    pub signed_at: String,
    /// The parameter that holds the lifetime.
    pub lifetime: String,
    /// The parameter that holds the signature.
    pub signature: String,
    /// How the first two are written.
    #[serde(default)]
    pub form: LinkForm,
    /// How long it is good.
    pub valid: Span,
    /// Links that are old when they are given out, or soon after.
    #[serde(default)]
    pub odd: Vec<OddLinkDeclaration>,
}

/// Some links are not as good as the others.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OddLinkDeclaration {
    /// The share of links.
    pub rate: f64,
    /// Good for so long, on the scaled clock, in place of the usual time.
    #[serde(default)]
    pub valid: Option<Span>,
    /// Signed so long ago.
    #[serde(default)]
    pub age: Span,
}

/// Rows of a table that the events imply.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectDeclaration {
    /// The table.
    pub table: String,
    /// The types of events that imply them; all without.
    #[serde(default)]
    pub types: Option<Vec<String>>,
    /// The key of one row, a list; or
    #[serde(default)]
    pub key: Option<Value>,
    /// a list of keys.
    #[serde(default)]
    pub keys: Option<Value>,
}

/// A duration with its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub Duration);

impl Span {
    /// In microseconds.
    pub(super) fn micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX)
    }

    /// In milliseconds.
    pub(super) fn millis(self) -> i64 {
        self.micros() / 1_000
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let units = [("ms", 1_u64), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        measure(&text, &units)
            .map(|millis| Span(Duration::from_millis(millis)))
            .ok_or_else(|| format!("`{text}` is not a duration; write it like 250ms, 30s, 5m, 24h or 7d"))
    }
}

/// A number of bytes with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        measure(&text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1)])
            .map(Size)
            .ok_or_else(|| format!("`{text}` is not a size; write it like 500B, 16KiB or 2MiB"))
    }
}

/// A whole number with one of `units`.
fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    units
        .iter()
        .find_map(|(unit, factor)| text.trim().strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(*factor))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_of_one_kind() {
        let header = |text: &str| serde_json::from_str::<AuthDeclaration>(text).map(|auth| auth.header()).ok();
        let basic = header(r#"{"basic": {"username": "ada", "password": "pass"}}"#);
        assert_eq!(basic.as_deref(), Some("Basic YWRhOnBhc3M="));
        assert_eq!(header(r#"{"bearer": "t-1"}"#).as_deref(), Some("Bearer t-1"));
        for text in ["{}", r#"{"token": "t-1"}"#, r#"{"bearer": "t-1", "basic": {"username": "a", "password": "b"}}"#] {
            assert_eq!(header(text), None, "{text}");
        }
    }

    #[test]
    fn durations_and_sizes_have_units() {
        for (text, millis) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("0s", 0)] {
            assert_eq!(Span::try_from(text.to_owned()).unwrap().millis(), millis, "{text}");
        }
        for (text, bytes) in [("500B", 500), ("16KiB", 16_384), ("2MiB", 2_097_152)] {
            assert_eq!(Size::try_from(text.to_owned()).unwrap().0, bytes, "{text}");
        }
        for text in ["", "5", "s", "-1s", "5 weeks"] {
            assert!(Span::try_from(text.to_owned()).is_err(), "{text}");
            assert!(Size::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
