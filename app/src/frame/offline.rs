//! Whether this tab is cut off: what changes the system is then off, and says why.

use super::toast::{Toasts, use_toasts};
use crate::live::{Connection, use_live};
use leptos::prelude::*;

/// Why a control that changes the system does nothing now.
pub const OFFLINE_REASON: &str = "Disconnected: it could not be sent";

/// The state of the line, for controls that change the system. Cheap to copy.
///
/// `disabled=move || offline.now() title=move || offline.reason()` on a button, and
/// [`Offline::refuses`] where a key or a submitted form would send.
#[derive(Clone, Copy)]
pub struct Offline {
    connection: ReadSignal<Connection>,
    toasts: Toasts,
}

/// The state of the line of this tab.
#[must_use]
pub fn use_offline() -> Offline {
    Offline { connection: use_live().connection(), toasts: use_toasts() }
}

impl Offline {
    /// Whether the line is down; whoever reads it is told of changes. Before the first connection
    /// it is not: forms work then.
    #[must_use]
    pub fn now(self) -> bool {
        self.connection.with(|connection| matches!(connection, Connection::Lost { .. }))
    }

    /// The sentence for the tooltip of a disabled control; none while it works.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        self.now().then_some(OFFLINE_REASON)
    }

    /// Whether a command has to be refused; says so in a toast if it has.
    #[must_use]
    pub fn refuses(self, command: &str) -> bool {
        let lost = matches!(self.connection.get_untracked(), Connection::Lost { .. });
        if lost {
            self.toasts.failure(command, OFFLINE_REASON);
        }
        lost
    }
}
