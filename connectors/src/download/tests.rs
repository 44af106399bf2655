//! Downloads from a server that misbehaves in every way.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::SystemClock;
use crate::fake_server::{Piece, answer, head, serve};
use crate::spool::Memory;

const PDF: (&str, &str) = ("content-type", "application/pdf");

fn options(address: SocketAddr) -> Options {
    Options {
        allow: vec!["files.example.com".into()],
        allow_local: vec![address.to_string()],
        max_size: 5000,
        idle_timeout: Duration::from_secs(20),
        concurrency: 4,
        ..Options::default()
    }
}

fn downloader(options: &Options) -> Downloader {
    Downloader::new(options, Arc::new(SystemClock::new(1.0))).unwrap()
}

/// Downloads `/a.pdf?sig=abc` of a server that answers `pieces`.
async fn fetch(idle_timeout: Duration, pieces: Vec<Piece>) -> (Result<Downloaded>, Memory) {
    let address = serve(move |_| pieces.clone()).await;
    let spool = Memory::default();
    let options = Options { idle_timeout, ..options(address) };
    let result = downloader(&options).fetch(&format!("http://{address}/a.pdf?sig=abc"), &spool, "1/a.pdf").await;
    (result, spool)
}

#[tokio::test]
async fn a_file_arrives_whole_with_its_checksum() {
    let (result, spool) = fetch(Duration::from_secs(20), answer(200, &[PDF], b"%PDF-1.4 hello")).await;
    let downloaded = result.unwrap();
    assert_eq!(spool.get("1/a.pdf").unwrap(), &b"%PDF-1.4 hello"[..]);
    assert_eq!(downloaded.sha256, format!("{:x}", Sha256::digest(b"%PDF-1.4 hello")));
    assert_eq!((downloaded.bytes, downloaded.path.as_str()), (14, "1/a.pdf"));
    assert_eq!(downloaded.content_type.as_deref(), Some("application/pdf"));
    assert_eq!((downloaded.extension.as_deref(), downloaded.sniffed), (Some("pdf"), Some("application/pdf")));
    assert!(downloaded.final_url.ends_with("/a.pdf?sig=[REDACTED]"), "{}", downloaded.final_url);
}

#[tokio::test]
async fn every_way_to_misbehave_has_its_category_and_leaves_no_file() {
    use Category::{Auth, Permanent, Transient, Unknown};
    let patient = Duration::from_secs(20);
    let hasty = Duration::from_millis(50);
    let body = |bytes: &[u8]| Piece::Bytes(bytes.to_vec());
    let octets = ("content-type", "binary/octet-stream");
    let chunked = ("transfer-encoding", "chunked");
    let cases = [
        ("truncated", patient, vec![head(200, &[PDF], Some(100)), body(b"%PDF-")], Transient, Some(200)),
        (
            "truncated in chunks",
            patient,
            vec![head(200, &[PDF, chunked], None), body(b"5\r\n%PDF-\r\n")],
            Transient,
            Some(200),
        ),
        ("reset", patient, vec![head(200, &[PDF], Some(100)), body(b"%PDF-"), Piece::Reset], Transient, Some(200)),
        ("reset at once", patient, vec![Piece::Reset], Transient, None),
        ("empty", patient, answer(200, &[PDF], b""), Transient, Some(200)),
        ("stalled", hasty, vec![head(200, &[PDF], Some(100)), body(b"%PDF-"), Piece::Stall], Transient, Some(200)),
        ("silent", hasty, vec![Piece::Stall], Transient, None),
        ("too long", patient, answer(200, &[PDF], &[b'x'; 5001]), Permanent, Some(200)),
        ("too long, unannounced", patient, vec![head(200, &[PDF], None), body(&[b'x'; 5001])], Permanent, Some(200)),
        (
            "a page",
            patient,
            answer(200, &[("content-type", "text/html; charset=utf-8")], b"<html>"),
            Permanent,
            Some(200),
        ),
        ("a page in disguise", patient, answer(200, &[octets], b"<html>sign in</html>"), Permanent, Some(200)),
        ("a long page in disguise", patient, answer(200, &[], &[b'<'; 2000]), Permanent, Some(200)),
        ("204", patient, answer(204, &[], b""), Unknown, Some(204)),
        ("206", patient, answer(206, &[PDF], b"%PDF-"), Unknown, Some(206)),
        ("304", patient, answer(304, &[], b""), Unknown, Some(304)),
        ("302 to nowhere", patient, answer(302, &[], b""), Unknown, Some(302)),
        ("400", patient, answer(400, &[], b""), Permanent, Some(400)),
        ("401", patient, answer(401, &[], b""), Auth, Some(401)),
        ("403", patient, answer(403, &[], b"expired"), Permanent, Some(403)),
        ("404", patient, answer(404, &[], b""), Permanent, Some(404)),
        ("410", patient, answer(410, &[], b""), Permanent, Some(410)),
        ("429", patient, answer(429, &[("retry-after", "7")], b""), Transient, Some(429)),
        ("500", patient, answer(500, &[], b""), Transient, Some(500)),
        ("503", patient, answer(503, &[], b""), Transient, Some(503)),
        (
            "redirect inside",
            patient,
            answer(302, &[("location", "http://127.0.0.1:1/x.pdf")], b""),
            Permanent,
            Some(302),
        ),
        (
            "redirect to metadata",
            patient,
            answer(307, &[("location", "http://169.254.169.254/x.pdf")], b""),
            Permanent,
            Some(307),
        ),
        ("redirect to a file", patient, answer(301, &[("location", "file:///etc/passwd")], b""), Permanent, Some(301)),
        ("redirect to itself", patient, answer(302, &[("location", "/a.pdf")], b""), Permanent, Some(302)),
    ];
    for (name, idle_timeout, pieces, category, status) in cases {
        let (result, spool) = fetch(idle_timeout, pieces).await;
        let error = result.unwrap_err();
        assert_eq!(error.category, category, "{name}: {error}");
        // On a slow machine the patience or the connection may end before the head has been read.
        let headless = error.status.is_none() && ["stalled", "reset"].contains(&name);
        assert!(error.status == status || headless, "{name}: {:?}: {error}", error.status);
        assert_eq!(error.retry_after, (name == "429").then_some(Duration::from_secs(7)), "{name}");
        assert!(!error.to_string().contains("abc"), "{name}: {error}");
        assert!(spool.paths().is_empty(), "{name} left a file");
    }
}

