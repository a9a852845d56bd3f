//! What the command palette finds for what is typed. Pure.

use super::state::{Command, LOAD_START};
use contract::{
    find::{Hit, HitKind},
    order::OrderRow,
    resilience::{BreakerLine, BreakerState, FaultView},
    service::SERVICES,
};

/// What this tab knows besides the fixed rows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The newest orders.
    pub orders: Vec<OrderRow>,
    /// Faults in force.
    pub faults: Vec<FaultView>,
    /// Every breaker.
    pub breakers: Vec<BreakerLine>,
    /// Titles and addresses opened from here before, the newest first.
    pub recent: Vec<(String, String)>,
    /// What the server found for the text.
    pub hits: Vec<Hit>,
}

/// Addresses remembered: what fits without scrolling.
pub const RECENT_MAX: usize = 5;

/// The list of recent addresses with one more in front.
#[must_use]
pub fn remember(
    mut recent: Vec<(String, String)>,
    title: &str,
    address: &str,
) -> Vec<(String, String)> {
    recent.retain(|(_, known)| known != address);
    recent.insert(0, (title.to_owned(), address.to_owned()));
    recent.truncate(RECENT_MAX);
    recent
}

/// Groups of what is found by name or id, in this order; those before them and after them stand as
/// they come.
const GROUPS: [&str; 5] = ["Recent", "Orders", "Traces", "Customers", "Products"];

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
pub fn search(text: &str, known: &Known) -> Vec<Found> {
    let needle = text.trim().to_lowercase();
    let mut rows = Vec::new();
    if needle.is_empty() {
        let recent = |(title, address): &(String, String)| {
            found("Recent", title, "", "", Command::Go(address.clone()))
        };
        rows.extend(known.recent.iter().map(recent));
    }
    rows.extend(find_orders(&needle, &known.orders));
    rows.extend(find_trace(&needle).into_iter().flatten());
    for hit in &known.hits {
        let map = (hit.kind == HitKind::Trace).then(|| on_map(&hit.id, &hit.title));
        for row in [of_hit(hit)].into_iter().chain(map) {
            if rows.iter().all(|known| known.command != row.command) {
                rows.push(row);
            }
        }
    }
    // Each group stands together, wherever its rows were found.
    rows.sort_by_key(|row| GROUPS.iter().position(|group| *group == row.group));
    rows.extend(find_faults(&needle, &known.faults));
    rows.extend(find_breakers(&needle, &known.breakers));
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
    // Those that are no longer in the feed are found by the server, which knows whether they are.
    orders
        .iter()
        .filter(|row| !needle.is_empty() && row.order_id.to_lowercase().contains(needle))
        .take(GROUP_ROWS_MAX)
        .map(|row| {
            let note = format!("{}, {}", row.status, crate::model::format::money(row.total));
            found("Orders", &row.order_id, &note, "", go(&row.order_id))
        })
        .collect()
}

/// What the server found. Customers and products lead to the form of an order of theirs.
fn of_hit(hit: &Hit) -> Found {
    let id = &hit.id;
    let (group, address) = match hit.kind {
        HitKind::Order => ("Orders", format!("/orders/{id}")),
        HitKind::Trace => ("Traces", format!("/traces/{id}")),
        HitKind::Customer => ("Customers", format!("/orders/new?customer={id}")),
        HitKind::Product => ("Products", format!("/orders/new?product={id}")),
    };
    let note = match hit.kind {
        HitKind::Order | HitKind::Trace => hit.note.clone(),
        HitKind::Customer | HitKind::Product => format!("{id}, {}, place an order", hit.note),
    };
    found(group, &hit.title, &note, "", Command::Go(address))
}

/// Faults by id, kind or place.
fn find_faults(needle: &str, faults: &[FaultView]) -> Vec<Found> {
    let told = |fault: &FaultView| format!("{} {} {}", fault.id, fault.what, fault.place);
    faults
        .iter()
        .filter(|fault| !needle.is_empty() && told(fault).to_lowercase().contains(needle))
        .take(GROUP_ROWS_MAX)
        .map(|fault| {
            let note = format!("{}, {}", fault.what, fault.place);
            let go = Command::Go(format!("/resilience?fault={}#faults", fault.id));
            found("Faults", &fault.id, &note, "", go)
        })
        .collect()
}

/// Breakers by caller and callee; those that are not closed first.
fn find_breakers(needle: &str, breakers: &[BreakerLine]) -> Vec<Found> {
    let title = |line: &BreakerLine| {
        let subset = line.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        format!("{} to {}{subset}", line.from, line.to)
    };
    let matches = |line: &&BreakerLine| {
        !needle.is_empty()
            && (title(line).to_lowercase().contains(needle) || "breaker".starts_with(needle))
    };
    let mut lines: Vec<&BreakerLine> = breakers.iter().filter(matches).collect();
    lines.sort_by_key(|line| line.state == BreakerState::Closed);
    let row = |line: &&BreakerLine| {
        let state = match line.state {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half-open",
        };
        let go = Command::Go(format!("/resilience?breaker={}", line.id.replace('~', "%7E")));
        found("Breakers", &title(line), state, "", go)
    };
    lines.iter().take(GROUP_ROWS_MAX).map(row).collect()
}

