-- A dead letter keeps all of its message, the W3C Baggage too.
ALTER TABLE dead_letters ADD COLUMN baggage TEXT;
