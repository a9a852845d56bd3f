//! One order's whole story, put together from what orders, payments and telemetry recorded: pure.

use super::{
    transaction::{self, Evidence, Outage},
    tries,
};
use contract::{
    ApiError, attributes,
    order::{
        EventView, OrderLineView, OrderRow, OrderStateView, OrderStatus, OrderTrace, OrderView,
        Part, StepMark,
    },
    saga::{SagaStatus, SagaStepView, SagaView},
    trace::{Level, LogView, TraceView},
};
use event_sourcing::{Aggregate, DomainEvent, Recorded};
use saga::{Command, Entry, Event as SagaEvent, State};
use shop::{
    orders::{
        CHECKOUT, Order, OrderEvent, OrderStory, Refusal,
        decide::{self, CONFIRM, PAY, RESERVE},
        project,
    },
    payments::TransactionRecord,
};

/// What a story is told from.
pub(super) struct Parts {
    pub(super) told: OrderStory,
    pub(super) transactions: Part<Vec<TransactionRecord>>,
    pub(super) customer: Part<String>,
    /// Those of the order's traces that are kept.
    pub(super) traces: Vec<TraceView>,
    pub(super) logs: Vec<LogView>,
    /// Of lines from before then some may have left.
    pub(super) logs_left_until_us: i64,
    /// What faults did to instances.
    pub(super) outages: Vec<Outage>,
    /// When this run of Vitrine began.
    pub(super) started_us: i64,
}

/// Who bought.
pub(super) fn user_id(told: &OrderStory) -> &str {
    told.events
        .iter()
        .find_map(|recorded| match &recorded.event {
            OrderEvent::OrderPlaced { user_id, .. } => Some(user_id.as_str()),
            _ => None,
        })
        .unwrap_or_default()
}

/// The page.
pub(super) fn view(parts: Parts) -> Result<OrderView, ApiError> {
    let Parts { told, transactions, customer, traces, logs, outages, started_us, .. } = parts;
    let row = told
        .events
        .iter()
        .fold(None, |row, event| project(&told.order_id, row.clone(), event).or(row))
        .ok_or_else(|| ApiError::NotFound { what: format!("order {}", told.order_id) })?;
    let (order, states) = replay(&told.events);
    let state = saga::replay(&CHECKOUT, &told.saga).unwrap_or_default();
    let evidence = Evidence { traces: &traces, logs: &logs, outages: &outages, started_us };
    let joined = |records: Vec<TransactionRecord>| {
        records.iter().map(|record| transaction::view(record, &evidence)).collect()
    };
    let transactions = transactions.map(joined);
    let logs = with_outages(logs, &outages, &traces, &row, &told);
    let listed = listed(&told.traces, &traces);
    let saga = saga_view(&told, state, &traces);
    let mut kept = traces.into_iter();
    let trace = kept.find(|kept| Some(&kept.row.trace_id) == told.trace_id.as_ref());
    let refundable = row.status == OrderStatus::Confirmed;
    Ok(OrderView {
        sentence: sentence(&row, &told.events, state),
        customer,
        lines: order.lines.iter().map(line).collect(),
        payment_method: order.payment_method,
        correlation_id: told.correlation_id.clone(),
        trace_id: told.trace_id.clone(),
        traces: listed,
        // What is recorded for good, so that the offsets stay when the trace has left.
        zero_us: row.placed_at_us,
        events: told.events.iter().map(event).collect(),
        states,
        saga: Some(saga),
        transactions,
        trace,
        logs,
        logs_left_until_us: Some(parts.logs_left_until_us)
            .filter(|until_us| row.placed_at_us <= *until_us),
        can_cancel: refundable || matches!(state, State::Running { .. }),
        can_ship: refundable,
        can_redrive: matches!(state, State::Stuck { .. }),
        row,
    })
}

/// Every trace of an order, with what it was where it is still kept.
fn listed(ids: &[String], kept: &[TraceView]) -> Vec<OrderTrace> {
    let row = |id: &String| kept.iter().find(|kept| kept.row.trace_id == *id);
    let listed = |id: &String| OrderTrace {
        trace_id: id.clone(),
        row: row(id).map(|kept| kept.row.clone()),
    };
    ids.iter().map(listed).collect()
}

