-- Two-phase commits this service coordinates. `decision` is JSON, null until it is logged.
CREATE TABLE transactions (
    transaction_id TEXT PRIMARY KEY NOT NULL,
    order_id       TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    amount_minor   INTEGER NOT NULL,
    begun_us       INTEGER NOT NULL,
    data           TEXT NOT NULL,
    decision       TEXT,
    ended          INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX transactions_by_order ON transactions (order_id, begun_us);
CREATE INDEX transactions_by_user ON transactions (user_id, begun_us DESC);
CREATE INDEX transactions_unfinished ON transactions (ended) WHERE ended = 0;

-- Every line of the protocol.
CREATE TABLE transaction_log (
    line           INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_id TEXT NOT NULL,
    data           TEXT NOT NULL
);
CREATE INDEX transaction_log_by_transaction ON transaction_log (transaction_id, line);

-- Messages taken: a message that comes again is known by its id.
CREATE TABLE inbox (
    message_id TEXT PRIMARY KEY NOT NULL,
    taken_us   INTEGER NOT NULL
) WITHOUT ROWID;

-- Messages recorded with the state they announce, until every subscriber acknowledged.
-- AUTOINCREMENT: the relay remembers where it is, so a sequence must never come again.
CREATE TABLE outbox (
    sequence       INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    topic          TEXT NOT NULL,
    key            TEXT NOT NULL,
    correlation_id TEXT,
    traceparent    TEXT,
    tracestate     TEXT,
    recorded_us    INTEGER NOT NULL,
    body           TEXT NOT NULL
);
