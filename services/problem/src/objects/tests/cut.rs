//! A wire that breaks when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A forwarder to a server. Ends with the runtime of its test.
pub struct Cut {
    address: SocketAddr,
    /// Bytes of clients that still come through.
    left: Arc<AtomicUsize>,
}

const WHOLE: usize = usize::MAX;

impl Cut {
    /// A wire to `endpoint`, whole for now.
    pub async fn before(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, left) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(WHOLE)));
        let limit = left.clone();
        tokio::runtime::Handle::current().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, limit) = (server.clone(), limit.clone());
                tokio::runtime::Handle::current().spawn(async move {
                    // Either end may close at any time.
                    let _ = forward(client, &server, &limit).await;
                });
            }
        });
        Self { address, left }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks, for good, after so many more bytes from clients.
    pub fn after(&self, bytes: usize) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    pub fn never(&self) {
        self.after(WHOLE);
    }
}

async fn forward(mut client: TcpStream, server: &str, left: &AtomicUsize) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        tokio::select! {
            n = client.read(&mut up) => {
                let n = n?;
                if n == 0 {
                    return Ok(());
                }
                let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                    WHOLE => Some(WHOLE),
                    left => left.checked_sub(n),
                });
                if taken.is_err() {
                    left.store(0, Ordering::SeqCst);
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
