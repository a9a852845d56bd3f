//! The tries of one place-order form: which order goes out under which `Idempotency-Key`, and what
//! each answer says about the order before it. It asks nobody and draws nothing.

use contract::{
    ApiError,
    shop::{PlaceOrder, PlacedOrder},
};

/// What became of the order that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// What the form holds is placed.
    Placed(PlacedOrder),
    /// It was an earlier order, whose outcome was not known: that one is placed, and what the form
    /// holds is not.
    Earlier(PlacedOrder),
    /// The earlier order was not placed; what the form holds can be sent.
    Again,
    /// It was refused.
    Refused(String),
    /// Nobody knows whether it was placed.
    Unknown(String),
}

/// The order whose outcome is not known, with its key. One at a time: before another order goes
/// out, this one is sent again as it was, which tells what became of it and places it at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tries(Option<(PlaceOrder, String)>);

impl Tries {
    /// What is sent when the form holds `order`, and under which key; `key` is a new one.
    #[must_use]
    pub fn next(&self, order: PlaceOrder, key: String) -> (PlaceOrder, String) {
        self.0.clone().unwrap_or((order, key))
    }

    /// It goes out: what becomes of it is not known until there is an answer.
    pub fn sends(&mut self, sent: (PlaceOrder, String)) {
        self.0 = Some(sent);
    }

    /// Whether there is an order whose outcome is not known.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the answer to what was sent while the form held `order`.
    pub fn answered(
        &mut self,
        order: &PlaceOrder,
        sent: (PlaceOrder, String),
        answer: Result<PlacedOrder, ApiError>,
    ) -> Sent {
        let is_earlier = sent.0 != *order;
        self.0 = None;
        match answer {
            Ok(placed) if is_earlier => Sent::Earlier(placed),
            Ok(placed) => Sent::Placed(placed),
            Err(error) if is_unknown(&error) => {
                self.0 = Some(sent);
                Sent::Unknown(error.to_string())
            }
            Err(_) if is_earlier => Sent::Again,
            Err(error) => Sent::Refused(error.to_string()),
        }
    }
}

/// Whether an order may be placed in spite of the error: an answer that did not come.
const fn is_unknown(error: &ApiError) -> bool {
    matches!(error, ApiError::Unavailable { .. } | ApiError::Internal { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{order::OrderStatus, shop::BasketLine};

    fn order(quantity: u32) -> PlaceOrder {
        let items = vec![BasketLine { product_id: "p-moka".into(), quantity }];
        PlaceOrder { user_id: "c-1001".into(), items, ..PlaceOrder::default() }
    }

    fn placed() -> PlacedOrder {
        PlacedOrder {
            order_id: "ord-1".into(),
            status: OrderStatus::Processing,
            correlation_id: "cor-1".into(),
            reason: None,
        }
    }

    fn lost() -> ApiError {
        ApiError::Unavailable { reason: "Vitrine does not answer.".into() }
    }

    fn refused() -> ApiError {
        ApiError::Conflict { reason: "No.".into() }
    }

    #[test]
    fn what_has_gone_out_is_not_known_to_be_placed_until_it_is_answered() {
        let mut tries = Tries::default();
        assert!(!tries.is_open());
        let sent = tries.next(order(1), "k-1".into());
        tries.sends(sent.clone());
        // Whoever sends before the answer sends the same, under its key.
        assert_eq!((tries.is_open(), tries.next(order(2), "k-2".into())), (true, sent.clone()));
        assert_eq!(tries.answered(&order(1), sent, Ok(placed())), Sent::Placed(placed()));
        assert!(!tries.is_open());
    }

    /// Sends what the form holds, and takes the answer; the key it went out under too.
    fn send(
        tries: &mut Tries,
        held: u32,
        key: &str,
        answer: Result<PlacedOrder, ApiError>,
    ) -> (PlaceOrder, String, Sent) {
        let sent = tries.next(order(held), key.into());
        let told = tries.answered(&order(held), sent.clone(), answer);
        (sent.0, sent.1, told)
    }

    #[test]
    fn an_order_whose_answer_was_lost_is_sent_again_as_it_was_under_its_key() {
        let mut tries = Tries::default();
        let unknown = Sent::Unknown("Vitrine does not answer.".into());
        assert_eq!(send(&mut tries, 1, "a", Err(lost())), (order(1), "a".into(), unknown.clone()));
        // Whatever the form holds meanwhile, and however often.
        assert_eq!(send(&mut tries, 2, "b", Err(lost())), (order(1), "a".into(), unknown));
        let earlier = Sent::Earlier(placed());
        assert_eq!(send(&mut tries, 2, "c", Ok(placed())), (order(1), "a".into(), earlier));
        // Now the changed form, under a key of its own.
        let done = Sent::Placed(placed());
        assert_eq!(send(&mut tries, 2, "d", Ok(placed())), (order(2), "d".into(), done));
    }

    #[test]
    fn an_unchanged_form_finds_its_own_order() {
        let mut tries = Tries::default();
        send(&mut tries, 1, "a", Err(lost()));
        let done = Sent::Placed(placed());
        assert_eq!(send(&mut tries, 1, "b", Ok(placed())), (order(1), "a".into(), done));
        assert_eq!(tries, Tries::default());
    }

    #[test]
    fn an_earlier_order_that_was_not_placed_makes_room_for_the_form() {
        let mut tries = Tries::default();
        send(&mut tries, 1, "a", Err(lost()));
        let again = (order(1), "a".into(), Sent::Again);
        assert_eq!(send(&mut tries, 2, "b", Err(refused())), again);
        let done = Sent::Placed(placed());
        assert_eq!(send(&mut tries, 2, "c", Ok(placed())), (order(2), "c".into(), done));
    }

    #[test]
    fn what_is_refused_was_not_placed_and_the_next_try_has_a_new_key() {
        let mut tries = Tries::default();
        let no = Sent::Refused("No.".into());
        assert_eq!(send(&mut tries, 1, "a", Err(refused())), (order(1), "a".into(), no));
        let done = Sent::Placed(placed());
        assert_eq!(send(&mut tries, 2, "b", Ok(placed())), (order(2), "b".into(), done));
    }
}
