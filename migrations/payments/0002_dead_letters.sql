-- Messages that their subscriber will never take, out of the outbox until somebody retries them.
CREATE TABLE dead_letters (
    letter         INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    topic          TEXT NOT NULL,
    key            TEXT NOT NULL,
    correlation_id TEXT,
    traceparent    TEXT,
    tracestate     TEXT,
    recorded_us    INTEGER NOT NULL,
    body           TEXT NOT NULL,
    reason         TEXT NOT NULL,
    buried_us      INTEGER NOT NULL
);