#[tokio::test]
async fn what_says_nothing_is_settled_by_the_first_bytes() {
    for headers in [vec![], vec![("content-type", "application/octet-stream")]] {
        let (result, spool) = fetch(Duration::from_secs(20), answer(200, &headers, b"%PDF-1.4")).await;
        assert_eq!(result.unwrap().sniffed, Some("application/pdf"));
        assert_eq!(spool.paths(), ["1/a.pdf"]);
    }
}

#[tokio::test]
async fn redirects_are_followed_up_to_five() {
    for (hops, passes) in [(5, true), (6, false)] {
        let address = serve(move |request| {
            let at: usize = request.split("n=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
            match at < hops {
                true => answer(302, &[("location", &format!("/b/c.pdf?n={}", at + 1))], b""),
                false => answer(200, &[PDF], b"%PDF-"),
            }
        })
        .await;
        let spool = Memory::default();
        let result = downloader(&options(address)).fetch(&format!("http://{address}/a.pdf?n=0"), &spool, "a.pdf").await;
        assert_eq!(result.is_ok(), passes, "{hops} redirects: {result:?}");
        if let Ok(downloaded) = result {
            assert!(downloaded.final_url.ends_with("/b/c.pdf?n=5"));
        }
    }
}

/// Answers every name with addresses of its own.
struct Rebound(Vec<IpAddr>, AtomicUsize);

#[async_trait::async_trait]
impl Lookup for Rebound {
    async fn lookup(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_name_that_resolves_inside_is_refused() {
    let address: SocketAddr = ([127, 0, 0, 1], 9).into();
    for addresses in
        [&["127.0.0.1"][..], &["169.254.169.254"], &["8.8.8.8", "10.0.0.1"], &["::1"], &["::ffff:10.0.0.1"]]
    {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let lookup = Arc::new(Rebound(addresses, AtomicUsize::new(0)));
        let downloader =
            Downloader::resolving(&options(address), lookup.clone(), Arc::new(SystemClock::new(1.0))).unwrap();
        let error = downloader.fetch("https://files.example.com/a.pdf", &Memory::default(), "a.pdf").await.unwrap_err();
        assert_eq!(error.category, Category::Permanent, "{error}");
        assert!(error.message.contains("not a public address"), "{error}");
        assert_eq!(lookup.1.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_is_refused_is_not_asked_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let address = serve({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            answer(200, &[PDF], b"%PDF-")
        }
    })
    .await;
    let port = address.port();
    let downloader = downloader(&options(address));
    for url in [
        format!("http://{address}/a.exe"),
        format!("http://{address}/a"),
        format!("http://user@{address}/a.pdf"),
        format!("http://localhost:{port}/a.pdf"),
        format!("http://0x7f000001:{port}/a.pdf"),
        format!("http://127.1:{port}/a.pdf"),
    ] {
        assert_eq!(downloader.check(&url).unwrap_err().category, Category::Permanent, "{url}");
        assert!(downloader.fetch(&url, &Memory::default(), "a.pdf").await.is_err(), "{url}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_error_of_the_spool_comes_through() {
    let address = serve(|_| answer(200, &[PDF], b"%PDF-")).await;
    let spool = Memory::default();
    spool.refuse(Some(Error::permanent("cannot write /spool/a.pdf: no space left")));
    let error =
        downloader(&options(address)).fetch(&format!("http://{address}/a.pdf"), &spool, "a.pdf").await.unwrap_err();
    assert_eq!(error.category, Category::Permanent);
    assert!(error.message.contains("/spool/a.pdf"), "{error}");
}

#[tokio::test]
async fn a_download_that_is_given_up_leaves_nothing_and_frees_its_place() {
    let address = serve(|request| match request.contains("stall") {
        true => vec![head(200, &[PDF], Some(100)), Piece::Bytes(b"%PDF-".to_vec()), Piece::Stall],
        false => answer(200, &[PDF], b"%PDF-"),
    })
    .await;
    let downloader = downloader(&Options { concurrency: 1, ..options(address) });
    let spool = Memory::default();
    let (stalled, whole) = (format!("http://{address}/stall.pdf"), format!("http://{address}/a.pdf"));
    {
        let given_up = downloader.fetch(&stalled, &spool, "stall.pdf");
        let waits = downloader.fetch(&whole, &spool, "early.pdf");
        futures::pin_mut!(given_up, waits);
        assert!(futures::poll!(given_up.as_mut()).is_pending());
        assert!(futures::poll!(waits.as_mut()).is_pending());
        assert!(timeout(Duration::from_millis(20), given_up.as_mut()).await.is_err());
    }
    downloader.fetch(&whole, &spool, "a.pdf").await.unwrap();
    assert_eq!(spool.paths(), ["a.pdf"]);
}
