//! `payments` behind an address, over real connections: the test plays the instance, byte by byte.

#![allow(unreachable_pub, reason = "a part of two test files")]

use crate::scripted::World;
use mesh::{Endpoint, Instance};
use std::{io::ErrorKind, net::Ipv4Addr};
use tokio::net::{TcpListener, TcpStream};

/// A mesh whose only instance is behind an address, and what listens there.
pub async fn at_address() -> (World, TcpListener) {
    let world = World::new(&[]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    world.mesh.add_instance(Instance {
        service: "payments".into(),
        name: "payments-0".into(),
        labels: vec![("version".into(), "v1".into())],
        endpoint: Endpoint::Address(listener.local_addr().unwrap()),
    });
    (world, listener)
}

/// The head of a request without a body, in lower case; none when the connection is closed instead.
pub async fn head(connection: &TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut part = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") {
        connection.readable().await.unwrap();
        match connection.try_read(&mut part) {
            Ok(0) => return None,
            Ok(read) => request.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    Some(String::from_utf8(request).unwrap().to_lowercase())
}

/// So little that it fits into any socket's buffer at once.
pub async fn write(connection: &TcpStream, text: &str) {
    connection.writable().await.unwrap();
    assert_eq!(connection.try_write(text.as_bytes()).unwrap(), text.len());
}