/// The lines, with those for what faults did to the processes that the order needed while it ran:
/// who is killed cannot write why.
fn with_outages(
    mut logs: Vec<LogView>,
    outages: &[Outage],
    traces: &[TraceView],
    row: &OrderRow,
    told: &OrderStory,
) -> Vec<LogView> {
    let until_us = match row.status {
        OrderStatus::Processing => i64::MAX,
        _ => told.events.last().map_or(row.placed_at_us, |last| last.at_us),
    };
    let needed = |service: &str| {
        CHECKOUT.steps.iter().any(|step| step.service == service)
            || traces.iter().any(|trace| trace.row.services.iter().any(|name| name == service))
    };
    let lines = outages.iter().filter(|outage| {
        (row.placed_at_us..=until_us).contains(&outage.since_us) && needed(&outage.service)
    });
    logs.extend(lines.map(|outage| {
        let (level, word) =
            if outage.killed { (Level::Error, "killed") } else { (Level::Warn, "paused") };
        LogView {
            at_us: outage.since_us,
            service: outage.service.clone(),
            level,
            message: format!("an instance was {word} by {}", outage.fault_id),
            span_id: None,
            trace_id: None,
            fields: vec![(attributes::FAULT_ID.to_owned(), outage.fault_id.clone())],
        }
    }));
    logs.sort_by_key(|line| line.at_us);
    logs
}

fn replay(events: &[Recorded<OrderEvent>]) -> (Order, Vec<OrderStateView>) {
    let mut order = Order::default();
    let states = events.iter().map(|recorded| {
        order.apply(&recorded.event);
        OrderStateView { version: recorded.version, facts: decide::facts(&order) }
    });
    let states = states.collect();
    (order, states)
}

fn line(line: &shop::orders::Line) -> OrderLineView {
    OrderLineView {
        product_id: line.product_id.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
    }
}

fn event(recorded: &Recorded<OrderEvent>) -> EventView {
    EventView {
        version: recorded.version,
        name: recorded.event.name().to_owned(),
        at_us: recorded.at_us,
        summary: summary(&recorded.event),
        json: data(&recorded.event),
    }
}

