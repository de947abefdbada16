-- What clients may not say, they may not say by way of a replay either.
ALTER TABLE parked ADD COLUMN from_outside boolean NOT NULL DEFAULT false;
CREATE OR REPLACE VIEW published.parked AS
    SELECT id, message_id, type, order_id, queue, reason, detail, body, parked_at, times, replay_requested_at, from_outside
    FROM parked;
