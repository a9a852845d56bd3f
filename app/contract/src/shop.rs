//! What the place-order form needs: products, customers, the command and its answer.

use crate::Money;
use serde::{Deserialize, Serialize};

/// One product of the catalog with what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductView {
    /// Stable id: `p-espresso`.
    pub product_id: String,
    /// Name for people.
    pub name: String,
    /// Price of one.
    pub price: Money,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerView {
    /// Stable id: `c-1042`.
    pub user_id: String,
    /// Name for people.
    pub name: String,
    /// One line about the wallet, for choosing: "comfortable", "has almost nothing".
    pub note: String,
}

/// One line of a basket as the client sends it: prices never come from the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BasketLine {
    /// Which product.
    pub product_id: String,
    /// How many, 1 to 100.
    pub quantity: u32,
}

/// The command to place an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Who buys.
    pub user_id: String,
    /// What, at least one line, each product once.
    pub items: Vec<BasketLine>,
    /// Where the money comes from.
    #[serde(default, skip_serializing_if = "PaymentMethod::is_wallet")]
    pub payment_method: PaymentMethod,
}

/// Where the customer's money for an order comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentMethod {
    /// The customer's account at the customers' bank.
    #[default]
    Wallet,
    /// The customer's card, charged by the external payment provider.
    Card,
    /// A direct debit, which the same provider collects; it is asked by its other name.
    Debit,
}

impl PaymentMethod {
    /// The word in the API: `wallet`, `card`, `debit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Card => "card",
            Self::Debit => "debit",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Wallet, Self::Card, Self::Debit].into_iter().find(|method| method.as_str() == word)
    }

    /// Whether it is the default, which what is recorded leaves out.
    #[must_use]
    pub fn is_wallet(&self) -> bool {
        *self == Self::Wallet
    }
}

/// The answer to [`PlaceOrder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedOrder {
    /// Where to look.
    pub order_id: String,
    /// `processing` unless the caller waited.
    pub status: crate::order::OrderStatus,
    /// On every event and log line of this order.
    pub correlation_id: String,
    /// Why it was cancelled, where it has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The load generator's setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadView {
    /// Requests per second it aims at; 0 is off.
    pub per_second: f64,
    /// The most that may be asked for.
    pub max_per_second: f64,
    /// How they come over time.
    #[serde(default)]
    pub shape: LoadShape,
    /// Of a hundred requests so many are orders and what follows them; the others look around.
    #[serde(default)]
    pub orders_percent: u8,
}

impl LoadView {
    /// So many requests per second, in the shape and mix the generator begins with.
    #[must_use]
    pub const fn steady(per_second: f64) -> Self {
        Self {
            per_second,
            max_per_second: LOAD_MAX_PER_SECOND,
            shape: LoadShape::Steady,
            orders_percent: LOAD_ORDERS_PERCENT,
        }
    }
}

/// How load comes over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadShape {
    /// The same all the time.
    #[default]
    Steady,
    /// From nothing to all of it, then all of it.
    Ramp,
    /// A part of it, and all of it for some seconds of each minute.
    Spike,
}

impl LoadShape {
    /// Every shape, as the dialog lists them.
    pub const ALL: [Self; 3] = [Self::Steady, Self::Ramp, Self::Spike];

    /// The word of forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Ramp => "ramp",
            Self::Spike => "spike",
        }
    }

    /// Reads the word of forms.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.as_str() == word)
    }
}

/// What is asked of the load generator. What is not named stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadChange {
    /// Requests per second; of a shape that changes, the most.
    pub per_second: f64,
    /// Another shape.
    #[serde(default)]
    pub shape: Option<LoadShape>,
    /// Another mix; see [`LoadView::orders_percent`].
    #[serde(default)]
    pub orders_percent: Option<u8>,
}

impl LoadChange {
    /// Another rate, and nothing else.
    #[must_use]
    pub const fn rate(per_second: f64) -> Self {
        Self { per_second, shape: None, orders_percent: None }
    }
}

/// The most requests a second the load generator can be asked for.
pub const LOAD_MAX_PER_SECOND: f64 = 200.0;

/// Of a hundred requests of the load generator so many are orders and what follows them, unless it
/// is told otherwise.
pub const LOAD_ORDERS_PERCENT: u8 = 28;
