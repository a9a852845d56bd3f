//! Icons on a 16 px grid, 1.5 px stroke, round caps, no fill.

use leptos::prelude::*;

/// Every icon of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// Vitrine itself: a shop front.
    Shop,
    /// The live map.
    Share,
    /// An order.
    Receipt,
    /// Spans of a trace.
    Spans,
    /// Shortcuts.
    Keyboard,
    /// Search.
    Search,
    /// Live data runs; press to pause.
    Pause,
    /// Live data stands; press to resume.
    Play,
    /// Less.
    Minus,
    /// More.
    Plus,
    /// Switch to light.
    Sun,
    /// Switch to dark.
    Moon,
    /// Opens a choice.
    Down,
    /// Goes on.
    Right,
    /// Done.
    Check,
    /// Failed, or closes.
    Cross,
    /// Slow.
    Clock,
    /// An injected fault.
    Bolt,
    /// Undone.
    Back,
    /// Something is wrong.
    Alert,
    /// A table.
    List,
    /// Fill the screen.
    Expand,
    /// Somebody's browser.
    Globe,
    /// The load generator.
    Gauge,
    /// Locks held.
    Lock,
    /// Leads elsewhere.
    External,
    /// A note.
    Info,
    /// Puts a text into the clipboard.
    Copy,
    /// Saves a file.
    Download,
    /// Routes that part.
    Routes,
    /// A breaker's switch.
    Switch,
    /// Stops a process.
    Power,
    /// The message bus.
    Pulse,
    /// A handle that moves its row.
    Grip,
    /// What a small screen has no room for.
    More,
}

impl Icon {
    /// Its strokes.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Shop => {
                "M2.7 2.3h10.6l1.2 3.6a1.9 1.9 0 0 1-3.25 1.1 1.9 1.9 0 0 1-3.25 0 1.9 1.9 0 0 \
                 1-3.25 0A1.9 1.9 0 0 1 1.5 5.9zM2.8 8v5.7h10.4V8M5.3 10.6h5.4"
            }
            Self::Share => {
                "M10.6 4.2 5.5 7M5.5 9l5.1 2.8M13.8 3.3a1.8 1.8 0 1 1-3.6 0 1.8 1.8 0 0 1 3.6 \
                 0zM5.8 8a1.8 1.8 0 1 1-3.6 0 1.8 1.8 0 0 1 3.6 0zM13.8 12.7a1.8 1.8 0 1 1-3.6 \
                 0 1.8 1.8 0 0 1 3.6 0z"
            }
            Self::Receipt => {
                "M3.5 1.8h9v12.4l-1.5-1-1.5 1-1.5-1-1.5 1-1.5-1-1.5 1zM6 5h4M6 \
            7.8h4"
            }
            Self::Spans => "M1.5 3h6M4 6.3h7.5M6.5 9.7h5M9 13h5.5",
            Self::More => "M3 8h.01M8 8h.01M13 8h.01",
            Self::Keyboard => {
                "M2.3 3.8h11.4a.8.8 0 0 1 .8.8v6.8a.8.8 0 0 1-.8.8H2.3a.8.8 0 0 \
                 1-.8-.8V4.6a.8.8 0 0 1 .8-.8zM4.2 6.6h.01M6.7 6.6h.01M9.3 6.6h.01M11.8 \
                 6.6h.01M5 9.5h6"
            }
            Self::Search => "M11.3 7a4.3 4.3 0 1 1-8.6 0 4.3 4.3 0 0 1 8.6 0zM10.2 10.2l3.6 3.6",
            Self::Pause => "M5.8 3.8v8.4M10.2 3.8v8.4",
            Self::Play => "M5 3.2v9.6L12.6 8z",
            Self::Minus => "M3.5 8h9",
            Self::Plus => "M3.5 8h9M8 3.5v9",
            Self::Sun => {
                "M10.8 8a2.8 2.8 0 1 1-5.6 0 2.8 2.8 0 0 1 5.6 0zM8 1.5v1.2M8 13.3v1.2M1.5 \
                 8h1.2M13.3 8h1.2M3.4 3.4l.85.85M11.75 11.75l.85.85M12.6 3.4l-.85.85M4.25 \
                 11.75l-.85.85"
            }
            Self::Moon => "M13.4 9.6A5.8 5.8 0 1 1 6.4 2.6a4.6 4.6 0 0 0 7 7z",
            Self::Down => "M4 6.2 8 10l4-3.8",
            Self::Right => "M6.2 4 10 8l-3.8 4",
            Self::Check => "M3 8.4 6.4 11.6 13 4.6",
            Self::Cross => "M4 4l8 8M12 4l-8 8",
            Self::Clock => "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0zM8 4.6V8l2.2 1.6",
            Self::Bolt => "M9 1.8 3.6 9h4L7 14.2 12.4 7h-4z",
            Self::Back => "M5.6 3 2.6 6l3 3M2.8 6h6.4a4 4 0 0 1 0 8H6.4",
            Self::Alert => "M8 2.2 14.6 13.6H1.4zM8 6.4v3.4M8 11.7h.01",
            Self::List => "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01",
            Self::Expand => {
                "M2.5 5.8V2.5h3.3M10.2 2.5h3.3v3.3M13.5 10.2v3.3h-3.3M5.8 13.5H2.5v-3.3"
            }
            Self::Globe => {
                "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0zM2.2 8h11.6M8 2c4 3.6 4 8.4 0 12M8 2c-4 \
                 3.6-4 8.4 0 12"
            }
            Self::Gauge => "M3.6 12.6a6 6 0 1 1 8.8 0M8 9l2.6-3",
            Self::Lock => "M3.8 7.2h8.4v6.3H3.8zM5.6 7.2V5a2.4 2.4 0 0 1 4.8 0v2.2",
            Self::External => "M6 3H3v10h10v-3M9 2.8h4.2V7M13 3 7.6 8.4",
            Self::Copy => "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
            Self::Download => "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.5h10",
            Self::Routes => {
                "M2 8h4.5l4-4h3M6.5 8l4 4h3M11.6 2.2 13.5 4l-1.9 1.8M11.6 10.2l1.9 1.8-1.9 1.8"
            }
            Self::Switch => {
                "M1.5 10.5h2.2M12.3 10.5h2.2M5 9.8l6-4.6M5.4 10.5a.9.9 0 1 1-1.8 0 .9.9 0 0 1 \
                 1.8 0zM12.4 10.5a.9.9 0 1 1-1.8 0 .9.9 0 0 1 1.8 0z"
            }
            Self::Power => "M8 2v5.5M4.6 4.4a5 5 0 1 0 6.8 0",
            Self::Pulse => "M1.5 8h3l1.6-4 3.2 8L11 8h3.5",
            Self::Grip => "M6 4h.01M6 8h.01M6 12h.01M10 4h.01M10 8h.01M10 12h.01",
            Self::Info => "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0zM8 7.4v3.4M8 5.2h.01",
        }
    }
}

/// An icon; hidden from screen readers, because a word stands beside it or names its button.
pub fn icon(icon: Icon) -> AnyView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d=icon.path()></path>
        </svg>
    }
    .into_any()
}
