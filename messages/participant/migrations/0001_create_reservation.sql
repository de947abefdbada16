-- One row per order: what this participant has done for it. The row is the idempotency record of every command.
CREATE TABLE reservation (
    order_id    uuid PRIMARY KEY,
    state       text NOT NULL CHECK (
        state IN ('reserved', 'assigned', 'confirmed', 'fulfilled', 'refused', 'expired', 'released')
    ),
    reason      text CHECK ((reason IS NOT NULL) = (state IN ('refused', 'expired', 'released'))),
    unit_ids    text[] NOT NULL,
    expires_at  timestamptz CHECK (expires_at IS NOT NULL OR state IN ('refused', 'released')),
    not_after   timestamptz,
    assigned_at timestamptz CHECK (assigned_at IS NOT NULL OR state NOT IN ('assigned', 'confirmed', 'fulfilled')),
    completed   boolean NOT NULL,
    inquiries   smallint NOT NULL,
    due_at      timestamptz,
    forget_at   timestamptz,
    traceparent text NOT NULL,
    changed_at  timestamptz NOT NULL,
    CONSTRAINT holds_units CHECK (
        (cardinality(unit_ids) > 0) = (state IN ('reserved', 'assigned', 'confirmed', 'fulfilled'))
    ),
    CONSTRAINT looked_after CHECK (
        (due_at IS NOT NULL OR state NOT IN ('reserved', 'assigned'))
        AND (forget_at IS NULL) = (state IN ('reserved', 'assigned', 'confirmed'))
    )
) WITH (
    -- Room on the page for the next version of every row: assigning touches no indexed column and stays there.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 1000, autovacuum_vacuum_cost_delay = 1
);
CREATE INDEX reservation_due ON reservation (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX reservation_forgettable ON reservation (forget_at) WHERE forget_at IS NOT NULL;

CREATE VIEW published.holdings AS
    SELECT order_id, state, reason, unit_ids, expires_at, changed_at FROM reservation;
