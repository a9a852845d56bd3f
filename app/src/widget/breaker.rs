//! The breaker glyph: an electrical switch, two contacts and an arm.

use contract::live::BreakerView;
use leptos::prelude::*;

/// The three positions of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerMark {
    /// Arm down.
    Closed,
    /// Arm dashed and half lifted.
    HalfOpen,
    /// Arm lifted.
    Open,
}

impl BreakerMark {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// Class of the glyph: colour and dashes.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Closed => "breaker breaker-closed",
            Self::HalfOpen => "breaker breaker-half",
            Self::Open => "breaker breaker-open",
        }
    }

    /// The contacts and the arm in a circle of radius 11 around 0,0.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Closed => "M-8 0H8",
            Self::HalfOpen => "M-8 0H-5M5 0H8M-5 0L4 -3.6",
            Self::Open => "M-8 0H-5M5 0H8M-5 0L3 -6",
        }
    }
}

impl From<BreakerView> for BreakerMark {
    fn from(view: BreakerView) -> Self {
        match view {
            BreakerView::Closed { .. } => Self::Closed,
            BreakerView::Open { .. } | BreakerView::ForcedOpen { .. } => Self::Open,
            BreakerView::HalfOpen => Self::HalfOpen,
        }
    }
}

/// The glyph for text and legends; in the map it is drawn with the same parts.
#[component]
pub fn BreakerGlyph(
    /// Position of the switch.
    #[prop(into)]
    mark: Signal<BreakerMark>,
) -> impl IntoView {
    view! {
        <svg class=move || mark.get().class() viewBox="-12 -12 24 24" aria-hidden="true">
            <circle r="10.5"></circle>
            <path d=move || mark.get().path()></path>
        </svg>
    }
}
