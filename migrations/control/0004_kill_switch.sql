-- Since when the kill switch of faults is held, microseconds since the epoch; no row where it is
-- not. Somebody has said that there are to be no faults: a restart is no release.
CREATE TABLE kill_switch (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    since_us INTEGER NOT NULL
) STRICT;