/// The data of an event, in the order of its fields. Its type is its name, which stands above it.
fn data(event: &OrderEvent) -> String {
    let pretty = serde_json::to_string_pretty(event).unwrap_or_default();
    let lines: Vec<&str> =
        pretty.lines().filter(|line| !line.starts_with("  \"type\": ")).collect();
    if lines.len() > 2 { lines.join("\n") } else { "{}".to_owned() }
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn summary(event: &OrderEvent) -> String {
    use OrderEvent as E;
    match event {
        E::OrderPlaced { user_id, lines, total, .. } => {
            let items = count(lines.iter().map(|l| u64::from(l.quantity)).sum(), "item", "items");
            format!("{items}, {total}, customer {user_id}")
        }
        E::StockReserved { reservation_id, units } => {
            format!("{reservation_id}, {}", count(*units, "unit", "units"))
        }
        E::StockRefused { reason } => reason.clone(),
        E::PaymentRequested { amount } => amount.to_string(),
        E::PaymentAuthorized { transaction_id } | E::PaymentRefunded { transaction_id } => {
            transaction_id.clone()
        }
        E::PaymentDeclined { voter, reason, grounds, .. } => {
            let line = Refusal::of(*grounds, reason).line();
            voter.as_ref().map_or_else(|| line.clone(), |voter| format!("{voter}: {line}"))
        }
        E::PaymentTimedOut { seconds } => format!("no answer within {seconds} s, outcome unknown"),
        E::PaymentVoided { found, .. } => found.clone(),
        E::OrderConfirmed => "stock reserved, money moved".into(),
        E::CancellationRequested { origin } => match origin {
            contract::order::Origin::Browser => "from this page".into(),
            contract::order::Origin::Load => "by the load generator".into(),
            contract::order::Origin::Api => "by the API".into(),
        },
        E::CompensationStarted { steps } => {
            format!("{} to undo", count(*steps as u64, "step", "steps"))
        }
        E::StockReleased { units } => format!("{} back in stock", count(*units, "unit", "units")),
        E::CompensationStuck { reason, .. } => reason.clone(),
        E::OrderCancelled { reason } => format!("reason {reason}"),
        E::OrderShipped => "left the house".into(),
    }
}

/// What happened and why, in one sentence or two.
fn sentence(row: &OrderRow, events: &[Recorded<OrderEvent>], state: State) -> String {
    let timed_out = events.iter().position(|e| e.event.name() == "PaymentTimedOut");
    // What came after the timeout was too late to be the cause.
    let causes = &events[..timed_out.map_or(events.len(), |at| at + 1)];
    let declined = causes.iter().rev().find_map(|recorded| match &recorded.event {
        OrderEvent::PaymentDeclined { voter, reason, grounds, .. } => {
            Some(Refusal::of(*grounds, reason).sentence(voter.as_deref()))
        }
        OrderEvent::PaymentTimedOut { seconds } => {
            Some(format!("Payment timed out: payments did not answer within {seconds} s."))
        }
        OrderEvent::StockRefused { reason } => Some(format!("Out of stock: {reason}.")),
        OrderEvent::CancellationRequested { .. } => Some("Cancelled on request.".to_owned()),
        _ => None,
    });
    let happened = |wanted: &str| events.iter().any(|e| e.event.name() == wanted);
    match (row.status, state) {
        (OrderStatus::Confirmed, _) => {
            format!("Stock is reserved and {} moved between the banks.", row.total)
        }
        (OrderStatus::Shipped, _) => format!("Paid ({}) and shipped.", row.total),
        (OrderStatus::Processing, State::Stuck { .. }) => {
            format!(
                "{} A compensation was refused and waits for a person.",
                declined.unwrap_or_default()
            )
        }
        (OrderStatus::Processing, State::Voiding { .. }) => format!(
            "{} Whether money moved is unknown; the payment is being voided.",
            declined.unwrap_or_default()
        ),
        (OrderStatus::Processing, State::Compensating { .. }) => {
            format!("{} What was done is being undone.", declined.unwrap_or_default())
        }
        (OrderStatus::Processing, _) => format!("{}.", row.phase),
        (OrderStatus::Cancelled, _) => {
            let undone = match (happened("PaymentRefunded"), happened("StockReleased")) {
                (true, true) => " The money went back and stock was released.",
                (false, true) => " Stock was released and no money moved.",
                (_, false) => " Nothing had to be undone.",
            };
            format!("{}{undone}", declined.unwrap_or_else(|| "Cancelled.".into()))
        }
    }
}

/// When each command of the saga was recorded and answered, from its log.
#[derive(Clone, Copy, Default)]
struct Times {
    began: Option<i64>,
    ended: Option<i64>,
}

#[derive(Default)]
struct Walk {
    forward: [Times; 3],
    backward: [Times; 3],
    refused: Option<usize>,
    timed_out: Option<usize>,
}

fn walk(log: &[Entry]) -> Walk {
    let mut walk = Walk::default();
    let mut state = State::default();
    for entry in log {
        let end = |times: Option<&mut Times>| {
            if let Some(times) = times {
                times.ended = Some(entry.at_us);
            }
        };
        match &entry.event {
            SagaEvent::StepTimedOut { step } => {
                end(walk.forward.get_mut(*step));
                walk.timed_out = Some(*step);
            }
            // An answer after that is none.
            SagaEvent::StepDone { step } | SagaEvent::StepRefused { step, .. }
                if walk.timed_out == Some(*step) => {}
            SagaEvent::StepDone { step } => end(walk.forward.get_mut(*step)),
            SagaEvent::StepRefused { step, .. } => {
                end(walk.forward.get_mut(*step));
                walk.refused = Some(*step);
            }
            SagaEvent::Undone { step } => end(walk.backward.get_mut(*step)),
            _ => {}
        }
        let Ok(next) = state.next(&CHECKOUT, &entry.event) else {
            break;
        };
        state = next;
        let began = match state.due() {
            Some(Command::Do(step)) => walk.forward.get_mut(step),
            Some(Command::Undo(step)) => walk.backward.get_mut(step),
            None => None,
        };
        if let Some(times) = began {
            times.began.get_or_insert(entry.at_us);
        }
    }
    walk
}

fn saga_view(told: &OrderStory, state: State, traces: &[TraceView]) -> SagaView {
    let walk = walk(&told.saga);
    let steps = CHECKOUT.steps.iter().enumerate().map(|(index, step)| {
        let times = walk.forward[index];
        let mark = match (times.began, times.ended) {
            (None, _) => StepMark::NotReached,
            (Some(_), None) => StepMark::Running,
            (Some(_), Some(_)) if walk.timed_out == Some(index) => StepMark::Unknown,
            (Some(_), Some(_)) if walk.refused == Some(index) => StepMark::Failed,
            (Some(_), Some(_)) => StepMark::Done,
        };
        let (name, service) = (step.name.to_owned(), step.service.to_owned());
        let (detail, versions) = evidence(told, (index, false, false), mark);
        let tries = tries::of_step(index, false, traces);
        SagaStepView {
            name,
            service,
            mark,
            detail,
            started_us: times.began,
            ended_us: times.ended,
            versions,
            tries,
        }
    });
    let first = walk.backward.iter().rposition(|times| times.began.is_some());
    let compensations = CHECKOUT.steps.iter().enumerate().map(|(index, step)| {
        let times = walk.backward[index];
        let began = times.began?;
        let mark = match (times.ended, state) {
            (Some(_), _) => StepMark::Undone,
            (None, State::Stuck { step }) if step == index => StepMark::Stuck,
            (None, _) => StepMark::Running,
        };
        let (detail, versions) = evidence(told, (index, true, first == Some(index)), mark);
        let tries = tries::of_step(index, true, traces);
        let voided = walk.timed_out == Some(index);
        let name = if voided { step.void_name } else { step.compensation_name };
        Some(SagaStepView {
            name: name.to_owned(),
            service: step.service.to_owned(),
            mark,
            detail,
            started_us: Some(began),
            ended_us: times.ended,
            versions,
            tries,
        })
    });
    let took_us = match (told.saga.first(), told.saga.last()) {
        (Some(first), Some(last)) if state.is_at_rest() => Some(last.at_us - first.at_us),
        _ => None,
    };
    SagaView {
        saga_id: told.order_id.clone(),
        status: match state {
            State::NotStarted | State::Running { .. } | State::Cancelling { .. } => {
                SagaStatus::Running
            }
            State::Completed => SagaStatus::Completed,
            State::Compensating { .. } | State::Voiding { .. } => SagaStatus::Compensating,
            State::Compensated => SagaStatus::Compensated,
            State::Stuck { .. } => SagaStatus::Stuck,
        },
        steps: steps.collect(),
        compensations: compensations.collect(),
        took_us,
    }
}

/// The events of a step or compensation: one line from the last of them, and their versions.
fn evidence(
    told: &OrderStory,
    (step, back, first): (usize, bool, bool),
    mark: StepMark,
) -> (String, Vec<u64>) {
    use OrderEvent as E;
    let belongs = |event: &E| match event {
        E::StockReserved { .. } | E::StockRefused { .. } => (step, back) == (RESERVE, false),
        E::PaymentRequested { .. }
        | E::PaymentAuthorized { .. }
        | E::PaymentDeclined { .. }
        | E::PaymentTimedOut { .. } => (step, back) == (PAY, false),
        E::OrderConfirmed => (step, back) == (CONFIRM, false),
        E::StockReleased { .. } => (step, back) == (RESERVE, true),
        E::PaymentRefunded { .. } | E::PaymentVoided { .. } => (step, back) == (PAY, true),
        E::CompensationStuck { step: stuck, .. } => (step, back) == (*stuck, true),
        _ => false,
    };
    // What begins to undo belongs to what is undone first: the last step.
    let begins = |event: &E| back && first && matches!(event, E::CompensationStarted { .. });
    let mine: Vec<_> = told.events.iter().filter(|recorded| belongs(&recorded.event)).collect();
    let detail = match (mark, mine.last()) {
        (StepMark::NotReached, _) => "not reached".to_owned(),
        // Who voted no and why stands in the sentence of the order and at the event.
        (
            StepMark::Failed,
            Some(Recorded { event: E::PaymentDeclined { reason, grounds, .. }, .. }),
        ) => match Refusal::of(*grounds, reason) {
            Refusal::VotedNo(_) => "declined".to_owned(),
            Refusal::BreakerOpen(_) | Refusal::NoAnswer(_) => "no vote, counts as no".to_owned(),
            Refusal::NoRoom(_) => "refused, nobody was asked".to_owned(),
        },
        (StepMark::Failed, Some(last)) => format!("refused, {}", summary(&last.event)),
        // Whatever answer came later, what the step came to is that there was none in time.
        (StepMark::Unknown, _) => "timed out, outcome unknown".to_owned(),
        (_, Some(last)) => summary(&last.event),
        (StepMark::Undone, None) => "nothing outside to undo".to_owned(),
        (_, None) => "waiting for the answer".to_owned(),
    };
    let shown = told.events.iter().filter(|r| belongs(&r.event) || begins(&r.event));
    (detail, shown.map(|recorded| recorded.version).collect())
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
