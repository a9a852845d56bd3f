-- Products and prices. Money is integer minor units.
CREATE TABLE products (
    product_id  TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    category    TEXT NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor > 0)
) WITHOUT ROWID;
