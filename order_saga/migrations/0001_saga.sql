-- One row an order, for ever; what it was about is forgotten a day after it is done.
-- Columns that never change after the insert come last, so that the WAL of an update stays short.
CREATE TABLE saga (
    order_id    uuid PRIMARY KEY,
    version     integer NOT NULL DEFAULT 0,
    repeats     integer NOT NULL,
    asked_at    timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    decided_at  timestamptz,
    cleaned_at  timestamptz,
    phase       text NOT NULL CHECK (phase IN ('reserving', 'assigning', 'placed', 'releasing', 'closed')),
    outcome     text,
    participant text,
    reason      text,
    standing    jsonb NOT NULL,
    granted     jsonb NOT NULL,
    deadline    timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL,
    fingerprint bytea,
    traceparent text,
    request     json,

    CONSTRAINT outcome_follows_phase CHECK (
        outcome IS NOT DISTINCT FROM CASE phase
            WHEN 'placed' THEN 'placed' WHEN 'releasing' THEN 'not_placed' WHEN 'closed' THEN 'not_placed' END
    ),
    CONSTRAINT decided_has_a_time CHECK ((outcome IS NULL) = (decided_at IS NULL)),
    CONSTRAINT not_placed_has_a_reason CHECK ((outcome = 'not_placed') IS TRUE = (reason IS NOT NULL)),
    CONSTRAINT placed_only_if_all_assigned CHECK (
        outcome IS DISTINCT FROM 'placed'
        OR (standing <> '{}' AND NOT standing @? '$.* ? (@ <> "assigned")')
    ),
    CONSTRAINT placed_only_if_all_granted CHECK (
        outcome IS DISTINCT FROM 'placed'
        OR (jsonb_path_query_array(granted, '$.keyvalue().key') = jsonb_path_query_array(standing, '$.keyvalue().key')
            AND NOT granted @? 'strict $.* ? (@.size() == 0)')
    ),
    CONSTRAINT nothing_granted_if_not_placed CHECK (outcome IS DISTINCT FROM 'not_placed' OR granted = '{}'),
    CONSTRAINT closed_only_if_all_released CHECK (
        (phase = 'closed') = (cleaned_at IS NOT NULL)
        AND (phase <> 'closed' OR NOT standing @? '$.* ? (@ <> "released")')
    )
) WITH (
    -- Room for an order's few versions on its own page: as long as no indexed column changes, updates stay there.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000
);

-- What the scheduled jobs look for. Neither phase nor standing is in an index: they change with every answer.
CREATE INDEX saga_undecided ON saga (due_at) WHERE outcome IS NULL;
CREATE INDEX saga_unclean ON saga (due_at) WHERE outcome = 'not_placed' AND cleaned_at IS NULL;
CREATE INDEX saga_remembered ON saga (decided_at) WHERE request IS NOT NULL AND decided_at IS NOT NULL;

CREATE FUNCTION refuse_another_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the outcome of order % is final', OLD.order_id USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER outcome_is_final BEFORE UPDATE ON saga FOR EACH ROW
    WHEN (
        OLD.outcome IS NOT NULL
        AND (OLD.outcome, OLD.participant, OLD.reason, OLD.granted, OLD.decided_at)
            IS DISTINCT FROM (NEW.outcome, NEW.participant, NEW.reason, NEW.granted, NEW.decided_at)
    )
    EXECUTE FUNCTION refuse_another_outcome();

CREATE VIEW published.orders AS
SELECT order_id, phase, outcome, participant, reason,
       request ->> 'store_id' AS store_id,
       request ->> 'zone' AS zone,
       (SELECT jsonb_agg(jsonb_build_object('sku', line ->> 'sku', 'quantity', (line ->> 'quantity')::integer))
          FROM json_array_elements(request -> 'lines') AS line) AS lines,
       granted, accepted_at,
       CASE WHEN fingerprint IS NOT NULL THEN deadline END AS deadline,
       decided_at, cleaned_at
  FROM saga;
