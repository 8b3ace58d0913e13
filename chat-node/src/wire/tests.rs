//! Frames of the owner and of others on one stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Sent, SharedFrame, WiredStream};
use crate::hub::{Outlet, deliver};

const LONG: Duration = Duration::from_secs(60);
/// Frames that are under way at most: fewer than a queue takes. Sometimes the last of them is the first that the system has no room for, and none
/// comes behind it.
const UNDER_WAY_MAX: usize = 40;
/// Who delivers, each so many frames.
const FROM: usize = 3;
const EACH: usize = 2000;

/// Both ends of a connection whose buffers are soon full.
async fn ends() -> (TcpStream, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(8192).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(1).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8192).unwrap();
    let client = socket.connect(listener.local_addr().unwrap());
    let (client, served) = tokio::join!(client, listener.accept());
    (served.unwrap().0, client.unwrap())
}

/// The number of a frame that the system never takes at once.
const LARGE: usize = 100;

/// A frame that says from whom it is and which of theirs: shorter and longer than a WebSocket's buffer, some larger than the system's.
fn frame(from: usize, number: usize) -> SharedFrame {
    SharedFrame::from(format!("{from} {number} {}", "x".repeat(fill(number))).as_str())
}

fn fill(number: usize) -> usize {
    if number.is_multiple_of(LARGE) && number > 0 {
        return 400_000;
    }
    number * 37 % 6000
}

/// Whose frame it is, and which of theirs.
fn parts(text: &str) -> (usize, usize) {
    let mut words = text.split(' ');
    let from = words.next().unwrap().parse().unwrap();
    let number = words.next().unwrap().parse().unwrap();
    assert_eq!(words.next().unwrap().len(), fill(number));
    (from, number)
}

async fn read(client: &mut (impl AsyncRead + Unpin)) -> (usize, usize) {
    assert_eq!(client.read_u8().await.unwrap(), 0x81);
    let length = match client.read_u8().await.unwrap() {
        126 => usize::from(client.read_u16().await.unwrap()),
        127 => usize::try_from(client.read_u64().await.unwrap()).unwrap(),
        length => usize::from(length),
    };
    let mut text = vec![0; length];
    client.read_exact(&mut text).await.unwrap();
    parts(std::str::from_utf8(&text).unwrap())
}

