-- When a product was last changed, microseconds since the epoch. What was there before counts as
-- changed now.
ALTER TABLE products ADD COLUMN updated_us INTEGER NOT NULL DEFAULT 0;
UPDATE products SET updated_us = unixepoch() * 1000000;

-- A product with that moment as RFC 3339 writes it.
CREATE VIEW shown_products AS
SELECT product_id, name, description, category, price_minor,
       strftime('%Y-%m-%dT%H:%M:%SZ', updated_us / 1000000, 'unixepoch') AS updated_at
FROM products;
