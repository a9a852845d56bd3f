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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Who buys.
    pub user_id: String,
    /// What, at least one line, each product once.
    pub items: Vec<BasketLine>,
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
}

impl PaymentMethod {
    /// The word in the API: `wallet`, `card`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Card => "card",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Wallet, Self::Card].into_iter().find(|method| method.as_str() == word)
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
}

/// The load generator's setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadView {
    /// Requests per second it aims at; 0 is off.
    pub per_second: f64,
    /// The most that may be asked for.
    pub max_per_second: f64,
}

/// The most requests a second the load generator can be asked for.
pub const LOAD_MAX_PER_SECOND: f64 = 200.0;
