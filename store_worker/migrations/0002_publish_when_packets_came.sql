-- A packet that was withdrawn while an order has it keeps its state: that it was, stands beside it. Columns come only at
-- the end, so that the release before reads the view as it was.
CREATE OR REPLACE VIEW published.stock AS
    SELECT packet.packet_id AS unit_id, packet.store_id AS place, packet.sku AS kind, packet.order_id,
        CASE
            WHEN packet.order_id IS NULL AND packet.gone IS NULL THEN 'free'
            WHEN packet.order_id IS NULL AND packet.gone = 'fulfilled' THEN 'fulfilled'
            WHEN packet.order_id IS NULL THEN 'retired'
            -- A packet whose order does not hold anything shows as held, so that an audit finds it.
            WHEN reservation.state IN ('reserved', 'assigned', 'confirmed', 'fulfilled') THEN reservation.state
            ELSE 'reserved'
        END AS state,
        packet.gone IS NOT DISTINCT FROM 'withdrawn' AS withdrawn, packet.best_before, packet.received_at
    FROM packet LEFT JOIN reservation USING (order_id);
