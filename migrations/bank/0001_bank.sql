-- Accounts of one bank. `held` is promised to prepared transactions.
CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY NOT NULL,
    balance    INTEGER NOT NULL,
    held       INTEGER NOT NULL CHECK (held >= 0),
    internal   INTEGER NOT NULL,
    -- Clearing and the outside world may owe; a customer's wallet may not.
    CONSTRAINT wallet_never_overdrawn CHECK (internal = 1 OR balance >= held)
) WITHOUT ROWID;

-- The double-entry ledger: postings of one movement sum to zero.
CREATE TABLE postings (
    posting     INTEGER PRIMARY KEY,
    movement_id TEXT NOT NULL,
    account_id  TEXT NOT NULL REFERENCES accounts (account_id),
    minor       INTEGER NOT NULL,
    at_us       INTEGER NOT NULL
);
CREATE INDEX postings_by_account ON postings (account_id);

-- This bank's part in two-phase commits.
CREATE TABLE transactions (
    transaction_id TEXT PRIMARY KEY NOT NULL,
    order_id       TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('prepared', 'committed', 'aborted')),
    account_id     TEXT NOT NULL,
    takes          INTEGER NOT NULL,
    reason         TEXT,
    traceparent    TEXT,
    tracestate     TEXT,
    prepared_us    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX transactions_in_doubt ON transactions (prepared_us) WHERE state = 'prepared';
