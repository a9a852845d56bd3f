-- What goes with an order that is forgotten, and what is old.
CREATE INDEX keys_by_order ON keys (order_id);
CREATE INDEX inbox_by_time ON inbox (taken_us);
