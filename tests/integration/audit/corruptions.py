"""What would corrupt the services' tables, and how the audit must name it: invariant, order and sentence."""

CORRUPTIONS = {
    "a placed order's reservation is gone": (
        "store_worker",
        "DELETE FROM reservation WHERE order_id = '{placed}'",
        ("I1", "{placed}", "store: the order is placed, but its reservation here is absent"),
    ),
    "a placed order's agent is released": (
        "delivery_worker",
        """UPDATE reservation SET state = 'released', reason = 'released', unit_ids = '{{}}', forget_at = now()
            WHERE order_id = '{placed}'; UPDATE agent SET order_id = NULL""",
        ("I1", "{placed}", "delivery: the order is placed, but its reservation here is released"),
    ),
    "a placed order was granted nothing, and nobody holds anything": (
        "order_saga",
        """UPDATE saga SET phase = 'placed', outcome = 'placed', granted = '{{}}', reason = NULL, cleaned_at = NULL
            WHERE order_id = '{cancelled}'""",
        ("I1", "{cancelled}", "delivery: the order is placed, but its reservation here is absent"),
    ),
    "a placed order has the same packet twice": (
        "store_worker",
        """UPDATE reservation SET unit_ids[2] = unit_ids[1] WHERE order_id = '{placed}';
            UPDATE packet SET order_id = NULL WHERE order_id = '{placed}'
            AND packet_id NOT IN (SELECT unit_ids[1] FROM reservation WHERE order_id = '{placed}')""",
        ("I1", "{placed}", "store: 1 x milk missing"),
    ),
    "a packet of a placed order is back on the shelf": (
        "store_worker",
        """UPDATE packet SET order_id = NULL
            WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id = '{placed}')""",
        ("I2", "{placed}", "confirmed, but held by another order or by none"),
    ),
    "a placed order's packet is another order's": (
        "store_worker",
        """UPDATE packet SET order_id = '{delivered}'
            WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id = '{placed}')""",
        ("I2", "{placed}", "confirmed, but held by another order or by none"),
    ),
    "a packet is delivered to two customers": (
        "store_worker",
        """UPDATE reservation SET unit_ids = (SELECT unit_ids FROM reservation WHERE order_id = '{placed}')
            WHERE order_id = '{delivered}'""",
        ("I2", "{delivered}", "fulfilled, but held by another order or by none"),
    ),
    "an agent has two orders": (
        "delivery_worker",
        """UPDATE reservation SET state = 'confirmed', forget_at = NULL, unit_ids = (
            SELECT unit_ids FROM reservation WHERE order_id = '{placed}') WHERE order_id = '{delivered}'""",
        ("I2", "{delivered}", "confirmed, but held by another order or by none"),
    ),
    "the customer was promised other packets": (
        "order_saga",
        """UPDATE saga SET granted = jsonb_set(granted, '{{store}}', '["P-77", "P-78"]') WHERE order_id = '{placed}'""",
        ("I1", "{placed}", "store: P-77, P-78 promised to the customer, but"),
    ),
    "the customer ordered more": (
        "order_saga",
        """UPDATE saga SET request = jsonb_set(request::jsonb, '{{lines,0,quantity}}', '3')
            WHERE order_id = '{placed}'""",
        ("I1", "{placed}", "store: 2 units confirmed, but 3 wanted"),
    ),
    "the customer ordered another sku": (
        "order_saga",
        """UPDATE saga SET request = jsonb_set(request::jsonb, '{{lines,0,sku}}', '"bread"')
            WHERE order_id = '{placed}'""",
        ("I1", "{placed}", "store: 2 x bread missing"),
    ),
    "the customer ordered less": (
        "order_saga",
        """UPDATE saga SET request = jsonb_set(request::jsonb, '{{lines,0,quantity}}', '1')
            WHERE order_id = '{placed}'""",
        ("I2", "{placed}", "store: 1 x milk more than requested"),
    ),
    "the packets are another store's": (
        "store_worker",
        """UPDATE packet SET store_id = 'south' WHERE order_id = '{placed}';
            UPDATE received SET received = received - 2; INSERT INTO received VALUES ('south', 'milk', 2)""",
        ("I1", "{placed}", "from another place than north"),
    ),
    "the agent works in another zone": (
        "delivery_worker",
        "UPDATE agent SET zone = 'south' WHERE order_id = '{placed}'",
        ("I1", "{placed}", "from another place than centre"),
    ),
    "a packet has vanished": (
        "store_worker",
        "DELETE FROM packet WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id IS NULL)",
        ("I3", None, "north should have 20 of milk, sold or not, but has 19"),
    ),
    "all packets of a kind have vanished": (
        "store_worker",
        "INSERT INTO received (store_id, sku, received) VALUES ('north', 'bread', 1)",
        ("I3", None, "north should have 1 of bread, sold or not, but has 0"),
    ),
    "a packet was never received": (
        "store_worker",
        "INSERT INTO packet (packet_id, store_id, sku, best_before) VALUES ('P-99', 'north', 'bread', now() + '1 day')",
        ("I3", None, "north should have 0 of bread, sold or not, but has 1"),
    ),
    "a refused order holds a packet": (
        "store_worker",
        """UPDATE packet SET order_id = '{refused}'
            WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id IS NULL)""",
        ("I3", "{refused}", "held, but the reservation is refused without them"),
    ),
    "a cancelled order holds an agent": (
        "delivery_worker",
        "UPDATE agent SET order_id = '{cancelled}' WHERE order_id IS NULL",
        ("I3", "{cancelled}", "delivery: A-"),
    ),
    "an order that nobody knows holds a packet": (
        "store_worker",
        """UPDATE packet SET order_id = '00000000-0000-0000-0000-000000000077' WHERE packet_id = (
            SELECT min(packet_id) FROM packet WHERE order_id IS NULL)""",
        ("I3", "00000000-0000-0000-0000-000000000077", "held, but the reservation is absent without them"),
    ),
    "an order that nobody knows holds a packet, and comes after all others": (
        "store_worker",
        """UPDATE packet SET order_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff' WHERE packet_id = (
            SELECT min(packet_id) FROM packet WHERE order_id IS NULL)""",
        ("I3", "ffffffff-ffff-ffff-ffff-ffffffffffff", "held, but the reservation is absent without them"),
    ),
    "a refused order's release was forgotten": (
        "delivery_worker",
        """UPDATE reservation SET state = 'assigned', reason = NULL, unit_ids = '{{A-1}}', forget_at = NULL,
            due_at = now(), assigned_at = now(), expires_at = now() WHERE order_id = '{refused}'""",
        ("I3", "{refused}", "delivery: A-1 assigned for an order that every participant has released"),
    ),
    "a placed order is not confirmed": (
        "store_worker",
        "UPDATE reservation SET state = 'assigned', due_at = now() WHERE order_id = '{placed}'",
        ("I3", "{placed}", "store: still assigned, though the order was placed at"),
    ),
    "an order that was not placed is confirmed": (
        "order_saga",
        """UPDATE saga SET phase = 'closed', outcome = 'not_placed', reason = 'cancelled', granted = '{{}}',
            standing = '{{}}', cleaned_at = now() WHERE order_id = '{placed}'""",
        ("I3", "{placed}", "store: confirmed, but the order is not_placed"),
    ),
    "the orchestrator has forgotten an order": (
        "order_saga",
        "DELETE FROM saga WHERE order_id = '{placed}'",
        ("I3", "{placed}", "confirmed for an order that the order saga does not know"),
    ),
    "the orchestrator has forgotten a delivered order": (
        "order_saga",
        "DELETE FROM saga WHERE order_id = '{delivered}'",
        ("I3", "{delivered}", "fulfilled for an order that the order saga does not know"),
    ),
    "an order is not decided": (
        "order_saga",
        """UPDATE saga SET phase = 'reserving', outcome = NULL, reason = NULL, decided_at = NULL, cleaned_at = NULL
            WHERE order_id = '{refused}'""",
        ("I4", "{refused}", "still undecided (reserving), due at"),
    ),
    "an order is not clean": (
        "order_saga",
        "UPDATE saga SET phase = 'releasing', cleaned_at = NULL WHERE order_id = '{refused}'",
        ("I4", "{refused}", "but not released by every participant (releasing)"),
    ),
    "two outcomes were told": (
        "order_saga",
        "INSERT INTO timeline VALUES (now(), ARRAY['{placed}'::uuid], 'OutcomeTold', 'not_placed', '')",
        ("I5", "{placed}", "outcome placed, but the customer was told not_placed and placed"),
    ),
    "the outcome has been turned": (
        "order_saga",
        """UPDATE saga SET phase = 'closed', outcome = 'not_placed', reason = 'cancelled', granted = '{{}}',
            standing = '{{}}', cleaned_at = now() WHERE order_id = '{placed}'""",
        ("I5", "{placed}", "outcome not_placed, but the customer was told placed"),
    ),
    "an outcome is not that of its phase": (
        "order_saga",
        "UPDATE saga SET phase = 'closed' WHERE order_id = '{placed}'",
        ("I5", "{placed}", "outcome placed, but the order is closed"),
    ),
    "an envelope was never said": (
        "delivery_worker",
        """INSERT INTO outbox (exchange, key, body, documents, publish_after)
            VALUES ('answers', 'order_saga.answers', '', 1, now())""",
        ("I6", None, "stuck in the outbox: 1 envelope"),
    ),
    "a command could not be handled": (
        "store_worker",
        """INSERT INTO parked (message_id, type, order_id, queue, reason, detail, body)
            VALUES (gen_random_uuid(), 'ReservePackets/1.0', '{placed}', 'store_worker.reserve', 'handler_failed',
                'x' || chr(10) || 'DETAIL:  y', '')""",
        ("I6", "{placed}", "parked: ReservePackets/1.0 from store_worker.reserve: handler_failed, x\nDETAIL:  y"),
    ),
    "an answer could not be read": (
        "order_saga",
        """INSERT INTO parked (message_id, type, queue, reason, detail, body)
            VALUES (gen_random_uuid(), 'PacketsReserved/2.0', 'order_saga.answers', 'unknown_version', 'x', '')""",
        ("I6", None, "parked: PacketsReserved/2.0 from order_saga.answers: unknown_version, x"),
    ),
}
