-- What is old.
CREATE INDEX operations_by_time ON operations (asked_us);
CREATE INDEX postings_by_operation ON postings (operation_id);
