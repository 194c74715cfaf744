//! A WebSocket client as small as one can be: text frames to and from a server on this machine.
//!
//! It reads whole frames and nothing else: a server that sends fragments, or compresses, is refused.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tickview::serve::protocol::SUBPROTOCOL;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The key of RFC 6455's example and what it has to be answered with: the server is no stranger, so any
/// key will do.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const FINAL: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const MASKED: u8 = 0x80;
/// A mask of zeros leaves the text as it is.
const MASK: [u8; 4] = [0; 4];

pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("no server at {address}"))?;
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\
             sec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n"
        );
        writer.write_all(request.as_bytes()).await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(reader.read_line(&mut head).await? > 0, "the server hung up at the handshake");
        }
        ensure!(head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT), "no upgrade: {head}");
        Ok(Client { reader, writer })
    }

    pub async fn say(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![FINAL | TEXT];
        match text.len() {
            length @ 0..126 => frame.push(MASKED | length as u8),
            length @ 126..65_536 => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        frame.extend_from_slice(text.as_bytes());
        self.writer.write_all(&frame).await.context("the server hung up")
    }

    /// The next text.
    pub async fn hear(&mut self) -> Result<String> {
        loop {
            let mut head = [0; 2];
            self.reader.read_exact(&mut head).await.context("the server hung up")?;
            let length = match head[1] {
                126 => u64::from(self.reader.read_u16().await?),
                127 => self.reader.read_u64().await?,
                length @ 0..126 => u64::from(length),
                _ => bail!("a server's frame is masked"),
            };
            let mut payload = vec![0; usize::try_from(length)?];
            self.reader.read_exact(&mut payload).await.context("the server hung up")?;
            match head[0] {
                head if head == FINAL | TEXT => return Ok(String::from_utf8(payload)?),
                head if head == FINAL | CLOSE => bail!("the server closed the socket"),
                head if head & 0x0f > CLOSE => {}
                head => bail!("a frame of kind {head:#x} is not read here"),
            }
        }
    }
}
