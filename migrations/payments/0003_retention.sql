-- What is old.
CREATE INDEX transactions_by_time ON transactions (begun_us);
CREATE INDEX inbox_by_time ON inbox (taken_us);
