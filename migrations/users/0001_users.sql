-- Customers. Their money is the bank's business.
CREATE TABLE users (
    user_id TEXT PRIMARY KEY NOT NULL,
    name    TEXT NOT NULL,
    email   TEXT NOT NULL,
    city    TEXT NOT NULL,
    note    TEXT NOT NULL
) WITHOUT ROWID;
