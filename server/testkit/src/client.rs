//! A client of one running program: `reqwest` without redirects and proxies, answers read whole.

use http::{HeaderMap, Method};
use serde_json::Value;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Longer than any answer takes; a test that meets it fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Talks to one address. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    origin: String,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Client {
    /// For a program at this address.
    ///
    /// # Panics
    /// When the system has no room for a client.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { http: http(None), origin: format!("http://{address}") }
    }

    /// The same for somebody at another address of this machine (Linux has all of 127.0.0.0/8).
    ///
    /// # Panics
    /// When the system has no room for a client.
    #[must_use]
    pub fn from_address(&self, local: IpAddr) -> Self {
        Self { http: http(Some(local)), origin: self.origin.clone() }
    }

    /// The program's address as a URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.origin
    }

    /// A request about to be made.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// A POST of JSON about to be made.
    pub fn json(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// The answer to a GET.
    ///
    /// # Panics
    /// When there is none.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await.expect("an answer")
    }

    /// An answer that comes in pieces, for as long as the program has some.
    ///
    /// # Panics
    /// When there is none.
    pub async fn stream(&self, path: &str) -> Flow {
        Flow(self.http.get(format!("{}{path}", self.origin)).send().await.expect("a stream"))
    }

    /// How the load generator is set, as the pages know it.
    ///
    /// # Panics
    /// When the program does not say.
    pub async fn load(&self) -> Value {
        let frame = serde_json::json!({ "part": "Frame" });
        let load = self.post("/ui/snapshot", &frame).await.json()["load"].take();
        assert!(load["per_second"].is_number(), "no load in the snapshot");
        load
    }

    /// The answer to a POST of JSON.
    ///
    /// # Panics
    /// When there is none.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.json(path, body)).await.expect("an answer")
    }
}

fn http(local: Option<IpAddr>) -> reqwest::Client {
    // Without a provider no client can be made, not even one that speaks plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .local_address(local)
        .read_timeout(TIMEOUT)
        .build()
        .expect("an HTTP client")
}

/// An answer in pieces.
#[derive(Debug)]
pub struct Flow(reqwest::Response);

impl Flow {
    /// The media type.
    #[must_use]
    pub fn media_type(&self) -> &str {
        let value = self.0.headers().get("content-type");
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The next piece, as text; nothing at the end.
    ///
    /// # Panics
    /// When it is cut rather than ended, or nothing comes for long.
    pub async fn next(&mut self) -> Option<String> {
        let piece = tokio::time::timeout(TIMEOUT, self.0.chunk()).await.expect("a piece in time");
        piece.expect("a whole stream").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Makes a request and reads the whole answer.
///
/// # Errors
/// When there is no answer, or it ends early.
pub async fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, or nothing when it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A string field of the JSON body, or nothing.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }
}
