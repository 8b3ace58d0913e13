use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// How long requests still reach the server after answers stopped.
const DEAF: Duration = Duration::from_millis(100);

/// What is lost of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It does not arrive; the connection ends with it.
    Request,
    /// It happens, and nobody hears of it; the connection ends with it.
    Answer,
    /// It does not arrive, and the connection is silent from then on.
    RequestSilently,
    /// It happens, and the connection is silent from then on.
    AnswerSilently,
}

type Losses = Arc<Mutex<VecDeque<Loss>>>;

/// A way to a PostgreSQL server that can be cut: what was asked arrives, and its answer does not.
pub(crate) struct Proxy {
    port: u16,
    cuts: watch::Sender<u32>,
    losses: Losses,
}

impl Proxy {
    /// To the server with its socket in `folder`.
    pub(crate) async fn to(folder: &str) -> Self {
        let socket = PathBuf::from(folder).join(".s.PGSQL.5432");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, cut) = watch::channel(0);
        let losses = Losses::default();
        let lost = Arc::clone(&losses);
        tokio::spawn(async move {
            while let Ok((client, _from)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(carry(client, server, cut.clone(), Arc::clone(&lost)));
            }
        });
        Self { port, cuts, losses }
    }

    /// The URL of a database behind it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://holdfast@127.0.0.1:{}/{database}", self.port)
    }

    /// Cuts every connection of now; new ones work.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Loses the next commit, whosever it is.
    pub(crate) fn lose(&self, loss: Loss) {
        self.losses.lock().unwrap().push_back(loss);
    }

    /// Whether everything to be lost is.
    pub(crate) fn lost(&self) -> bool {
        self.losses.lock().unwrap().is_empty()
    }
}

async fn carry(
    client: TcpStream,
    server: UnixStream,
    mut cut: watch::Receiver<u32>,
    losses: Losses,
) {
    cut.mark_unchanged();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (deaf, silent) = (AtomicBool::new(false), AtomicBool::new(false));
    let asked = async {
        let mut buffer = vec![0; 64 * 1024];
        // Goes on when answers have stopped: what was on its way still happens.
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            let bytes = &buffer[..count];
            let loss = is_commit(bytes).then(|| losses.lock().unwrap().pop_front());
            match loss.flatten() {
                Some(Loss::Request) => return,
                Some(Loss::Answer) => deaf.store(true, Ordering::SeqCst),
                Some(Loss::RequestSilently) => {
                    silent.store(true, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                Some(Loss::AnswerSilently) => silent.store(true, Ordering::SeqCst),
                None => {}
            }
            if to_server.write_all(bytes).await.is_err() {
                return;
            }
        }
    };
    let answered = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            tokio::select! {
                biased;
                _cut = cut.changed() => return tokio::time::sleep(DEAF).await,
                read = from_server.read(&mut buffer) => match read {
                    Ok(0) | Err(_) if silent.load(Ordering::SeqCst) => std::future::pending().await,
                    Ok(_answer) if silent.load(Ordering::SeqCst) => {}
                    Ok(0) | Err(_) => return,
                    Ok(_answer) if deaf.load(Ordering::SeqCst) => return,
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

/// Whether a client's message is the statement that ends a transaction, alone as drivers send it.
fn is_commit(message: &[u8]) -> bool {
    message.windows(6).any(|word| word == b"COMMIT")
}
