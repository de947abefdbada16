-- What each participant has answered, so that people can see who is silent. Columns come only at the end, so that the
-- release before reads the view as it was.
CREATE OR REPLACE VIEW published.orders AS
SELECT order_id, phase, outcome, participant, reason,
       request ->> 'store_id' AS store_id,
       request ->> 'zone' AS zone,
       (SELECT jsonb_agg(jsonb_build_object('sku', line ->> 'sku', 'quantity', (line ->> 'quantity')::integer))
          FROM json_array_elements(request -> 'lines') AS line) AS lines,
       granted, accepted_at,
       CASE WHEN fingerprint IS NOT NULL THEN deadline END AS deadline,
       decided_at, cleaned_at, standing
  FROM saga;
