//! The client against scripted answers, and the wire against a server that misbehaves.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::fake_server::{Piece, answer, head, serve};
use crate::http::{Auth, Scripted};

/// A clock on which every sleep passes at once and is remembered.
#[derive(Default)]
struct Hurried {
    clock: ManualClock,
    slept: Mutex<Vec<Duration>>,
}

#[async_trait::async_trait]
impl Clock for Hurried {
    fn now(&self) -> Micros {
        self.clock.now()
    }
    async fn sleep(&self, duration: Duration) {
        lock(&self.slept).push(duration);
        self.clock.advance(duration);
    }
    fn scaled(&self, duration: Duration) -> Duration {
        duration / 10
    }
}

/// A client to which the server says `statuses` in turn, the last one for ever.
fn client(options: &Options, statuses: &'static [u16]) -> (Client, Arc<Hurried>) {
    let clock = Arc::new(Hurried::default());
    let calls = AtomicUsize::new(0);
    let wire = Scripted::new(move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        let status = statuses.get(call).or(statuses.last()).copied().unwrap();
        async move {
            if status == 0 {
                return Err(Error::transient("no connection"));
            }
            Ok(Scripted::json(status, "{}"))
        }
    });
    (Client::over(Arc::new(wire), options, clock.clone()), clock)
}

fn get() -> Request {
    Request::get("/orders/1")
}

#[tokio::test]
async fn refusals_lower_the_calls_at_a_time_and_answers_raise_them() {
    let backoff = Backoff { retries: 0, ..Options::default().backoff };
    let options = Options { concurrency: 10, backoff, ..Options::default() };
    let (client, _) = client(&options, &[429, 503, 500, 200]);
    let mut limits = vec![client.snapshot().limit];
    for _ in 0..3 {
        client.send(&get()).await.unwrap_err();
        limits.push(client.snapshot().limit);
    }
    // A failure that is no refusal says nothing about how many calls are too many.
    assert_eq!(limits, [10, 7, 4, 4]);
    for _ in 0..100 {
        client.send(&get()).await.unwrap();
    }
    assert_eq!(client.snapshot().limit, 10);
}

#[tokio::test]
async fn transient_failures_are_tried_again_with_growing_scaled_waits() {
    let (client, clock) = client(&Options::default(), &[503, 0, 429, 200]);
    assert_eq!(client.send(&get()).await.unwrap().status, 200);
    let slept = lock(&clock.slept).clone();
    assert_eq!(slept.len(), 3);
    for (wait, full) in slept.iter().zip([100, 200, 400]) {
        assert!((full / 2..=full).contains(&wait.as_millis()), "{slept:?}");
    }
    let snapshot = client.snapshot();
    assert_eq!((snapshot.calls, snapshot.exchanges, snapshot.retries), (1, 4, 3));
    assert_eq!((snapshot.failures, snapshot.under_way, snapshot.bytes), (0, 0, 2));
}

#[tokio::test]
async fn other_failures_leave_at_once() {
    for (status, category) in [(401, Category::Auth), (403, Category::Permanent), (404, Category::Permanent)] {
        let (client, clock) = client(&Options::default(), Box::leak(Box::new([status])));
        let error = client.send(&get()).await.unwrap_err();
        assert_eq!((error.category, error.status), (category, Some(status)));
        assert!(lock(&clock.slept).is_empty());
    }
}

#[tokio::test]
async fn a_wish_of_the_server_is_waited_for_up_to_the_cap() {
    for (wish, waits) in [("20", vec![Duration::from_secs(2)]), ("31", vec![])] {
        let clock = Arc::new(Hurried::default());
        let wire = Scripted::new(move |_| async move {
            let mut response = Scripted::json(429, "");
            response.headers.insert("retry-after", wish.parse().unwrap());
            Ok(response)
        });
        let mut options = Options::default();
        options.backoff.retries = 1;
        let error = Client::over(Arc::new(wire), &options, clock.clone()).send(&get()).await.unwrap_err();
        assert_eq!(error.retry_after, Some(Duration::from_secs(wish.parse().unwrap())));
        assert_eq!(*lock(&clock.slept), waits);
    }
}

