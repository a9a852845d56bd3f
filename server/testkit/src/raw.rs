//! Requests as bytes, for what no well-behaved client would send.

use crate::Answer;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends these bytes on a connection of their own, says that nothing more comes, and reads what is
/// answered until the program closes. Ask for that with `Connection: close`. A body that is not
/// read to its end may cut the connection; what was answered before counts.
///
/// # Panics
/// When there is no connection, no answer in time, or the answer is no HTTP.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut answer = Vec::new();
    let exchange = async {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut reading, mut writing) = stream.into_split();
        let write = async {
            // The program may answer and hang up before it has read everything.
            let _ = writing.write_all(request).await;
            // A whole request says itself that it is the last; one that breaks off just ends.
            if !is_whole(request) {
                let _ = writing.shutdown().await;
            }
        };
        let read = async {
            let mut buffer = [0; 4_096];
            while let Ok(count) = reading.read(&mut buffer).await
                && count > 0
            {
                answer.extend_from_slice(&buffer[..count]);
            }
        };
        tokio::join!(write, read);
    };
    timeout(PATIENCE, exchange).await.expect("an answer in time");
    parse(&answer).unwrap_or_else(|| {
        panic!("no answer but {:?}", String::from_utf8_lossy(&answer));
    })
}

/// Whether a request has a head and as much of a body as the head says.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]);
    let said = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = match said {
        Some(said) => said.parse().ok(),
        // Without a word of a body there is none.
        None => (!head.contains("Transfer-Encoding")).then_some(0),
    };
    head.contains("Connection: close") && length == Some(request.len() - end - 4)
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name: HeaderName = name.parse().ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(Answer { status, headers, body: answer[end + 4..].to_vec() })
}
