-- What is old.
CREATE INDEX transactions_by_time ON transactions (prepared_us);
CREATE INDEX postings_by_time ON postings (at_us);
CREATE INDEX postings_by_movement ON postings (movement_id);
