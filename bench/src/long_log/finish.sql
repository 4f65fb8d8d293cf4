UPDATE :schema.log_head SET position = :last;
-- What autovacuum would do, before it does it in the middle of a run.
VACUUM (ANALYZE) :schema.events, :schema.commands