#[tokio::test]
async fn the_breaker_opens_rejects_and_closes_again() {
    let mut options = Options::default();
    options.backoff.retries = 0;
    let (client, clock) = client(&options, &[500, 404, 500, 401, 500, 0, 500, 200]);
    for _ in 0..7 {
        assert!(client.send(&get()).await.is_err());
    }
    assert_eq!(client.snapshot().breaker, BreakerState::Open);

    clock.clock.advance(Duration::from_secs(2));
    let error = client.send(&get()).await.unwrap_err();
    assert_eq!((error.category, error.retry_after), (Category::CircuitOpen, Some(Duration::from_secs(4))));
    assert_eq!((client.snapshot().exchanges, client.snapshot().rejections), (7, 1));

    clock.clock.advance(Duration::from_secs(4));
    client.send(&get()).await.unwrap();
    assert_eq!(client.snapshot().breaker, BreakerState::HalfOpen);
    client.send(&get()).await.unwrap();
    assert_eq!(client.snapshot().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn a_request_whose_own_failures_open_the_breaker_is_told_what_it_was_answered() {
    let mut options = Options::default();
    options.backoff.retries = 9;
    let (client, _) = client(&options, &[503]);
    let error = client.send(&get()).await.unwrap_err();
    assert_eq!((error.category, error.status), (Category::Transient, Some(503)));
    assert_eq!(client.snapshot().breaker, BreakerState::Open);
    // One that was never sent is rejected.
    assert_eq!(client.send(&get()).await.unwrap_err().category, Category::CircuitOpen);
}

#[tokio::test]
async fn a_half_open_breaker_lets_three_through_and_a_call_that_is_given_up_frees_its_place() {
    let clock = Arc::new(Hurried::default());
    let calls = Arc::new(AtomicUsize::new(0));
    let wire = Scripted::new({
        let calls = Arc::clone(&calls);
        move |_| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                match call < 5 {
                    true => Ok(Scripted::json(500, "")),
                    false => futures::future::pending().await,
                }
            }
        }
    });
    let mut options = Options::default();
    options.backoff.retries = 0;
    let client = Client::over(Arc::new(wire), &options, clock.clone());
    for _ in 0..5 {
        assert!(client.send(&get()).await.is_err());
    }
    clock.clock.advance(Duration::from_secs(60));
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.send(&get()).await })
        })
        .collect();
    let mut rejected = 0;
    let mut trials = Vec::new();
    while client.snapshot().rejections < 17 {
        tokio::task::yield_now().await;
    }
    for call in crowd {
        match client.snapshot().under_way {
            0 => unreachable!("the trials are pending"),
            _ if call.is_finished() => {
                assert_eq!(call.await.unwrap().unwrap_err().category, Category::CircuitOpen);
                rejected += 1;
            }
            _ => trials.push(call),
        }
    }
    assert_eq!((rejected, trials.len(), client.snapshot().under_way), (17, 3, 3));

    let given_up = trials.pop().unwrap();
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(client.snapshot().under_way, 2);
    let next = tokio::spawn({
        let client = client.clone();
        async move { client.send(&get()).await }
    });
    while client.snapshot().under_way < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.snapshot().breaker, BreakerState::HalfOpen);
    next.abort();
    trials.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn no_more_calls_than_places_and_no_faster_than_the_rate() {
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let wire = Scripted::new({
        let (most, now) = (Arc::clone(&most), Arc::clone(&now));
        move |_| {
            let (most, now) = (Arc::clone(&most), Arc::clone(&now));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(Scripted::json(200, "{}"))
            }
        }
    });
    let clock = Arc::new(Hurried::default());
    let options = Options { concurrency: 4, rate: Some((10.0, 5)), ..Options::default() };
    let client = Client::over(Arc::new(wire), &options, clock.clone());
    let request = get();
    let results = futures::future::join_all((0..25).map(|_| client.send(&request))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 4);
    // Five at once, then one every 100 ms: the clock of the test moves only by waiting.
    assert!(clock.now() >= 2_000_000, "25 calls in {} us", clock.now());
}

async fn over_the_wire(options: Options, pieces: Vec<Piece>) -> Result<Response> {
    let address = serve(move |_| pieces.clone()).await;
    let mut options = Options { url: format!("http://{address}/v1"), ..options };
    options.backoff.retries = 0;
    Client::new(&options, Arc::new(crate::clock::SystemClock::new(1.0)))
        .unwrap()
        .send(&Request::get("/a?token=abc"))
        .await
}

