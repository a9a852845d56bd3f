//! What the command palette finds for what is typed. Pure.

use super::state::{Command, LOAD_START};
use contract::{order::OrderRow, service::SERVICES};

/// Rows of one group: what fits without scrolling.
const GROUP_ROWS_MAX: usize = 5;

/// One row of the palette.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Heading it stands under.
    pub group: &'static str,
    /// What it is.
    pub title: String,
    /// More about it.
    pub note: String,
    /// Its shortcut, if it has one.
    pub key: &'static str,
    /// What choosing it does.
    pub command: Command,
}

fn found(
    group: &'static str,
    title: &str,
    note: &str,
    key: &'static str,
    command: Command,
) -> Found {
    Found { group, title: title.into(), note: note.into(), key, command }
}

fn fixed() -> Vec<Found> {
    let go = |path: &str| Command::Go(path.to_owned());
    let mut rows = vec![
        found("Pages", "Live", "", "G L", go("/")),
        found("Pages", "Orders", "", "G O", go("/orders")),
        found("Pages", "Traffic", "", "G T", go("/traffic")),
        found("Pages", "Resilience", "", "G R", go("/resilience")),
        found("Pages", "Traces", "", "G S", go("/traces")),
        found("Actions", "Place order", "", "P", Command::PlaceOrder),
        found("Actions", "Inject a fault", "", "F", Command::Inject),
        found("Actions", "Remove all faults", "", "Shift F", Command::RemoveFaults),
        found("Actions", "Pause or resume live data", "", "Space", Command::Pause),
        found("Actions", "Start load", "60 req/s", "", Command::LoadTo(LOAD_START)),
        found("Actions", "Stop load", "", "", Command::LoadTo(0.0)),
        found("Actions", "Switch theme", "", ".", Command::Theme),
        found("Actions", "Presenter mode", "", "Shift D", Command::Presenter),
        found("Actions", "Shortcuts", "", "?", Command::Shortcuts),
    ];
    rows.extend(SERVICES.iter().map(|service| {
        let traces = Command::Go(format!("/traces?service={}", service.name));
        found("Services", service.name, "its traces", "", traces)
    }));
    rows
}

/// What matches the text: orders and traces first, then pages, actions and services.
#[must_use]
pub fn search(text: &str, orders: &[OrderRow]) -> Vec<Found> {
    let needle = text.trim().to_lowercase();
    let mut rows = Vec::new();
    rows.extend(find_orders(&needle, orders));
    rows.extend(find_trace(&needle));
    let mut group = ("", 0);
    for row in fixed() {
        if !needle.is_empty() && !row.title.to_lowercase().contains(&needle) {
            continue;
        }
        if needle.is_empty() && row.group == "Services" {
            continue;
        }
        group = if group.0 == row.group { (row.group, group.1 + 1) } else { (row.group, 1) };
        if group.1 <= GROUP_ROWS_MAX || needle.is_empty() {
            rows.push(row);
        }
    }
    rows
}

fn find_orders(needle: &str, orders: &[OrderRow]) -> Vec<Found> {
    let go = |id: &str| Command::Go(format!("/orders/{id}"));
    let mut rows: Vec<Found> = orders
        .iter()
        .filter(|row| !needle.is_empty() && row.order_id.to_lowercase().contains(needle))
        .take(GROUP_ROWS_MAX)
        .map(|row| {
            let note = format!("{}, {}", row.status, crate::model::format::money(row.total));
            found("Orders", &row.order_id, &note, "", go(&row.order_id))
        })
        .collect();
    let id = needle.strip_prefix("ord-").filter(|rest| {
        rest.len() >= 4 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    if let (true, Some(id)) = (rows.is_empty(), id) {
        let id = format!("ord-{}", id.to_uppercase());
        rows.push(found("Orders", &id, "open", "", go(&id)));
    }
    rows
}

fn find_trace(needle: &str) -> Option<Found> {
    let whole = needle.len() == 32 && needle.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| {
        let note = "open this trace";
        found("Traces", needle, note, "", Command::Go(format!("/traces/{needle}")))
    })
}

/// Splits a title around the part that was typed, for bold letters.
#[must_use]
pub fn highlight<'a>(title: &'a str, text: &str) -> (&'a str, &'a str, &'a str) {
    let needle = text.trim().to_lowercase();
    let at = title.to_lowercase().find(&needle).filter(|_| title.is_ascii() && !needle.is_empty());
    match at {
        Some(at) => {
            let (before, rest) = title.split_at(at);
            let (hit, after) = rest.split_at(needle.len());
            (before, hit, after)
        }
        None => (title, "", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Money,
        order::{OrderStatus, Origin, StepMark},
    };

    fn row(id: &str) -> OrderRow {
        OrderRow {
            order_id: id.into(),
            user_id: "c-1042".into(),
            total: Money::eur(18_450),
            status: OrderStatus::Cancelled,
            phase: "Payment declined".into(),
            steps: [StepMark::Undone, StepMark::Failed, StepMark::NotReached],
            placed_at_us: 0,
            took_us: None,
            origin: Origin::Browser,
            version: 7,
        }
    }

    #[test]
    fn an_order_is_found_by_a_part_of_its_id_in_any_case() {
        let rows = search("7f3k", &[row("ord-7F3K9Q"), row("ord-AAAAAA")]);
        assert_eq!((rows[0].group, rows[0].title.as_str()), ("Orders", "ord-7F3K9Q"));
        assert_eq!(rows[0].note, "cancelled, €184.50");
        assert_eq!(rows.iter().filter(|row| row.group == "Orders").count(), 1);
    }

    #[test]
    fn an_order_id_that_is_not_in_the_feed_can_still_be_opened() {
        let rows = search("ord-7f4c2m", &[]);
        assert_eq!(rows[0].command, Command::Go("/orders/ord-7F4C2M".into()));
    }

    #[test]
    fn a_whole_trace_id_opens_its_trace_and_a_part_of_one_does_not() {
        let id = "7c1e9a4f0b6d42e8a5f3c2d19b8e6047";
        assert_eq!(search(id, &[])[0].command, Command::Go(format!("/traces/{id}")));
        assert!(search("7c1e9a4f", &[]).is_empty());
    }

    #[test]
    fn nothing_typed_lists_pages_and_actions_but_no_services() {
        let rows = search("", &[row("ord-7F3K9Q")]);
        assert!(rows.iter().all(|row| row.group == "Pages" || row.group == "Actions"));
        assert!(search("pay", &[]).iter().any(|row| row.title == "payments"));
    }

    #[test]
    fn the_letters_that_were_typed_stand_out() {
        assert_eq!(highlight("ord-7F3K9Q", "7f3k"), ("ord-", "7F3K", "9Q"));
        assert_eq!(highlight("Live", ""), ("Live", "", ""));
    }
}
