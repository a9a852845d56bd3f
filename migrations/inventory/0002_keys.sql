-- Idempotency-Key of deliveries: one key brings pieces once.
CREATE TABLE keys (
    key         TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    used_us     INTEGER NOT NULL
) WITHOUT ROWID;
