-- What is stuck cannot be told by publish_after, which moves on with each relay. Columns come only at the end, so that the
-- release before reads the view as it was.
CREATE OR REPLACE VIEW published.outbox AS SELECT id, exchange, key, documents, publish_after, kept_at FROM outbox;
