//! A server of the tests' own. It speaks HTTP by hand, because what it must be able to do is what a server library prevents:
//! answers that stop in the middle, connections that are reset, requests that are never answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request.
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Everything before the body.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What the client gets.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers, but those of the connection and of the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it ends.
    pub end: End,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Whole,
    /// After half of the body that was announced.
    Half,
    /// As it should, in eight pieces with pauses.
    Slow,
    /// With a reset of the connection, before anything was sent.
    Reset,
    /// Never.
    Hang,
}

/// Serves on `address` (port 0: any that is free) until the runtime of the test ends. Returns where.
pub async fn serve(address: SocketAddr, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move { exchange(stream, &*answer).await });
        }
    });
    address
}

async fn exchange(mut stream: TcpStream, answer: &(impl Fn(&Request) -> Reply + Sync)) {
    let Some(request) = read(&mut stream).await else { return };
    let reply = answer(&request);
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
    let sent = match reply.end {
        End::Hang => return tokio::time::sleep(Duration::from_secs(3600)).await,
        End::Reset => stream.set_zero_linger(),
        End::Half => stream.write_all(&[head.as_bytes(), &reply.body[..reply.body.len() / 2]].concat()).await,
        End::Whole => stream.write_all(&[head.as_bytes(), &reply.body].concat()).await,
        End::Slow => slowly(&mut stream, &head, &reply.body).await,
    };
    // Whoever asked may be gone.
    if sent.is_ok() {
        let _ = stream.shutdown().await;
    }
}

async fn slowly(stream: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    for piece in body.chunks(body.len().div_ceil(8).max(1)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(piece).await?;
    }
    Ok(())
}

/// The head of a request and its body.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            let body = bytes.get(end + 4..)?;
            if body.len() >= length.unwrap_or(0) {
                let mut words = head.split_whitespace().map(str::to_owned);
                let (method, target) = (words.next()?, words.next()?);
                return Some(Request { method, target, body: body.to_vec(), head });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
