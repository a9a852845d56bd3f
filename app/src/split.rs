//! Parts of the pages in files of their own (`wasm_split`): how one is called whose file is there.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// What the future gives without waiting; a split function does when its file is there.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
