//! A TCP proxy that fails on demand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Stops with the runtime of its test.
pub struct FlakyProxy {
    address: SocketAddr,
    /// Client bytes that are forwarded before connections are closed.
    remaining: Arc<AtomicUsize>,
}

const UNLIMITED: usize = usize::MAX;

impl FlakyProxy {
    pub async fn new(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, remaining) =
            (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(UNLIMITED)));
        let limit = remaining.clone();
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, limit) = (server.clone(), limit.clone());
                tokio::runtime::Handle::current().spawn(async move {
                    // Either end may close at any time.
                    let _ = forward(client, &server, &limit).await;
                });
            }
        });
        Self { address, remaining }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes connections after this number of client bytes, until `recover`.
    pub fn fail_after(&self, bytes: usize) {
        self.remaining.store(bytes, Ordering::SeqCst);
    }

    pub fn recover(&self) {
        self.fail_after(UNLIMITED);
    }
}

async fn forward(
    mut client: TcpStream,
    server: &str,
    remaining: &AtomicUsize,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        tokio::select! {
            n = client.read(&mut up) => {
                let n = n?;
                if n == 0 {
                    return Ok(());
                }
                let taken = remaining.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                    UNLIMITED => Some(UNLIMITED),
                    left => left.checked_sub(n),
                });
                if taken.is_err() {
                    remaining.store(0, Ordering::SeqCst);
                    return Ok(());
                }
                server.write_all(&up[..n]).await?;
            }
            n = server.read(&mut down) => match n? {
                0 => return Ok(()),
                n => client.write_all(&down[..n]).await?,
            },
        }
    }
}