#[tokio::test]
async fn what_the_system_has_no_room_for_is_kept_and_nothing_is_written_before_it() {
    let (served, mut client) = ends().await;
    let (mut stream, wire) = WiredStream::new(served);
    wire.begin_frames();
    let mut frames = VecDeque::from([frame(0, LARGE), frame(0, 1), frame(0, 2)]);
    assert_eq!(wire.send(&mut frames), Sent::NotAll);
    assert!(wire.has_rest() && frames.len() == 2);
    let mut half = vec![0; fill(LARGE) / 2];
    let owner = tokio::spawn(async move {
        stream.write_all(frame(1, 0).bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    // There is room again, for what is kept.
    client.read_exact(&mut half).await.unwrap();
    while wire.has_rest() {
        assert_eq!(wire.send(&mut frames), Sent::NotAll);
        assert_eq!(frames.len(), 2);
        let mut some = [0; 1000];
        let read = timeout(LONG, client.read(&mut some)).await.unwrap();
        half.extend_from_slice(&some[..read.unwrap()]);
        tokio::task::yield_now().await;
    }
    let _stream = owner.await.unwrap();
    let mut all = half.chain(client);
    for expected in [(0, LARGE), (1, 0)] {
        assert_eq!(timeout(LONG, read(&mut all)).await.unwrap(), expected);
    }
    // There is room as soon as the client's system has acknowledged what was read.
    let room = async {
        while wire.send(&mut frames) != Sent::All {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, room).await.unwrap();
    for expected in [(0, 1), (0, 2)] {
        assert_eq!(timeout(LONG, read(&mut all)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_stream_that_its_owner_drops_is_over_for_everybody() {
    let (served, mut client) = ends().await;
    let (stream, wire) = WiredStream::new(served);
    wire.begin_frames();
    drop(stream);
    assert_eq!(wire.send(&mut VecDeque::from([frame(0, 0)])), Sent::NotAll);
    let end = timeout(LONG, client.read_u8()).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

/// What those who deliver and the client know of each other.
struct UnderWay {
    /// Frames may be delivered.
    allowed: Semaphore,
    /// So many were.
    delivered: AtomicUsize,
}

impl UnderWay {
    fn new() -> Self {
        Self {
            allowed: Semaphore::new(0),
            delivered: AtomicUsize::new(0),
        }
    }
}

/// [`FROM`] who deliver [`EACH`] frames, as fast as they may.
fn deliver_much(outlet: &Arc<Outlet>, under_way: &Arc<UnderWay>) {
    for from in 1..=FROM {
        let (outlet, under_way) = (Arc::clone(outlet), Arc::clone(under_way));
        tokio::spawn(async move {
            for number in 0..EACH {
                under_way.allowed.acquire().await.unwrap().forget();
                let frame = frame(from, number);
                if number % 7 == 0 {
                    outlet.send(frame);
                } else {
                    deliver(|delivery| delivery.queue(&outlet, &frame));
                }
                under_way.delivered.fetch_add(1, Ordering::Release);
            }
        });
    }
}

/// Reads frames until each has come. When it has read those that were under way, so many others may come, and the client waits until they have.
async fn receive_much(mut read: impl AsyncFnMut() -> (usize, usize), with: &UnderWay, own: usize) {
    let mut next = [0; FROM + 1];
    let (mut under_way, mut rounds, mut allowed) = (0, 0, 0);
    for _each in 0..FROM * EACH + own {
        if under_way == 0 {
            rounds += 1;
            under_way = (rounds * 7 % UNDER_WAY_MAX + 1).min(FROM * EACH - allowed);
            allowed += under_way;
            with.allowed.add_permits(under_way);
            while with.delivered.load(Ordering::Acquire) < allowed {
                tokio::task::yield_now().await;
            }
        }
        let (from, number) = timeout(LONG, read()).await.unwrap();
        assert_eq!(number, next[from], "from {from}");
        next[from] += 1;
        under_way -= usize::from(from > 0);
    }
    assert_eq!(next, [own, EACH, EACH, EACH]);
}

/// Nothing but frames: whoever cannot send wakes the task, and only they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ch2_frames_come_each_once_and_in_order_whoever_sends_them() {
    let (served, mut client) = ends().await;
    let (mut stream, wire) = WiredStream::new(served);
    wire.begin_frames();
    let outlet = Outlet::new(Some(wire));
    let woken = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn({
        let (outlet, woken) = (Arc::clone(&outlet), Arc::clone(&woken));
        async move {
            loop {
                outlet.due().await;
                woken.fetch_add(1, Ordering::Relaxed);
                while let Some(frame) = outlet.take() {
                    stream.write_all(frame.bytes()).await.unwrap();
                }
                stream.flush().await.unwrap();
            }
        }
    });
    let under_way = Arc::new(UnderWay::new());
    deliver_much(&outlet, &under_way);
    receive_much(async || read(&mut client).await, &under_way, 0).await;
    assert!(!outlet.is_ended());
    assert!(woken.load(Ordering::Relaxed) > 0, "it was never stuck");
    task.abort();
}

/// What a connection's task does: sends what is due, answers pings (the library does, when it reads), and has something to say itself.
async fn own_task(outlet: Arc<Outlet>, mut socket: WebSocketStream<WiredStream>, own: usize) {
    let mut said = 0;
    let mut pause = interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            biased;
            () = outlet.due() => {}
            heard = socket.next() => {
                heard.unwrap().unwrap();
            }
            _tick = pause.tick(), if said < own => {
                outlet.take_turn();
                let text = frame(0, said).text().to_string();
                socket.feed(Message::text(text)).await.unwrap();
                said += 1;
            }
        }
        while let Some(frame) = outlet.take() {
            tokio::task::yield_now().await;
            let text = frame.text().to_string();
            socket.feed(Message::text(text)).await.unwrap();
        }
        socket.flush().await.unwrap();
    }
}

/// The library's frames and those of others: it must hand over whole ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ch2_frames_of_the_library_and_of_others_do_not_mix() {
    const OWN: usize = 200;
    const PINGS: usize = 500;
    let (served, client) = ends().await;
    let (stream, wire) = WiredStream::new(served);
    wire.begin_frames();
    let config = WebSocketConfig::default().write_buffer_size(4096);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let outlet = Outlet::new(Some(wire));
    let task = tokio::spawn(own_task(Arc::clone(&outlet), socket, OWN));
    let (mut asking, mut hearing) = WebSocketStream::from_raw_socket(client, Role::Client, None)
        .await
        .split();
    let asked = tokio::spawn(async move {
        for number in 0..PINGS {
            let ping = Message::Ping(number.to_string().into());
            asking.send(ping).await.unwrap();
            sleep(Duration::from_micros(200)).await;
        }
        asking
    });
    let mut pongs = 0;
    let under_way = Arc::new(UnderWay::new());
    deliver_much(&outlet, &under_way);
    let read = async || {
        loop {
            match hearing.next().await.unwrap().unwrap() {
                Message::Text(text) => return parts(&text),
                // Only the last of several pings need be answered: RFC 6455, section 5.5.3.
                Message::Pong(_) => pongs += 1,
                other => panic!("{other:?}"),
            }
        }
    };
    receive_much(read, &under_way, OWN).await;
    assert!(!outlet.is_ended());
    assert!(pongs > 0, "no ping was answered");
    let _asking = asked.await.unwrap();
    task.abort();
}
