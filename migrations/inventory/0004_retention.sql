-- When a reservation last changed; what was there before counts as old.
ALTER TABLE reservations ADD COLUMN changed_us INTEGER NOT NULL DEFAULT 0;
CREATE INDEX reservations_over ON reservations (changed_us) WHERE state <> 'held';
CREATE INDEX inbox_by_time ON inbox (taken_us);
