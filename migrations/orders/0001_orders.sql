-- One row per order: the version of its stream and where it came from.
CREATE TABLE streams (
    order_id       TEXT PRIMARY KEY NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    correlation_id TEXT NOT NULL,
    trace_id       TEXT
) WITHOUT ROWID;

-- The event store. `position` is the order of all events, for projections.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id TEXT NOT NULL,
    version  INTEGER NOT NULL CHECK (version > 0),
    at_us    INTEGER NOT NULL,
    name     TEXT NOT NULL,
    data     TEXT NOT NULL,
    CONSTRAINT one_event_per_version UNIQUE (order_id, version)
);

-- The saga of each order, event by event.
CREATE TABLE saga_log (
    order_id TEXT NOT NULL,
    entry    INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    event    TEXT NOT NULL,
    PRIMARY KEY (order_id, entry)
) WITHOUT ROWID;

-- Idempotency-Key of clients: one key places one order.
CREATE TABLE keys (
    key         TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    order_id    TEXT NOT NULL,
    used_us     INTEGER NOT NULL
) WITHOUT ROWID;

-- The read model, kept by a projection that has seen every event up to `projections.position`.
CREATE TABLE order_rows (
    order_id     TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL,
    status       TEXT NOT NULL,
    placed_at_us INTEGER NOT NULL,
    data         TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX order_rows_by_time ON order_rows (placed_at_us DESC, order_id DESC);
CREATE INDEX order_rows_by_status ON order_rows (status, placed_at_us DESC, order_id DESC);
CREATE INDEX order_rows_by_user ON order_rows (user_id, placed_at_us DESC, order_id DESC);

CREATE TABLE projections (
    name     TEXT PRIMARY KEY NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO projections (name, position) VALUES ('order_rows', 0);

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
