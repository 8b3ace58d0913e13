use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// How long requests still reach the server after answers stopped.
const DEAF: Duration = Duration::from_millis(100);

/// A way to a PostgreSQL server that can be cut: what was asked arrives, and its answer does not.
pub(crate) struct Proxy {
    port: u16,
    cuts: watch::Sender<u32>,
}

impl Proxy {
    /// To the server with its socket in `folder`.
    pub(crate) async fn to(folder: &str) -> Self {
        let socket = PathBuf::from(folder).join(".s.PGSQL.5432");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _from)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(carry(client, server, cut.clone()));
            }
        });
        Self { port, cuts }
    }

    /// The URL of a database behind it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://holdfast@127.0.0.1:{}/{database}", self.port)
    }

    /// Cuts every connection of now; new ones work.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(client: TcpStream, server: UnixStream, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = async move {
        // Goes on when answers have stopped: what was on its way still happens.
        let _ended = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let answered = async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            tokio::select! {
                biased;
                _cut = cut.changed() => return tokio::time::sleep(DEAF).await,
                read = from_server.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => if to_client.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = asked => {}
        () = answered => {}
    }
}