#[tokio::test]
async fn every_way_to_misbehave_has_its_category() {
    let json = [("content-type", "application/json")];
    let long = vec![b'1'; 2000];
    let small = || Options { max_answer: 1000, timeout: Duration::from_secs(20), ..Options::default() };
    let hasty = || Options { timeout: Duration::from_millis(50), ..Options::default() };
    let cases = [
        ("whole", small(), answer(200, &json, b"{}"), None),
        (
            "truncated",
            small(),
            vec![head(200, &json, Some(10)), Piece::Bytes(b"{}".to_vec())],
            Some(Category::Transient),
        ),
        ("reset", small(), vec![head(200, &json, Some(10)), Piece::Reset], Some(Category::Transient)),
        ("reset at once", small(), vec![Piece::Reset], Some(Category::Transient)),
        ("not HTTP", small(), vec![Piece::Bytes(b"SSH-2.0\r\n\r\n".to_vec())], Some(Category::Transient)),
        ("stalled", hasty(), vec![head(200, &json, Some(10)), Piece::Stall], Some(Category::Transient)),
        ("silent", hasty(), vec![Piece::Stall], Some(Category::Transient)),
        ("too long", small(), answer(200, &json, &long), Some(Category::Permanent)),
        (
            "too long, length unknown",
            small(),
            vec![head(200, &json, None), Piece::Bytes(long.clone())],
            Some(Category::Permanent),
        ),
        ("long failure", small(), answer(500, &json, &[b'x'; 100_000]), Some(Category::Transient)),
        ("broken failure", small(), vec![head(404, &json, Some(10))], Some(Category::Permanent)),
        (
            "redirect",
            small(),
            answer(302, &[("location", "http://127.0.0.1:9/stolen")], b""),
            Some(Category::Transient),
        ),
        ("page", small(), answer(200, &[("content-type", "text/html")], b"<html>"), Some(Category::Transient)),
    ];
    for (name, options, pieces, expected) in cases {
        let result = over_the_wire(options, pieces).await;
        assert_eq!(result.as_ref().err().map(|e| e.category), expected, "{name}: {result:?}");
        if let Err(error) = result {
            assert!(error.message.starts_with("GET /a?token=[REDACTED]: "), "{name}: {error}");
            assert!(!error.to_string().contains("abc"), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn a_request_carries_what_it_should() {
    let seen = Arc::new(Mutex::new(String::new()));
    let address = serve({
        let seen = Arc::clone(&seen);
        move |request| {
            *lock(&seen) = request.to_lowercase();
            answer(200, &[("content-type", "application/json"), ("link", "</v1/b>; rel=\"next\"")], b"[1]")
        }
    })
    .await;
    let options = Options {
        url: format!("http://{address}/v1/"),
        auth: Auth::Basic { username: "user".into(), password: "pass".into() },
        headers: [("x-team".to_owned(), "blue".to_owned())].into(),
        ..Options::default()
    };
    let client = Client::new(&options, Arc::new(ManualClock::at(7))).unwrap();
    let mut request = Request::post("/data", r#"{"a":1}"#);
    request.headers.push(("x-trace".into(), "t1".into()));
    let response = client.send(&request).await.unwrap();
    assert_eq!((response.requested_at, &response.body[..]), (7, &b"[1]"[..]));
    assert_eq!(response.header("link"), Some("</v1/b>; rel=\"next\""));
    let seen = lock(&seen).clone();
    for expected in [
        "post /v1/data http/1.1",
        "authorization: basic dxnlcjpwyxnz",
        "content-type: application/json",
        "accept: application/json",
        "x-team: blue",
        "x-trace: t1",
    ] {
        assert!(seen.contains(expected), "{expected} in {seen}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_transient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut options = Options { url, ..Options::default() };
    options.backoff.retries = 0;
    let error = Client::new(&options, Arc::new(ManualClock::at(0))).unwrap().send(&get()).await.unwrap_err();
    assert_eq!(error.category, Category::Transient);
    assert!(error.message.starts_with("GET /orders/1: cannot connect to 127.0.0.1"), "{error}");
}
