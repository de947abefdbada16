-- Who has an order keeps its state while he is offline: whether he is, stands beside it. Columns come only at the end,
-- so that the release before reads the view as it was.
CREATE OR REPLACE VIEW published.stock AS
    SELECT agent.agent_id AS unit_id, agent.zone AS place, 'agent' AS kind, agent.order_id,
        CASE
            WHEN agent.order_id IS NULL AND agent.online THEN 'free'
            WHEN agent.order_id IS NULL THEN 'offline'
            -- An agent whose order does not hold anything shows as held, so that an audit finds it.
            WHEN reservation.state IN ('reserved', 'assigned', 'confirmed') THEN reservation.state
            ELSE 'reserved'
        END AS state,
        agent.online
    FROM agent LEFT JOIN reservation USING (order_id);
