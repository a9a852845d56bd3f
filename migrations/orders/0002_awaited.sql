-- Orders whose saga waits for the answer of payments, since when, and the span that asked.
CREATE TABLE awaited (
    order_id    TEXT PRIMARY KEY NOT NULL,
    since_us    INTEGER NOT NULL,
    traceparent TEXT,
    tracestate  TEXT
) WITHOUT ROWID;
CREATE INDEX awaited_by_time ON awaited (since_us);

-- What was asked and not answered when there was no such table.
INSERT INTO awaited (order_id, since_us)
SELECT order_id, at_us FROM events AS asked
WHERE name = 'PaymentRequested' AND NOT EXISTS (
    SELECT 1 FROM events AS told
    WHERE told.order_id = asked.order_id
      AND told.name IN ('PaymentAuthorized', 'PaymentDeclined')
);
