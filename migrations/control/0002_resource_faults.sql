-- Until when each fault that a resource asks for is active: 0 when it ended before its time, NULL
-- when it has yet to begin. Replaced whole.
CREATE TABLE resource_faults (
    resource TEXT NOT NULL,
    route    TEXT NOT NULL,
    fault    TEXT NOT NULL,
    until_us INTEGER,
    PRIMARY KEY (resource, route, fault)
) STRICT;
