-- Since when a row is there: publish_after moves on each time a relay takes it over.
ALTER TABLE outbox ADD COLUMN kept_at timestamptz NOT NULL DEFAULT now();

-- What is parked at our own fault is counted several times a minute, however much strangers have had parked.
CREATE INDEX parked_at_our_fault ON parked (id)
    WHERE reason IN ('handler_failed', 'dead_lettered') OR NOT from_outside;
