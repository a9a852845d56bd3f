-- Numbers of faults up to here are given, or set aside for the run that may give them: messages
-- that a stop leaves in an outbox carry them, and must not blame a fault of a later run.
CREATE TABLE fault_numbers (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    reserved INTEGER NOT NULL
) STRICT;
