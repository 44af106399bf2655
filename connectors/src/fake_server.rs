//! A server for tests that says exactly the bytes it is told to, and stops where it is told to.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What comes next on a connection. After the last piece it is closed.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, until the client goes away.
    Stall,
    /// A reset.
    Reset,
}

/// A whole answer with its length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Piece> {
    vec![head(status, headers, Some(body.len())), Piece::Bytes(body.to_vec())]
}

/// The head of an answer, with a `Content-Length` that need not be true.
pub(crate) fn head(status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Piece {
    let mut text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    if let Some(length) = length {
        text.push_str(&format!("content-length: {length}\r\n"));
    }
    Piece::Bytes((text + "\r\n").into_bytes())
}

/// Serves each connection what `script` makes of the head of its request. Ends with the runtime.
pub(crate) async fn serve(script: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let script = Arc::clone(&script);
            tokio::spawn(async move { converse(stream, &*script).await });
        }
    });
    address
}

async fn converse(mut stream: TcpStream, script: &(dyn Fn(&str) -> Vec<Piece> + Send + Sync)) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let head = loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend(chunk.iter().take(read)),
        }
        if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            break String::from_utf8_lossy(&request[..end]).into_owned();
        }
    };
    for piece in script(&head) {
        match piece {
            Piece::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Piece::Stall => while matches!(stream.read(&mut chunk).await, Ok(read) if read > 0) {},
            Piece::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
        }
    }
    let _ = stream.shutdown().await;
}
