use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

const PATIENCE: Duration = Duration::from_secs(30);
/// Little, so that a client that reads nothing is soon one that takes nothing.
const RECEIVE_BYTES: u32 = 64 * 1024;

impl Client {
    pub(crate) async fn try_connect(base: &str, token: &str) -> Result<Self, Error> {
        Self::try_connect_with(base, ("authorization", &format!("Bearer {token}"))).await
    }

    /// With the token as browsers send it.
    pub(crate) async fn try_connect_as_browser(base: &str, token: &str) -> Result<Self, Error> {
        let offered = format!("holdfast.chat.v1, {token}");
        Self::try_connect_with(base, ("sec-websocket-protocol", &offered)).await
    }

    async fn try_connect_with(base: &str, header: (&'static str, &str)) -> Result<Self, Error> {
        let mut request = format!("{}/v1/ws", base.replacen("http", "ws", 1))
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert(header.0, header.1.parse().unwrap());
        let stream = TcpSocket::new_v4()?;
        stream.set_recv_buffer_size(RECEIVE_BYTES)?;
        let address = base.rsplit('/').next().unwrap();
        let stream = stream.connect(address.parse().unwrap()).await?;
        let (socket, _response) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self { socket })
    }

    /// Connected, with the first frame (the nodes) read.
    pub(crate) async fn connect(base: &str, token: &str) -> Self {
        let mut client = Self::try_connect(base, token).await.unwrap();
        let first = client.next().await;
        assert!(first["nodes"].is_array(), "{first}");
        client
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    /// The next frame in JSON.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("no frame in time");
            match message
                .expect("the node hung up")
                .expect("the connection broke")
            {
                Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
                Message::Close(close) => panic!("closed: {close:?}"),
                _other => {}
            }
        }
    }

    /// The next frame with this member; others are skipped.
    pub(crate) async fn next_of(&mut self, member: &str) -> Value {
        loop {
            let frame = self.next().await;
            if let Some(value) = frame.get(member) {
                return value.clone();
            }
        }
    }

    /// The close frame that ends the connection: code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("not closed in time")
            {
                Some(Ok(Message::Close(Some(close)))) => {
                    return (close.code.into(), close.reason.to_string());
                }
                Some(Ok(_frame)) => {}
                Some(Err(error)) => return (0, error.to_string()),
                None => return (0, "hung up".into()),
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, room: &str, after_seq: Option<i64>) -> Value {
        self.send(json!({"subscribe": {"room": room, "after_seq": after_seq}}))
            .await;
        self.next_of("joined").await
    }

    pub(crate) async fn post(&mut self, room: &str, body: &str, client_id: &str) {
        self.send(json!({"post": {"room": room, "body": body, "client_id": client_id}}))
            .await;
    }
}
