//! Frames of the owner and of others on one stream.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::{Sent, SharedFrame, WiredStream};
use crate::hub::{Delivery, Due, Outlet};

const LONG: Duration = Duration::from_secs(60);

/// Both ends of a connection; the client's takes little before it reads.
async fn ends() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let client = socket.connect(listener.local_addr().unwrap());
    let (client, served) = tokio::join!(client, listener.accept());
    (served.unwrap().0, client.unwrap())
}

/// A frame that says from whom it is and which of theirs.
fn frame(from: usize, number: usize) -> SharedFrame {
    // Long enough that buffers fill in the middle of frames.
    SharedFrame::from(format!("{from} {number} {}", "x".repeat(number % 1500)).as_str())
}

/// Reads a frame: from whom, and which of theirs.
async fn read(client: &mut TcpStream) -> (usize, usize) {
    assert_eq!(client.read_u8().await.unwrap(), 0x81);
    let length = match client.read_u8().await.unwrap() {
        126 => usize::from(client.read_u16().await.unwrap()),
        length => usize::from(length),
    };
    let mut text = vec![0; length];
    client.read_exact(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut words = text.split(' ');
    let from = words.next().unwrap().parse().unwrap();
    let number = words.next().unwrap().parse().unwrap();
    assert_eq!(words.next().unwrap().len(), number % 1500);
    (from, number)
}

#[tokio::test]
async fn what_the_system_has_no_room_for_is_kept_and_nothing_is_written_before_it() {
    let (served, mut client) = ends().await;
    let (mut stream, wire) = WiredStream::new(served);
    wire.carries_frames();
    let mut frames = VecDeque::new();
    let mut sent = 0;
    while !wire.is_stuck() {
        // Two at a time: written by one call.
        frames.extend([frame(0, sent), frame(0, sent + 1)]);
        sent += 2;
        let outcome = wire.send(&mut frames);
        assert_eq!(outcome == Sent::All, frames.is_empty() && !wire.is_stuck());
        if outcome == Sent::Stuck && !wire.is_stuck() {
            // Full between two frames.
            frames.push_back(frame(0, sent));
            sent += 1;
            sleep(Duration::from_millis(1)).await;
        }
    }
    let before = frames.len();
    assert_eq!(wire.send(&mut frames), Sent::Stuck);
    assert_eq!(frames.len(), before, "nothing goes before what is kept");
    let owner = tokio::spawn(async move {
        stream.write_all(frame(1, 0).bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    let mut expected: Vec<_> = (0..sent - before).map(|number| (0, number)).collect();
    expected.push((1, 0));
    for expected in expected {
        assert_eq!(timeout(LONG, read(&mut client)).await.unwrap(), expected);
    }
    let _stream = owner.await.unwrap();
    assert!(!wire.is_stuck());
}

#[tokio::test]
async fn a_stream_that_its_owner_drops_is_over_for_everybody() {
    let (served, mut client) = ends().await;
    let (stream, wire) = WiredStream::new(served);
    wire.carries_frames();
    drop(stream);
    assert_eq!(wire.send(&mut VecDeque::from([frame(0, 0)])), Sent::Stuck);
    let end = timeout(LONG, client.read_u8()).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

/// What a connection's task does: sends what is due, and now and then has something to say itself.
async fn own_task(outlet: Arc<Outlet>, mut stream: WiredStream, own: usize) {
    let mut said = 0;
    while said < own {
        let mut pause = std::pin::pin!(sleep(Duration::from_micros(300)));
        let due = poll_fn(|cx| match outlet.poll_due(cx) {
            Poll::Ready(due) => Poll::Ready(Some(due)),
            Poll::Pending => pause.as_mut().poll(cx).map(|()| None),
        });
        match due.await {
            Some(Due::Frame(first)) => {
                let queued = std::iter::from_fn(|| outlet.take());
                for frame in std::iter::once(first).chain(queued) {
                    stream.write_all(frame.bytes()).await.unwrap();
                }
            }
            Some(Due::Flush) => {}
            None => {
                outlet.take_turn();
                stream.write_all(frame(0, said).bytes()).await.unwrap();
                said += 1;
            }
        }
        stream.flush().await.unwrap();
    }
    // The rest is sent by others, or due.
    loop {
        if let Due::Frame(frame) = poll_fn(|cx| outlet.poll_due(cx)).await {
            stream.write_all(frame.bytes()).await.unwrap();
        }
        stream.flush().await.unwrap();
    }
}

/// Several who deliver, and a client that reads now quickly and now slowly.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ch2_frames_come_whole_each_once_and_in_order_whoever_sends_them() {
    const FROM: usize = 3;
    const EACH: usize = 3000;
    const OWN: usize = 500;
    let (served, mut client) = ends().await;
    let (stream, wire) = WiredStream::new(served);
    wire.carries_frames();
    let outlet = Outlet::new(Some(wire));
    let task = tokio::spawn(own_task(Arc::clone(&outlet), stream, OWN));
    // So few are on their way that the queue does not overflow.
    let room = Arc::new(tokio::sync::Semaphore::new(200));
    for from in 1..=FROM {
        let (outlet, room) = (Arc::clone(&outlet), Arc::clone(&room));
        tokio::spawn(async move {
            for number in 0..EACH {
                room.acquire().await.unwrap().forget();
                if number % 7 == 0 {
                    outlet.send(frame(from, number));
                } else {
                    let mut delivery = Delivery::default();
                    delivery.queue(&outlet, &frame(from, number));
                    delivery.send();
                }
            }
        });
    }
    let mut next = [0; FROM + 1];
    for count in 0..FROM * EACH + OWN {
        let (from, number) = timeout(LONG, read(&mut client)).await.unwrap();
        assert_eq!(number, next[from], "from {from}");
        next[from] += 1;
        if from > 0 {
            room.add_permits(1);
        }
        if count % 1000 == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(next, [OWN, EACH, EACH, EACH]);
    assert!(!outlet.is_ended());
    task.abort();
}
