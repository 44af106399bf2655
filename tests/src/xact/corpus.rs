//! Odd raw events: every odd value alone, and then several together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::files::{Files, MODES};

/// So many events, about.
const EVENTS: usize = 420;

/// What is fixed of an event besides its trace id.
fn plain() -> Value {
    json!({
        "type": "verisk.claims.property.xn.documentsReceived", "version": 2,
        "utcDateTime": "2026-01-10T17:42:08.315000+00:00",
        "data": {
            "description": "Estimate package delivered", "assignmentId": "0A7K3QF", "originalAssignmentId": "0A7K3QF",
            "xnAddress": "TX.HOUSTON.0042", "carrierId": "3951077", "estimateVersion": "3", "note": "Supplement requested",
            "author": "R. Alvarez", "senderReviewerName": "Dana Whitlock", "senderReviewerEmail": "dana@example.com",
            "carrierReviewerName": "Lee Okafor", "carrierReviewerEmail": "lee@example.com", "dateTime": "2026-01-10T10:42:08",
            "adm": {"coverageLoss": {"claimNumber": "0811223344"}},
            "contact": {"type": "Client", "name": "Maria Jensen", "contactMethods": {
                "phone": {"type": "Mobile", "number": "555-010-2231", "extension": ""},
                "email": {"address": "maria@example.com"}}}
        }
    })
}

/// Instants that can be read, and others.
const TIMES: &[&str] = &[
    "2026-01-10T17:42:08Z",
    "2026-01-10T17:42:08.1Z",
    "2026-01-10T17:42:08.1234567Z",
    "2026-01-10T17:42:08.123456789+00:00",
    "2026-01-10T23:59:59.9999999Z",
    "2026-01-10T23:30:00-05:00",
    "2026-01-11T00:30:00+0530",
    "2026-01-10 17:42:08",
    "2026-01-10T17:42",
    "2026-01-10",
    "  2026-01-10T17:42:08Z  ",
    "2024-02-29T12:00:00Z",
    "1969-12-31T23:59:59.5Z",
    "2026-01-10T17:42:08+01",
    // Not readable.
    "2025-02-29T12:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-10T25:00:00Z",
    "2026-01-10T17:42:08+25:00",
    "10/01/2026",
    "yesterday",
    "1768066928",
    "2026-01-10T17:42:08Zz",
    "",
    "   ",
];

