//! What must be true of a shop at rest, as sentences about what is not.

use crate::books::{BankBooks, Books, OrderBooks};
use contract::{order::OrderStatus, shop::PaymentMethod};
use event_sourcing::replay;
use saga::State;
use shop::{
    bank::{CLEARING, EXTERNAL, MERCHANT},
    orders::{CHECKOUT, Order, project},
    provider::ProviderBalances,
    seed,
};
use std::collections::{BTreeMap, HashMap};
use two_phase_commit::Phase;

/// Every fault in the books; none when all is well.
pub(crate) fn find(books: &Books) -> Vec<String> {
    let mut faults = Vec::new();
    bank("the customers' bank", &books.customers, &mut faults);
    bank("the merchant's bank", &books.merchant, &mut faults);
    let orders: Vec<_> = books.orders.iter().map(|order| (order, told(order))).collect();
    money(books, &orders, &mut faults);
    stock(books, &orders, &mut faults);
    for (order, told) in &orders {
        let mut found = Vec::new();
        stream(order, told.as_ref(), &mut found);
        payments(order, &mut found);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", order.row.order_id)));
    }
    faults
}

/// The order as its own events tell it.
type Told = Option<(Order, u64)>;

fn told(order: &OrderBooks) -> Told {
    replay::<Order>(&order.story.events).ok()
}

fn expect(faults: &mut Vec<String>, holds: bool, fault: impl FnOnce() -> String) {
    if !holds {
        faults.push(fault());
    }
}

/// Double entry: what one account has, another lacks. Nothing is promised to anybody any more.
fn bank(name: &str, bank: &BankBooks, faults: &mut Vec<String>) {
    let sum: i64 = bank.accounts.iter().map(|account| account.balance).sum();
    expect(faults, bank.ledger_sum == 0, || format!("{name}: postings sum to {}", bank.ledger_sum));
    expect(faults, sum == 0, || format!("{name}: balances sum to {sum}"));
    expect(faults, bank.prepared == 0, || format!("{name}: {} prepared", bank.prepared));
    for account in &bank.accounts {
        let (id, balance, held) = (&account.account_id, account.balance, account.held);
        expect(faults, held == 0, || format!("{name}: {held} held on {id}"));
        let may_owe = [CLEARING, EXTERNAL].contains(&id.as_str());
        expect(faults, may_owe || balance >= 0, || format!("{name}: {id} has {balance}"));
    }
}

/// What customers paid is what the merchant got, to the cent, and both is what was bought.
fn money(books: &Books, orders: &[(&OrderBooks, Told)], faults: &mut Vec<String>) {
    let (ours, theirs) = (books.customers.balance(CLEARING), books.merchant.balance(CLEARING));
    let ProviderBalances { clearing, cards } = books.provider;
    expect(faults, ours + theirs + clearing == 0, || {
        format!("between the banks {ours} and the provider's {clearing} meet {theirs}")
    });
    expect(faults, clearing + cards == 0, || format!("{cards} of the cards is {clearing}"));
    let mut spent: BTreeMap<&str, i64> = BTreeMap::new();
    let mut charged = 0;
    for (order, told) in orders.iter().filter(|(order, _)| stands(order)) {
        let method = told.as_ref().map(|(order, _)| order.payment_method).unwrap_or_default();
        match method {
            PaymentMethod::Wallet => {
                *spent.entry(&order.row.user_id).or_default() += order.row.total.minor;
            }
            PaymentMethod::Card | PaymentMethod::Debit => charged += order.row.total.minor,
        }
    }
    expect(faults, clearing == charged, || format!("{charged} by card, {clearing} was captured"));
    let sold: i64 = spent.values().sum();
    let income = books.merchant.balance(MERCHANT) - seed::MERCHANT_OPENING;
    expect(faults, income == sold + charged, || {
        format!("{sold} was sold and {charged} by card, the merchant got {income}")
    });
    let wallets: Vec<_> = seed::users();
    let left: i64 = wallets.iter().map(|(user, _)| books.customers.balance(&user.user_id)).sum();
    let paid_in = -books.customers.balance(EXTERNAL);
    expect(faults, left == paid_in - sold, || {
        format!("of {paid_in} paid in and {sold} spent, {left} is left in the wallets")
    });
    let opened: i64 = wallets.iter().map(|(_, opening)| opening).sum();
    // Without a deposit since the opening each wallet can be told on its own.
    for (user, opening) in wallets.into_iter().filter(|_| paid_in == opened) {
        let has = books.customers.balance(&user.user_id);
        let should = opening - spent.get(user.user_id.as_str()).copied().unwrap_or(0);
        expect(faults, has == should, || format!("{} has {has}, not {should}", user.user_id));
    }
}

