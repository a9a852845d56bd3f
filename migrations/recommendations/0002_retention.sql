-- What is old.
CREATE INDEX inbox_by_time ON inbox (taken_us);
