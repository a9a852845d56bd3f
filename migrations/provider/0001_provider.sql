-- What the payment provider was asked to move: charges and refunds, each named after its
-- idempotency key. `held` is promised and not decided.
CREATE TABLE operations (
    operation_id TEXT PRIMARY KEY NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
    -- Whose card (charge), or which charge (refund).
    target       TEXT NOT NULL,
    minor        INTEGER NOT NULL CHECK (minor >= 0),
    order_id     TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('held', 'done', 'canceled', 'refused')),
    reason       TEXT,
    asked_us     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX refunds_of_charge ON operations (target) WHERE kind = 'refund';
CREATE INDEX operations_held ON operations (asked_us) WHERE state = 'held';

-- The double-entry ledger: postings of one operation sum to zero.
CREATE TABLE postings (
    posting      INTEGER PRIMARY KEY,
    operation_id TEXT NOT NULL REFERENCES operations (operation_id),
    account_id   TEXT NOT NULL CHECK (account_id IN ('clearing', 'cards')),
    minor        INTEGER NOT NULL,
    at_us        INTEGER NOT NULL
);
CREATE INDEX postings_by_account ON postings (account_id);
