-- What was committed and is still to be said. Short-lived rows: hundreds at most, rewritten all the time.
CREATE TABLE outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange      text NOT NULL,
    key           text NOT NULL,
    body          bytea NOT NULL,
    documents     integer NOT NULL CHECK (documents > 0),
    publish_after timestamptz NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);

-- A row lives for milliseconds: compressing it costs more than half of what writing it does.
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;

-- Documents that could not be handled, each with its reason, until somebody replays or discards them.
CREATE TABLE parked (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id          uuid NOT NULL UNIQUE,
    type                text,
    order_id            uuid,
    queue               text NOT NULL,
    reason              text NOT NULL,
    detail              text NOT NULL,
    body                bytea NOT NULL,
    parked_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    times               integer NOT NULL DEFAULT 1,
    replay_requested_at timestamptz
);
CREATE INDEX parked_replay_requested ON parked (replay_requested_at) WHERE replay_requested_at IS NOT NULL;

-- The story of every order, as `show` tells it. Append-only; days are dropped whole. A story is looked up within the
-- hours of its order, so block ranges suffice and every insert is spared a B-tree entry.
CREATE TABLE timeline (
    order_id   uuid NOT NULL,
    at         timestamptz NOT NULL,
    event      text NOT NULL,
    detail     text NOT NULL,
    message_id uuid
) PARTITION BY RANGE (at);
CREATE INDEX timeline_at ON timeline USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
-- Catches what no day was prepared for, so that a late job costs tidiness and never a batch.
CREATE TABLE timeline_otherwise PARTITION OF timeline DEFAULT;

CREATE SCHEMA published;
CREATE VIEW published.timeline AS SELECT order_id, at, event, detail, message_id FROM timeline;
CREATE VIEW published.parked AS
    SELECT id, message_id, type, order_id, queue, reason, detail, body, parked_at, times, replay_requested_at FROM parked;
CREATE VIEW published.outbox AS SELECT id, exchange, key, documents, publish_after FROM outbox;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saga_reader') THEN
        GRANT USAGE ON SCHEMA published TO saga_reader;
        ALTER DEFAULT PRIVILEGES IN SCHEMA published GRANT SELECT ON TABLES TO saga_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA published TO saga_reader;
    END IF;
END $$;
