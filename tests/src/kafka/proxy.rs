//! A proxy before a broker that loses what ends a transaction: the request, or the answer to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The number of the request that ends a transaction.
const END_TXN: [u8; 2] = [0, 26];

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    /// The request never arrives.
    Request,
    /// It arrives, and nobody hears what became of it.
    Answer,
}

/// Stands before a broker.
pub struct Proxy {
    pub address: SocketAddr,
    lost: Arc<AtomicU8>,
    losses: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens. Connections wait until [`Proxy::serve`] says where the broker is.
    pub async fn listen() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Proxy { address, lost: Arc::default(), losses: Arc::default() }, listener)
    }

    /// Passes connections on to `broker` until the runtime of the test ends.
    pub fn serve(&self, listener: TcpListener, broker: String) {
        let (lost, losses) = (self.lost.clone(), self.losses.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (broker, lost, losses) = (broker.clone(), lost.clone(), losses.clone());
                tokio::spawn(async move {
                    // Either side may be gone; then the other goes too.
                    let Ok(server) = TcpStream::connect(broker).await else { return };
                    let (from_server, to_server) = server.into_split();
                    let (from_client, to_client) = client.into_split();
                    let mute = AtomicBool::new(false);
                    tokio::select! {
                        _ = answers(from_server, to_client, &mute) => {}
                        _ = requests(from_client, to_server, &mute, &lost, &losses) => {}
                    }
                });
            }
        });
    }

    /// From now on this is lost.
    pub fn lose(&self, what: Lost) {
        self.lost.store(what as u8, Ordering::SeqCst);
    }

    /// How often something was lost.
    pub fn losses(&self) -> usize {
        self.losses.load(Ordering::SeqCst)
    }
}

/// Passes answers on, until nobody is to hear more.
async fn answers(
    mut server: impl AsyncReadExt + Unpin,
    mut client: impl AsyncWriteExt + Unpin,
    mute: &AtomicBool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = server.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if !mute.load(Ordering::SeqCst) {
            client.write_all(&buffer[..count]).await?;
        }
    }
}

/// Passes requests on one by one. Returns when the connection is to be cut.
async fn requests(
    mut client: impl AsyncReadExt + Unpin,
    mut server: impl AsyncWriteExt + Unpin,
    mute: &AtomicBool,
    lost: &AtomicU8,
    losses: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let length = client.read_u32().await?;
        let mut request = vec![0; length as usize];
        client.read_exact(&mut request).await?;
        let lost = lost.load(Ordering::SeqCst);
        let loses = request.starts_with(&END_TXN) && lost != Lost::Nothing as u8;
        if loses {
            losses.fetch_add(1, Ordering::SeqCst);
            if lost == Lost::Request as u8 {
                return Ok(());
            }
            mute.store(true, Ordering::SeqCst);
        }
        server.write_u32(length).await?;
        server.write_all(&request).await?;
        if loses {
            // The broker has it, and is given time for it.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return Ok(());
        }
    }
}
