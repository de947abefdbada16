-- What clients may not say, they may not say by way of a replay either.
ALTER TABLE parked ADD COLUMN from_outside boolean NOT NULL DEFAULT false;
