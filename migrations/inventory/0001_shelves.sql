-- Shelves. available + reserved + sold = delivered, always.
CREATE TABLE levels (
    product_id TEXT PRIMARY KEY NOT NULL,
    available  INTEGER NOT NULL CONSTRAINT stock_never_negative CHECK (available >= 0),
    reserved   INTEGER NOT NULL CHECK (reserved >= 0),
    sold       INTEGER NOT NULL CHECK (sold >= 0),
    delivered  INTEGER NOT NULL,
    CONSTRAINT stock_conserved CHECK (available + reserved + sold = delivered)
) WITHOUT ROWID;

-- One reservation per order; lines are JSON pairs of product and quantity.
CREATE TABLE reservations (
    order_id       TEXT PRIMARY KEY NOT NULL,
    reservation_id TEXT NOT NULL UNIQUE,
    state          TEXT NOT NULL CHECK (state IN ('held', 'released', 'sold')),
    lines          TEXT NOT NULL
) WITHOUT ROWID;

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
