-- A packet is one physical unit. Whether it is reserved, assigned or confirmed is what the reservation of its order
-- says; of its own it only knows that it is off the shelf for ever.
CREATE TABLE packet (
    packet_id   text PRIMARY KEY,
    store_id    text NOT NULL,
    sku         text NOT NULL,
    best_before timestamptz NOT NULL,
    order_id    uuid,
    gone        text CHECK (gone IN ('withdrawn', 'past_best_before', 'fulfilled')),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 1000, autovacuum_vacuum_cost_delay = 1
);
-- The shelf, nearest best-before first.
CREATE INDEX packet_on_shelf ON packet (store_id, sku, best_before, packet_id)
    WHERE order_id IS NULL AND gone IS NULL;
-- Almost always empty: packets that were withdrawn while an order holds them.
CREATE INDEX packet_unfit ON packet (order_id) WHERE order_id IS NOT NULL AND gone IS NOT NULL;

-- How many packets of a kind ever came, counted apart from the packets themselves, so that one can check the other.
CREATE TABLE received (
    store_id text NOT NULL,
    sku      text NOT NULL,
    received bigint NOT NULL,
    pruned   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (store_id, sku)
) WITH (fillfactor = 50);

-- Packets that were withdrawn before they were received: messages overtake each other.
CREATE TABLE withdrawn_early (
    packet_id    text PRIMARY KEY,
    withdrawn_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What the participant's queries ask of every worker's units.
CREATE VIEW unfit AS
    SELECT order_id, 'packet_withdrawn' AS reason FROM packet WHERE order_id IS NOT NULL AND gone IS NOT NULL;

CREATE VIEW published.stock AS
    SELECT packet.packet_id AS unit_id, packet.store_id AS place, packet.sku AS kind, packet.order_id,
        CASE
            WHEN packet.order_id IS NULL AND packet.gone IS NULL THEN 'free'
            WHEN packet.order_id IS NULL AND packet.gone = 'fulfilled' THEN 'fulfilled'
            WHEN packet.order_id IS NULL THEN 'retired'
            -- A packet whose order does not hold anything shows as held, so that an audit finds it.
            WHEN reservation.state IN ('reserved', 'assigned', 'confirmed', 'fulfilled') THEN reservation.state
            ELSE 'reserved'
        END AS state
    FROM packet LEFT JOIN reservation USING (order_id);

CREATE VIEW published.received AS SELECT store_id AS place, sku AS kind, received, pruned FROM received;
