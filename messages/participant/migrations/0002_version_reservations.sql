-- Counted up by each write, which fails if somebody else has written since the row was read.
ALTER TABLE reservation ADD COLUMN version integer NOT NULL DEFAULT 0;