fn find_trace(needle: &str) -> Option<[Found; 2]> {
    let whole = needle.len() == 32 && needle.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| {
        let go = Command::Go(format!("/traces/{needle}"));
        [found("Traces", needle, "open this trace", "", go), on_map(needle, needle)]
    })
}

/// The trace on Live's map.
fn on_map(id: &str, title: &str) -> Found {
    found("Traces", title, "show it on the map", "", Command::Go(format!("/?trace={id}")))
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

    fn orders(ids: &[&str]) -> Known {
        Known { orders: ids.iter().map(|id| row(id)).collect(), ..Known::default() }
    }

    #[test]
    fn faults_and_breakers_are_found_and_what_is_not_closed_comes_first() {
        let line = |to: &str, state| BreakerLine {
            id: format!("gateway~{to}"),
            from: "gateway".into(),
            to: to.into(),
            subset: None,
            state,
            since_us: 0,
            half_open_at_us: None,
            forced: None,
            marks: String::new(),
            opens_at: 5,
            distance: None,
        };
        let breakers =
            vec![line("users", BreakerState::Closed), line("payments", BreakerState::Open)];
        let known = Known { breakers, ..Known::default() };
        let rows = search("gateway to", &known);
        let found: Vec<_> =
            rows.iter().map(|row| (row.title.as_str(), row.note.as_str())).collect();
        assert_eq!(found, [("gateway to payments", "open"), ("gateway to users", "closed")]);
        let card = Command::Go("/resilience?breaker=gateway%7Epayments".into());
        assert_eq!(rows[0].command, card);
    }

    #[test]
    fn what_was_opened_before_stands_first_once_and_is_forgotten_in_the_end() {
        let mut recent = Vec::new();
        for n in [1, 2, 1, 3, 4, 5, 6] {
            recent = remember(recent, &format!("order {n}"), &format!("/orders/{n}"));
        }
        let titles: Vec<_> = recent.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles, ["order 6", "order 5", "order 4", "order 3", "order 1"]);
        let rows = search("", &Known { recent, ..Known::default() });
        assert_eq!((rows[0].group, rows[0].title.as_str()), ("Recent", "order 6"));
    }

    #[test]
    fn an_order_is_found_by_a_part_of_its_id_in_any_case() {
        let rows = search("7f3k", &orders(&["ord-7F3K9Q", "ord-AAAAAA"]));
        assert_eq!((rows[0].group, rows[0].title.as_str()), ("Orders", "ord-7F3K9Q"));
        assert_eq!(rows[0].note, "cancelled, €184.50");
        assert_eq!(rows.iter().filter(|row| row.group == "Orders").count(), 1);
    }

    #[test]
    fn a_part_of_an_order_id_that_nobody_knows_leads_nowhere() {
        assert!(search("ord-7f4c", &Known::default()).is_empty());
    }

    #[test]
    fn a_whole_trace_id_opens_its_trace_and_a_part_of_one_does_not() {
        let id = "7c1e9a4f0b6d42e8a5f3c2d19b8e6047";
        let rows = search(id, &Known::default());
        let go = |address: String| Command::Go(address);
        assert_eq!(rows[0].command, go(format!("/traces/{id}")));
        assert_eq!(rows[1].command, go(format!("/?trace={id}")), "and on the map");
        assert!(search("7c1e9a4f", &Known::default()).is_empty());
    }

    #[test]
    fn what_the_server_found_stands_with_its_kind_and_nothing_stands_twice() {
        let hit = |kind, id: &str, title: &str| Hit {
            kind,
            id: id.into(),
            title: title.into(),
            note: "comfortable".into(),
        };
        let hits = vec![
            hit(HitKind::Customer, "c-1001", "Ada Brandt"),
            hit(HitKind::Order, "ord-ADA3K9", "ord-ADA3K9"),
            hit(HitKind::Order, "ord-OLDADA", "ord-OLDADA"),
            hit(HitKind::Trace, "ada0", "ada0"),
        ];
        let known = Known { hits, ..orders(&["ord-ADA3K9"]) };
        let rows = search("ada", &known);
        let found: Vec<_> = rows.iter().map(|row| (row.group, row.title.as_str())).collect();
        assert_eq!(
            found,
            [
                ("Orders", "ord-ADA3K9"),
                ("Orders", "ord-OLDADA"),
                ("Traces", "ada0"),
                ("Traces", "ada0"),
                ("Customers", "Ada Brandt"),
            ]
        );
        assert_eq!(rows[4].note, "c-1001, comfortable, place an order");
        assert_eq!(rows[4].command, Command::Go("/orders/new?customer=c-1001".into()));
    }

    #[test]
    fn nothing_typed_lists_pages_and_actions_but_no_services() {
        let rows = search("", &orders(&["ord-7F3K9Q"]));
        assert!(rows.iter().all(|row| row.group == "Pages" || row.group == "Actions"));
        assert!(search("pay", &Known::default()).iter().any(|row| row.title == "payments"));
    }

    #[test]
    fn the_letters_that_were_typed_stand_out() {
        assert_eq!(highlight("ord-7F3K9Q", "7f3k"), ("ord-", "7F3K", "9Q"));
        assert_eq!(highlight("Live", ""), ("Live", "", ""));
    }
}
