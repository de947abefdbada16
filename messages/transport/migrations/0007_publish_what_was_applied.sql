-- Whose database this is, as the folders of its migrations tell: who reads the views by a wrong URL must not believe them.
CREATE VIEW published.migrations AS SELECT name, applied_at FROM schema_migrations;
