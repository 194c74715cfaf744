//! One WebSocket: frames from the client are read here and handed to the desk, frames from the desk
//! are put together here and sent. Both run at once, so a client that does not read can still be heard.

use axum::extract::ws::{Message, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;

use super::desk::DeskHandle;
use super::protocol::{Reject, parse_client};
use super::session::{Frame, SocketId};
use crate::limits::CLIENT_FRAME_BYTES_MAX;

/// Serves the socket until either side ends it.
pub(super) async fn serve(socket: WebSocket, desk: DeskHandle) {
    let Ok(line) = desk.connect().await else { return };
    let (sink, stream) = socket.split();
    tokio::select! {
        () = read(stream, line.id, &desk) => {}
        () = write(sink, line.frames) => {}
    }
    desk.disconnect(line.id).await;
}

async fn read(mut stream: SplitStream<WebSocket>, id: SocketId, desk: &DeskHandle) {
    while let Some(Ok(message)) = stream.next().await {
        let message = match message {
            Message::Text(text) if text.len() > CLIENT_FRAME_BYTES_MAX => Err(reject(
                "LIMIT",
                format!("a frame has at most {CLIENT_FRAME_BYTES_MAX} bytes, not {}", text.len()),
            )),
            Message::Text(text) => parse_client(&text),
            Message::Binary(_) => Err(reject("BAD_FRAME", "frames are text".to_owned())),
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        if desk.receive(id, message).await.is_err() {
            return;
        }
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        let mut sent = sink.feed(Message::Text(frame.into_text().into())).await;
        // What has come meanwhile goes out with it.
        while let (Ok(()), Ok(frame)) = (&sent, frames.try_recv()) {
            sent = sink.feed(Message::Text(frame.into_text().into())).await;
        }
        if sent.is_err() || sink.flush().await.is_err() {
            return;
        }
    }
    // The desk closed the socket; one that is broken already needs no goodbye.
    let _ = sink.send(Message::Close(None)).await;
}

fn reject(code: &str, message: String) -> Reject {
    Reject { view_id: None, view_version: None, code: code.to_owned(), message }
}
