-- W3C Baggage of what caused a message: the ids of faults travel in it.
ALTER TABLE outbox ADD COLUMN baggage TEXT;