/// Whether an order ended with an effect.
fn stands(order: &OrderBooks) -> bool {
    matches!(order.row.status, OrderStatus::Confirmed | OrderStatus::Shipped)
}

/// Pieces move between shelf, reservation and customer, and never come or go.
fn stock(books: &Books, orders: &[(&OrderBooks, Told)], faults: &mut Vec<String>) {
    let mut of: HashMap<(&str, OrderStatus), i64> = HashMap::new();
    for (order, told) in orders {
        for line in told.iter().flat_map(|(order, _)| &order.lines) {
            let pieces = of.entry((&line.product_id, order.row.status)).or_default();
            *pieces += i64::from(line.quantity);
        }
    }
    for level in &books.levels {
        let id = level.product_id.as_str();
        let pieces = |status| of.get(&(id, status)).copied().unwrap_or(0);
        let (reserved, sold) = (pieces(OrderStatus::Confirmed), pieces(OrderStatus::Shipped));
        let known = level.available + level.reserved + level.sold;
        expect(faults, known == level.delivered, || {
            format!("{id}: pieces came or went: {level:?}")
        });
        expect(faults, level.available >= 0, || format!("{id}: less than nothing: {level:?}"));
        expect(faults, level.reserved == reserved, || {
            format!("{id}: {reserved} of confirmed orders, {} reserved", level.reserved)
        });
        expect(faults, level.sold == sold, || {
            format!("{id}: {sold} of shipped orders, {} sold", level.sold)
        });
    }
}

/// The stream has no gap, and everything derived from it says the same.
fn stream(order: &OrderBooks, told: Option<&(Order, u64)>, faults: &mut Vec<String>) {
    let Some((order_told, version)) = told else {
        faults.push("its stream has a gap".into());
        return;
    };
    let row = &order.row;
    expect(faults, order_told.status() == row.status, || {
        format!("its events say {}, its row {}", order_told.status(), row.status)
    });
    expect(faults, *version == row.version, || {
        format!("its events are at v{version}, its row at v{}", row.version)
    });
    let folded = order.story.events.iter().fold(None, |row, recorded| {
        // An event that changes nothing leaves the row as it was.
        project(&row_id(order), row.clone(), recorded).or(row)
    });
    expect(faults, folded.as_ref() == Some(row), || format!("its row is not its events': {row:?}"));
    let lines = order_told.lines.iter();
    let total: i64 = lines.map(|l| l.unit_price.minor * i64::from(l.quantity)).sum();
    expect(faults, total == row.total.minor, || format!("its lines cost {total}: {row:?}"));
    let saga = saga::replay(&CHECKOUT, &order.story.saga);
    let over = match &saga {
        Ok(State::Completed) => stands(order),
        Ok(State::Compensated) => row.status == OrderStatus::Cancelled,
        _ => false,
    };
    expect(faults, over, || format!("its saga is {saga:?} and it is {}", row.status));
}

fn row_id(order: &OrderBooks) -> String {
    order.row.order_id.clone()
}

/// Paid once when it stands; not paid, or paid and refunded, when it was cancelled.
fn payments(order: &OrderBooks, faults: &mut Vec<String>) {
    let mut committed = BTreeMap::new();
    for record in &order.transactions {
        let (id, purpose) = (&record.transaction.id, &record.transaction.purpose);
        match Phase::replay(&record.log) {
            Ok(Phase::Committed) => *committed.entry(purpose.as_str()).or_insert(0) += 1,
            Ok(Phase::Aborted) => {
                expect(faults, purpose == "payment", || format!("the refund {id} was refused"));
            }
            other => faults.push(format!("{id} is {other:?}")),
        }
    }
    let times = |purpose| committed.get(purpose).copied().unwrap_or(0);
    let (paid, refunded) = (times("payment"), times("refund"));
    let right = match order.row.status {
        OrderStatus::Confirmed | OrderStatus::Shipped => (paid, refunded) == (1, 0),
        OrderStatus::Cancelled => matches!((paid, refunded), (0, 0) | (1, 1)),
        OrderStatus::Processing => false,
    };
    expect(faults, right, || {
        format!("{}, paid {paid} times, refunded {refunded} times", order.row.status)
    });
}
