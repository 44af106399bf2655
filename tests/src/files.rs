//! A file server of the test's own. What it does with a link is said by the link: `/{mode}/{number}/{name}`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::{End, Reply, Request, serve};

/// What may be asked of it, and how often: the first word of a link. `ok` and those after it bring the file.
/// `hang`, which is not among them, never answers; `large` is slow and brings eight megabytes.
pub const MODES: [&str; 13] =
    ["gone", "refused", "broken", "cut", "away", "loop", "page", "lies", "ok", "moved", "generic", "slow", "bare"];

/// A running server. It ends with the runtime of the test.
pub struct Files {
    /// What every link to it begins with.
    pub base: String,
    state: Arc<State>,
}

struct State {
    address: Mutex<String>,
    /// The share of requests that fail although they need not, in percent.
    faults: u64,
    requests: Mutex<BTreeMap<String, Vec<Value>>>,
    methods: Mutex<BTreeSet<String>>,
}

/// The number of a link.
fn number(link: &str) -> &str {
    let path = link.split_once("://").map_or(link, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    path.trim_start_matches('/').split('/').nth(1).unwrap_or_default()
}

/// The bytes of the file `number` with this extension.
pub fn content(number: &str, extension: &str) -> Vec<u8> {
    let head: &[u8] = match extension {
        "pdf" => b"%PDF-1.7\n",
        "jpg" | "jpeg" => b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
        "png" => b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        "gif" => b"GIF89a",
        "xml" => b"<?xml version=\"1.0\"?>\n",
        "esx" | "docx" | "xlsx" => b"PK\x03\x04",
        "doc" | "xls" => b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "json" => b"{\"a\":1}\n",
        "html" => b"<!DOCTYPE html><html>",
        _ => b"",
    };
    [head, format!("file {number} ").repeat(40).as_bytes()].concat()
}

/// The bytes of a large file.
pub fn large(number: &str, extension: &str) -> Vec<u8> {
    let mut bytes = content(number, extension);
    bytes.resize(8 << 20, b'.');
    bytes
}

/// The checksum of a file.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content_type(extension: &str) -> &'static str {
    match extension {
        "pdf" => "application/pdf",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "xml" => "text/xml; charset=utf-8",
        "esx" => "application/zip",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "doc" => "application/msword",
        "xls" => "application/vnd.ms-excel",
        "json" => "application/json",
        "csv" => "text/csv",
        "html" => "text/html",
        _ => "text/plain",
    }
}

impl Files {
    /// Serves. Of the requests that would succeed, `faults` in a hundred fail.
    pub async fn start(faults: u64) -> Self {
        let state = Arc::new(State {
            address: Mutex::default(),
            faults,
            requests: Mutex::default(),
            methods: Mutex::default(),
        });
        let served = state.clone();
        let address: SocketAddr = serve(([127, 0, 0, 1], 0).into(), move |request| served.answer(request)).await;
        let base = format!("http://{address}/");
        *state.address.lock().unwrap() = base.clone();
        Files { base, state }
    }

    /// A link to the file `name` with this number.
    pub fn link(&self, mode: &str, number: usize, name: &str) -> String {
        format!("{}{mode}/{number}/{name}", self.base)
    }

    /// What was asked under `links`, as lines of an account.
    pub fn account<'l>(&self, links: impl IntoIterator<Item = &'l str>) -> Vec<Value> {
        let requests = self.state.requests.lock().unwrap();
        let mut lines = Vec::new();
        for link in links.into_iter().filter(|link| link.starts_with(&self.base)) {
            for request in requests.get(number(link)).into_iter().flatten() {
                let mut line = request.clone();
                line["url"] = json!(link);
                lines.push(line);
            }
        }
        lines
    }

    /// Which methods were used.
    pub fn methods(&self) -> BTreeSet<String> {
        self.state.methods.lock().unwrap().clone()
    }

    /// How often each number was asked for.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        self.state.requests.lock().unwrap().iter().map(|(number, lines)| (number.clone(), lines.len())).collect()
    }
}

impl State {
    fn answer(&self, request: &Request) -> Reply {
        self.methods.lock().unwrap().insert(request.method.clone());
        let mode = request.target.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let number = number(&request.target).to_owned();
        let extension = extension(&request.target);
        let body = content(&number, &extension);
        let mut requests = self.requests.lock().unwrap();
        let lines = requests.entry(number.clone()).or_default();
        let mut hasher = DefaultHasher::new();
        (&number, lines.len()).hash(&mut hasher);
        let draw = hasher.finish();
        let base = self.address.lock().unwrap().clone();
        let file = |headers: Vec<(&'static str, String)>, body: &[u8], end| Reply {
            status: 200,
            headers,
            body: body.to_vec(),
            end,
        };
        let kind = |kind: &str| vec![("content-type", kind.to_owned())];
        let to = |location: String| Reply {
            status: 302,
            headers: vec![("location", location)],
            body: Vec::new(),
            end: End::Whole,
        };
        let fails = |status: u16| {
            let wait = (status == 429).then(|| ("retry-after", "1".to_owned()));
            Reply { status, headers: wait.into_iter().collect(), body: b"no".to_vec(), end: End::Whole }
        };
        let page = b"<!DOCTYPE html><html><body>Sign in</body></html>";
        let brings = MODES.iter().skip_while(|mode| **mode != "ok").any(|good| *good == mode);
        let (reply, fault) = if brings && draw % 100 < self.faults {
            match draw / 100 % 4 {
                0 => (fails(500), "500"),
                1 => (fails(429), "429"),
                2 => (Reply { end: End::Reset, ..fails(500) }, "reset"),
                _ => (file(kind(content_type(&extension)), &body, End::Half), "truncated"),
            }
        } else {
            match mode.as_str() {
                "gone" => (fails(404), "404"),
                "refused" => (fails(403), "403"),
                "broken" => (fails(503), "503"),
                "cut" => (file(kind(content_type(&extension)), &body, End::Half), "truncated"),
                "away" => (to("http://10.0.0.1/a.pdf".to_owned()), "302"),
                "loop" => (to(format!("{base}{}", request.target.trim_start_matches('/'))), "302"),
                "page" => (file(kind("text/html"), page, End::Whole), "page"),
                "lies" => (file(kind("application/octet-stream"), page, End::Whole), "page"),
                // The file itself is asked for next, and that is what counts.
                "moved" => return to(format!("{base}ok{}", request.target.trim_start_matches("/moved"))),
                "generic" => (file(kind("binary/octet-stream"), &body, End::Whole), ""),
                "slow" => (file(kind(content_type(&extension)), &body, End::Slow), "slow"),
                "hang" => (Reply { end: End::Hang, ..fails(500) }, "timeout"),
                "large" => (file(kind(content_type(&extension)), &large(&number, &extension), End::Slow), "slow"),
                "bare" => (file(Vec::new(), &body, End::Whole), ""),
                _ => (file(kind(content_type(&extension)), &body, End::Whole), ""),
            }
        };
        let fault = if fault.is_empty() { Value::Null } else { json!(fault) };
        lines.push(json!({"bytes": body.len(), "sha256": sha256(&body), "fault": fault}));
        reply
    }
}

/// The extension that a link promises.
fn extension(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let named = target.split_once("name=").map_or("", |(_, name)| name);
    let name = if last.contains('.') { last } else { named };
    name.rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_lowercase())
}
