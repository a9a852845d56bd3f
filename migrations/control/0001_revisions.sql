-- Every configuration that was put in force, whole, newest number last. Pruned by the program.
CREATE TABLE revisions (
    number   INTEGER PRIMARY KEY,
    at_us    INTEGER NOT NULL,
    who      TEXT NOT NULL,
    restored INTEGER,
    yaml     TEXT NOT NULL
) STRICT;