/// The odd changes: a path into the event and what stands there then. A missing value takes the key away.
fn oddities(files: &Files) -> Vec<(&'static str, Option<Value>)> {
    let mut odd: Vec<(&'static str, Option<Value>)> = Vec::new();
    odd.extend(TIMES.iter().map(|time| ("utcDateTime", Some(json!(time)))));
    odd.extend(
        [json!(1_768_066_928), json!(null), json!(true), json!({"at": 1}), json!([])].map(|v| ("utcDateTime", Some(v))),
    );
    odd.push(("utcDateTime", None));
    let types = [
        "  verisk.claims.property.xn.firstNoticeOfLossReceived ",
        "estimatePackageReceived",
        "a.b",
        "ünï.cødé",
        "a..b",
        "verisk.x.firstNoticeOfLossReceived",
        "verisk.x.estimatePackageReceived",
        "x.Some Status/With:Signs",
        "",
        "  ",
    ];
    odd.extend(types.map(|kind| ("type", Some(json!(kind)))));
    odd.extend([json!(7), json!(null)].map(|v| ("type", Some(v))));
    odd.push(("type", None));
    let versions = [
        json!(1),
        json!(0),
        json!(-3),
        json!(2.0),
        json!(2.5),
        json!("007"),
        json!("7"),
        json!("v2"),
        json!("1.0"),
        json!(""),
        json!("  "),
        json!(null),
        json!(true),
        json!({"a": 1}),
        json!([2]),
        json!(9_007_199_254_740_993_u64),
        json!("0"),
    ];
    odd.extend(versions.map(|v| ("version", Some(v))));
    odd.push(("version", None));
    let whole = [
        json!(null),
        json!(""),
        json!("{"),
        json!("[1,2]"),
        json!("5"),
        json!("\"text\""),
        json!("null"),
        json!([]),
        json!([{"assignmentId": "A"}]),
        json!(5),
        json!(true),
        json!({}),
        json!("{}"),
        json!("  {\"note\": \"n\", \"assignmentId\": 12} "),
        json!("{\"note\":\"a\\u00e9\\n\",\"contact\":{\"name\":null}}"),
        json!("{\"note\":\"unfinished"),
    ];
    odd.extend(whole.map(|v| ("data", Some(v))));
    odd.push(("data", None));
    let texts = [
        json!(""),
        json!("   "),
        json!(" kept as it is "),
        json!(null),
        json!(40),
        json!(40.5),
        json!(-0.25),
        json!(12_345_678_901_234_u64),
        json!(true),
        json!(false),
        json!([1, "a", null]),
        json!({"b": 1, "a": [true]}),
        json!("日本語 🏠 \u{1F468}\u{200D}\u{1F469} é"),
        json!("tab\tnew\nline\r\n\u{0001}\"quoted\" \\ back"),
        json!("'; DROP TABLE x; --"),
        json!("<b>&amp;</b>"),
        json!("null"),
        json!("NaN"),
        json!("=1+1"),
    ];
    for path in ["data.description", "data.note", "data.adm.coverageLoss.claimNumber", "data.contact.name"] {
        odd.extend(texts.iter().map(|text| (path, Some(text.clone()))));
    }
    for path in [
        "data.author",
        "data.carrierId",
        "data.dateTime",
        "data.estimateVersion",
        "data.contact.contactMethods.phone.number",
        "data.contact.contactMethods.phone.extension",
        "data.contact.contactMethods.email.address",
        "data.senderReviewerEmail",
    ] {
        odd.extend([json!(5), json!(["x"]), json!(""), json!(null), json!("ü")].map(|v| (path, Some(v))));
        odd.push((path, None));
    }
    for path in [
        "data.adm",
        "data.adm.coverageLoss",
        "data.contact",
        "data.contact.contactMethods",
        "data.contact.contactMethods.phone",
        "data.contact.contactMethods.email",
    ] {
        odd.extend([json!(null), json!("text"), json!([{"type": "x"}]), json!(3)].map(|v| (path, Some(v))));
        odd.push((path, None));
    }
    odd.push(("data.description", Some(json!("x".repeat(1 << 20)))));
    odd.push(("data.description", Some(json!("ß".repeat(1 << 19)))));
    let deep =
        (0..60).fold(json!("bottom"), |inner, at| if at % 2 == 0 { json!([inner]) } else { json!({"in": inner}) });
    odd.push(("data.unknown", Some(deep)));
    odd.push(("unknown", Some(json!({"secret": "kept", "link": "https://h/x?a=1&X-Amz-Signature=abc#end"}))));
    odd.push(("data.more", Some(json!({"list": ["https://h/y?sig=abc", 1.5, null], "": "", "a.b": {"c": []}}))));
    odd.push(("eventId", Some(json!("not to be trusted"))));
    odd.push(("event_id", Some(json!(17))));
    odd.push(("trace_id", Some(json!("another"))));
    for assignment in [
        json!(12),
        json!("  B7 "),
        json!(""),
        json!(null),
        json!("../../etc"),
        json!("A/B\\C:D"),
        json!("ü 7"),
        json!("a%2Fb"),
    ] {
        odd.push(("data.assignmentId", Some(assignment)));
    }
    odd.push(("data.assignmentId", None));
    let link = files.link("ok", 0, "NUMBER.pdf");
    for list in [
        json!(null),
        json!([]),
        json!("text"),
        json!({"url": "x"}),
        json!([null, 5, true, {}, [], "", "  "]),
        json!([link, null, 7]),
    ] {
        odd.push(("data.attachments", Some(list)));
    }
    odd
}

/// Names of files, some hostile; all may be files.
const NAMES: &[&str] = &[
    "ROUGHDRAFT.PDF",
    "a.pdf",
    "A.PDF?x=1",
    "photo.JPG",
    "p.jpeg?X-Amz-Signature=secret&x=2",
    "scan.png",
    "x.gif?sig=s&se=2&keep=1#fragment",
    "doc.xml",
    "estimate.esx",
    "book.xlsx",
    "old.doc",
    "list.csv",
    "data.json",
    "page.html",
    "note.txt",
    "a%2Fb.pdf",
    "..%2F..%2Fetc%2Fpasswd.pdf",
    "a:b*c|d.pdf",
    "über köln.pdf",
    "日本語.pdf",
    "gpj.\u{202e}exe.pdf",
    "x.tar.pdf",
    ".pdf",
    "get?filename=d.pdf",
    "  spaces .pdf",
    "con.pdf",
    "a..pdf",
];

/// Links that are refused, or whose file is.
const REFUSED: &[&str] = &[
    "https://evil.example/a.pdf",
    "http://evil.example/a.pdf?sig=abc",
    "ftp://files.example/a.pdf",
    "file:///etc/passwd.pdf",
    "javascript:alert(1)",
    "no link at all",
    "https://127.0.0.1.evil.example/a.pdf",
    "https://user:pass@evil.example/a.pdf",
    "https://169.254.169.254/latest/meta-data/a.pdf",
    "//evil.example/a.pdf",
    "https://",
    "https://ⓔvil.example/ä.pdf",
];

/// A source of numbers that is the same in every run.
pub struct Draw(pub u64);

impl Draw {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Puts a value at a path of keys, or takes it away. What stands in the way of the path stays.
fn put(event: &mut Value, path: &str, value: Option<Value>) {
    let (parents, key) = path.rsplit_once('.').map_or((None, path), |(parents, key)| (Some(parents), key));
    let mut place = &mut *event;
    for key in parents.into_iter().flat_map(|parents| parents.split('.')) {
        match place.get_mut(key) {
            Some(next) if next.is_object() => place = next,
            _ => return,
        }
    }
    if let Some(members) = place.as_object_mut() {
        match value {
            Some(value) => members.insert(key.to_owned(), value),
            None => members.remove(key),
        };
    }
}

/// Links for one event, each with a number of its own, some twice.
fn links(files: &Files, draw: &mut Draw, next: &mut usize) -> Vec<Value> {
    let mut list = Vec::new();
    for _ in 0..draw.below(4) {
        if draw.below(8) == 0 {
            list.push(json!(REFUSED[draw.below(REFUSED.len())]));
            continue;
        }
        *next += 1;
        // The last, which all bring the file, are more likely.
        let mode = MODES[draw.below(MODES.len())];
        let mode = if draw.below(3) > 0 { "ok" } else { mode };
        let name = if draw.below(12) == 0 {
            format!("{}.pdf", "long ünd ".repeat(20 + draw.below(40)))
        } else {
            NAMES[draw.below(NAMES.len())].to_owned()
        };
        // Only a type that is told from its first bytes can be told from a page.
        let name = if ["page", "lies"].contains(&mode) { "told.pdf".to_owned() } else { name };
        list.push(json!(files.link(mode, *next, &name)));
        if draw.below(6) == 0 {
            list.push(list[draw.below(list.len())].clone());
        }
        if draw.below(6) == 0 {
            *next += 1;
            list.push(json!(files.link("ok", *next, &name)));
        }
    }
    list
}

/// The messages: a key, so that what has one trace id stays in its order, and the payload.
pub fn messages(files: &Files) -> Vec<(Option<String>, String)> {
    let (mut draw, mut next) = (Draw(7), 1000);
    let oddities = oddities(files);
    let mut events: Vec<Value> = Vec::new();
    for index in 0..EVENTS.max(oddities.len()) {
        let mut event = plain();
        let trace = format!("{index:08}-7b7a-4c55-9d0e-3a5b6c7d8e9f");
        event["traceId"] = json!(trace);
        event["data"]["attachments"] = Value::Array(links(files, &mut draw, &mut next));
        let changes = if index < oddities.len() { 1 } else { 4 };
        for change in 0..changes {
            let (path, value) = match change {
                0 if index < oddities.len() => &oddities[index],
                _ => &oddities[draw.below(oddities.len())],
            };
            // One link a file: its number.
            let text =
                value.as_ref().map(|value| value.to_string().replace("/0/NUMBER", &format!("/{}/n", index + 10)));
            put(&mut event, path, text.map(|text| serde_json::from_str(&text).unwrap()));
        }
        // Some as text within the text, as another source writes it.
        if draw.below(5) == 0 && event["data"].is_object() {
            event["data"] = json!(event["data"].to_string());
        }
        events.push(event);
    }
    // Trace ids of other kinds.
    let traces = [json!(4_895_140), json!("  padded  "), json!("../../up"), json!("ümlaut/trace"), json!("")];
    for (index, trace) in traces.into_iter().enumerate() {
        let mut event = plain();
        event["traceId"] = trace;
        event["trace_id"] = json!(format!("fallback-{index}"));
        event["data"]["attachments"] = json!([files.link("ok", 500 + index, "a.pdf")]);
        events.push(event);
    }
    for (from, to) in [("traceId", "trace_id"), ("traceId", "TraceId")] {
        let mut event = plain();
        event[to] = json!(format!("only as {to}"));
        event.as_object_mut().unwrap().remove(from);
        events.push(event);
    }
    let mut payloads: Vec<String> = events.iter().map(Value::to_string).collect();
    // A trace seen again, at once and late, with another content.
    for at in (0..events.len()).step_by(9) {
        let mut again = events[at].clone();
        put(&mut again, "data.note", Some(json!("seen again")));
        put(&mut again, "type", Some(json!("verisk.claims.property.xn.later")));
        payloads.push(again.to_string());
        payloads.push(events[at].to_string());
    }
    let whole = plain().to_string();
    for broken in [
        "",
        " ",
        "{",
        "[]",
        "5",
        "\"text\"",
        "null",
        "not json",
        "{\"type\":}",
        &whole[..whole.len() / 2],
        "[{\"type\":\"a\"}]",
        "{}",
    ] {
        payloads.push(broken.to_owned());
    }
    let blanks = serde_json::to_string_pretty(
        &json!({"traceId": "pretty", "type": "a.pretty", "utcDateTime": "2026-01-10T17:42:08Z"}),
    );
    payloads.push(format!("\n  {}\n", blanks.unwrap()));
    payloads.into_iter().map(|payload| (key(&payload), payload)).collect()
}

fn key(payload: &str) -> Option<String> {
    let event: Map<String, Value> = serde_json::from_str(payload).ok()?;
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    text("traceId").or_else(|| text("trace_id"))
}

/// How many messages there are of each payload.
pub fn counted(messages: &[(Option<String>, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (_, payload) in messages {
        *counts.entry(payload.as_str()).or_default() += 1;
    }
    counts
}
