-- Which store a packet was withdrawn from before it was received: what another store receives under its id stays on sale.
-- An empty one is not known, and may have been any. The name is no column of packet's, for the release before joins both.
ALTER TABLE withdrawn_early ADD COLUMN named_store_id text NOT NULL DEFAULT '';
ALTER TABLE withdrawn_early DROP CONSTRAINT withdrawn_early_pkey, ADD PRIMARY KEY (packet_id, named_store_id);
