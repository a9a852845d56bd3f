-- Idempotency-Key of deposits: one key pays in once.
CREATE TABLE keys (
    key         TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    used_us     INTEGER NOT NULL
) WITHOUT ROWID;
