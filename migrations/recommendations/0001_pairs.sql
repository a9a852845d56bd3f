-- How often two products were in one confirmed order.
CREATE TABLE pairs (
    product_id TEXT NOT NULL,
    beside     TEXT NOT NULL,
    times      INTEGER NOT NULL CHECK (times > 0),
    PRIMARY KEY (product_id, beside)
) WITHOUT ROWID;

-- Messages taken: a message that comes again is known by its id.
CREATE TABLE inbox (
    message_id TEXT PRIMARY KEY NOT NULL,
    taken_us   INTEGER NOT NULL
) WITHOUT ROWID;
