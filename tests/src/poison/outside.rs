//! The API and the hosts of files, which answer with what they are asked for: `bad-N` is answered with case N, everything else is
//! answered as it should be.

use std::net::SocketAddr;

use serde_json::json;

use super::draw::Draw;
use crate::http::{End, Reply, Request, serve};

/// The first bytes of an image.
const IMAGE: &[u8] = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 and so on";

/// Serves until the runtime of the test ends.
pub async fn start() -> SocketAddr {
    serve(([127, 0, 0, 1], 0).into(), answer).await
}

fn answer(request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/');
    let (kind, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let bad = id.strip_prefix("bad-").and_then(|number| number.parse().ok());
    match (kind, bad) {
        ("things", Some(number)) => thing(&mut Draw::new("answer", number)),
        ("things", None) => {
            reply(200, "application/json", json!({"name": id, "price": "1.50"}).to_string().into_bytes())
        }
        (_, Some(number)) => file(&mut Draw::new("file", number)),
        (_, None) => reply(200, "image/jpeg", IMAGE.to_vec()),
    }
}

fn reply(status: u16, content_type: &str, body: Vec<u8>) -> Reply {
    Reply { status, headers: vec![("content-type", content_type.to_owned())], body, end: End::Whole }
}

/// A malformed answer of the API.
fn thing(draw: &mut Draw) -> Reply {
    let statuses = [200, 200, 200, 200, 201, 204, 301, 302, 400, 401, 403, 404, 418, 429, 500, 503, 599];
    let types = ["application/json", "application/json; charset=utf-16", "text/html", "", "application/\u{fc}", "json"];
    let mut reply = reply(statuses[draw.below(statuses.len())], draw.of(&types), draw.bytes());
    reply.end = [End::Whole, End::Whole, End::Whole, End::Half, End::Reset][draw.below(5)];
    match draw.below(6) {
        0 => reply.headers.push(("retry-after", draw.of(&["soon", "-1", "99999999999999999999", "0"]).to_owned())),
        1 => reply.headers.push(("location", "https://user:pass@elsewhere.example/?sig=abc".to_owned())),
        2 => reply.headers.push(("content-encoding", "gzip".to_owned())),
        _ => {}
    }
    reply
}

/// A malformed answer of a host of files.
fn file(draw: &mut Draw) -> Reply {
    let statuses = [200, 200, 200, 206, 204, 301, 302, 307, 403, 404, 416, 429, 500];
    let types =
        ["image/jpeg", "image/jpeg", "text/html", "application/pdf", "application/octet-stream", "", "image/\u{fc}"];
    let places = [
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "//files.example.com:22/x.jpg",
        "http://user:pass@127.0.0.1:1/x.jpg",
        "\\\\127.0.0.1\\share",
        "https://[::ffff:127.0.0.1]/x.jpg",
        "/loop/bad-0/x.jpg",
        "",
    ];
    let mut body = draw.bytes();
    match draw.below(4) {
        0 => body.splice(0..0, IMAGE.iter().copied()).for_each(drop),
        // A gzip head: what it would unpack to is nobody's business.
        1 => body.splice(0..0, *b"\x1f\x8b\x08\x00").for_each(drop),
        2 => body.clear(),
        _ => {}
    }
    let mut reply = reply(statuses[draw.below(statuses.len())], draw.of(&types), body);
    reply.end = [End::Whole, End::Whole, End::Half, End::Reset][draw.below(4)];
    if (300..400).contains(&reply.status) {
        reply.headers.push(("location", draw.of(&places).to_owned()));
    }
    match draw.below(5) {
        0 => reply.headers.push(("content-length", draw.of(&["0", "-1", "99999999999", "x"]).to_owned())),
        1 => reply.headers.push(("content-encoding", draw.of(&["gzip", "br", "identity, gzip"]).to_owned())),
        2 => reply.headers.push(("transfer-encoding", "chunked".to_owned())),
        _ => {}
    }
    reply
}

/// Names that files are asked to have.
const NAMES: [&str; 9] = [
    "a.jpg",
    "../../../outside.jpg",
    "..\\..\\outside.jpg",
    "/etc/cron.d/x.jpg",
    "con.jpg",
    "a\u{0}b.jpg",
    "\u{202e}gpj.exe.jpg",
    " . ",
    "%2e%2e%2fx.jpg",
];

/// A message that asks for a malformed file, or for a sound one by a hostile link or name.
pub fn file_message(outside: &SocketAddr, number: usize, draw: &mut Draw) -> Vec<u8> {
    let base = format!("http://{outside}/files/bad-{number}/a.jpg");
    let url = match draw.below(8) {
        0 => "http://169.254.169.254/latest/meta-data/a.jpg".to_owned(),
        1 => format!("http://user:pass@{outside}/files/x/a.jpg"),
        2 => "file:///etc/passwd.jpg".to_owned(),
        3 => format!("http://{outside}/files/x/a.exe"),
        4 => String::from_utf8_lossy(&draw.bytes()).chars().take(2000).collect(),
        _ => base,
    };
    let name = match draw.below(3) {
        0 => draw.of(&NAMES).to_owned(),
        1 => format!("{}.jpg", "n".repeat(draw.below(5000))),
        _ => "a.jpg".to_owned(),
    };
    json!({"id": format!("bad-{number}"), "url": url, "name": name}).to_string().into_bytes()
}

/// A message that asks for a sound file.
pub fn sound_file(outside: &SocketAddr, id: &str) -> Vec<u8> {
    json!({"id": id, "url": format!("http://{outside}/files/{id}/a.jpg"), "name": "a.jpg"}).to_string().into_bytes()
}
