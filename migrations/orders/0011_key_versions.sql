-- A key of any command, with the version of the order that its first answer told.
ALTER TABLE keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1 CHECK (version > 0);
