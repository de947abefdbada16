-- An inquiry about an order changes its row too, and so changed_at does not tell since when its units are assigned. Columns
-- come only at the end, so that the release before reads the view as it was.
CREATE OR REPLACE VIEW published.holdings AS
    SELECT order_id, state, reason, unit_ids, expires_at, changed_at, assigned_at FROM reservation;
