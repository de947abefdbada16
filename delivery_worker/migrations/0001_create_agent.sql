-- An agent delivers one order at a time. Whether he is reserved, assigned or confirmed is what the reservation of his
-- order says.
CREATE TABLE agent (
    agent_id   text PRIMARY KEY,
    zone       text NOT NULL,
    next_zone  text,
    online     boolean NOT NULL,
    idle_since timestamptz NOT NULL,
    order_id   uuid
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 1000, autovacuum_vacuum_cost_delay = 1
);
-- Who is idle in a zone, the longest idle first.
CREATE INDEX agent_idle ON agent (zone, idle_since, agent_id) WHERE order_id IS NULL AND online;
-- Almost always empty: agents that went offline while an order holds them.
CREATE INDEX agent_unfit ON agent (order_id) WHERE order_id IS NOT NULL AND NOT online;

-- What the participant's queries ask of every worker's units.
CREATE VIEW unfit AS
    SELECT order_id, 'agent_offline' AS reason FROM agent WHERE order_id IS NOT NULL AND NOT online;

CREATE VIEW published.stock AS
    SELECT agent.agent_id AS unit_id, agent.zone AS place, 'agent' AS kind, agent.order_id,
        CASE
            WHEN agent.order_id IS NULL AND agent.online THEN 'free'
            WHEN agent.order_id IS NULL THEN 'offline'
            -- An agent whose order does not hold anything shows as held, so that an audit finds it.
            WHEN reservation.state IN ('reserved', 'assigned', 'confirmed') THEN reservation.state
            ELSE 'reserved'
        END AS state
    FROM agent LEFT JOIN reservation USING (order_id);
