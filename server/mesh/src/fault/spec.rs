//! What a fault is: kind, scope, share, time to live. Plain data; nothing is injected here.

use http::StatusCode;
use istio::policy::{Match, Origin, Share};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// Id of a fault, `F-21`: a running number, which goes on from run to run where somebody keeps it
/// ([`super::Faults::number_after`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(
    /// The number, from 1.
    pub u32,
);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F-{}", self.0)
    }
}

/// The text is no fault id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fault id is F- and a number")]
pub struct BadFaultId;

impl FromStr for FaultId {
    type Err = BadFaultId;

    fn from_str(text: &str) -> Result<Self, BadFaultId> {
        let digits = text.strip_prefix("F-").ok_or(BadFaultId)?;
        // `parse` alone would also take a sign.
        let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        let number = digits.parse().ok().filter(|_| canonical);
        number.map(Self).ok_or(BadFaultId)
    }
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is held so long, then goes on.
    Delay(Duration),
    /// It is held for a uniform time of this range, then goes on.
    Jitter {
        /// At least.
        min: Duration,
        /// Less than.
        max: Duration,
    },
    /// It is answered at once, in place of the destination.
    Abort {
        /// With this status.
        status: StatusCode,
        /// And this gRPC status.
        grpc_status: Option<u8>,
    },
    /// It is held until the fault ends.
    Hang,
    /// The answer's body breaks off after so many bytes.
    PartialBody {
        /// Bytes that still arrive.
        after_bytes: u64,
    },
    /// The connection breaks.
    Reset(Reset),
    /// The process of the instance ends by the first request of its scope whose path ends so, and
    /// stays down as long as the fault is active.
    Crash {
        /// Last part of the path: `prepare`.
        request: &'static str,
        /// When in it.
        at: CrashAt,
    },
    /// Nothing happens to a call, but to the delivery of a message: see
    /// [`super::Faults::on_delivery`].
    Message(MessageFault),
}

/// When a process ends by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashAt {
    /// As the request arrives: nothing is done with it.
    Request,
    /// When it was handled: what it did, stays done, and the answer does not get out.
    Handled,
    /// Right after the answer got out.
    Answered,
}

/// What happens to the delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// It does not arrive; whoever sends until it is acknowledged sends it again.
    Loss,
    /// It arrives twice.
    Duplication,
    /// It is held so long, then arrives.
    Delay(Duration),
}

/// When a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Before it came about: the destination saw nothing.
    Connect,
    /// The stream is refused before anything was done with it.
    Stream,
    /// After the destination has answered: what it did, stays done.
    Answer,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "delay {delay:?}"),
            Self::Jitter { min, max } => write!(f, "jitter {min:?} to {max:?}"),
            Self::Abort { grpc_status: Some(code), .. } => write!(f, "abort gRPC {code}"),
            Self::Abort { status, .. } => write!(f, "abort {}", status.as_u16()),
            Self::Hang => f.write_str("hang"),
            Self::PartialBody { after_bytes } => write!(f, "partial body, {after_bytes} bytes"),
            Self::Reset(Reset::Connect) => f.write_str("reset of the connection"),
            Self::Reset(Reset::Stream) => f.write_str("refused stream"),
            Self::Reset(Reset::Answer) => f.write_str("reset before the answer"),
            Self::Crash { request, at: CrashAt::Request } => write!(f, "crash before {request}"),
            Self::Crash { request, at: CrashAt::Handled } => write!(f, "crash in {request}"),
            Self::Crash { request, at: CrashAt::Answered } => write!(f, "crash after {request}"),
            Self::Message(MessageFault::Loss) => f.write_str("message loss"),
            Self::Message(MessageFault::Duplication) => f.write_str("message duplication"),
            Self::Message(MessageFault::Delay(delay)) => write!(f, "message delay {delay:?}"),
        }
    }
}

/// Which calls a fault is for. All conditions that are set must hold. Of messages, the caller is
/// the producer and the destination the consumer; the others do not count.
#[derive(Clone, Debug, Default)]
pub struct FaultScope {
    /// Calls of this service.
    pub caller: Option<Arc<str>>,
    /// Calls to this service.
    pub destination: Option<Arc<str>>,
    /// To this subset of it.
    pub subset: Option<Arc<str>>,
    /// To this instance. The fault then sits at the instance, so that outlier detection sees it;
    /// otherwise it sits in the caller's proxy, where Envoy has it.
    pub instance: Option<Arc<str>>,
    /// On this route, by resource and name: what a `VirtualService` writes.
    pub route: Option<(Origin, Arc<str>)>,
    /// The service that the route was for when the fault was asked for. It says what is meant, also
    /// when the resource is gone, and chooses no calls.
    pub routed: Option<Arc<str>>,
    /// One of these holds; none is every request.
    pub matches: Vec<Match>,
}

/// A fault as it is asked for.
#[derive(Clone, Debug)]
pub struct FaultSpec {
    /// What happens.
    pub kind: FaultKind,
    /// To which calls.
    pub scope: FaultScope,
    /// To which share of those, exactly.
    pub share: Share,
    /// How long it is active at most. Mandatory: nothing stays broken by accident.
    pub ttl: Duration,
    /// It ends after so many injections; 1 is "only this next request".
    pub limit: Option<u64>,
    /// While it is active, timeout and retries of the routes of its calls are off, as Istio has it.
    pub like_istio: bool,
    /// Who asks.
    pub by: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_no_other_way() {
        assert_eq!("F-21".parse(), Ok(FaultId(21)));
        assert_eq!(FaultId(21).to_string(), "F-21");
        for bad in ["", "F-", "21", "f-21", "F-+2", "F-02", "F-2x", "F-99999999999"] {
            assert_eq!(bad.parse::<FaultId>(), Err(BadFaultId), "{bad}");
        }
    }
}
