-- Forgetting goes on until nothing is left of either kind: of commands without events there may be more than of old positions, and what is returned is
-- how many of these or those it went through, whichever is more.
CREATE OR REPLACE FUNCTION prune_commands(recorded_before timestamptz, positions_max bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    pruned bigint;
    last bigint;
    forgotten bigint;
BEGIN
    SELECT commands_pruned.position INTO pruned FROM commands_pruned FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM commands WHERE command_id IN (
        SELECT commands.command_id FROM commands
        WHERE event_count = 0 AND recorded_at < recorded_before ORDER BY recorded_at LIMIT positions_max
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    -- Times follow positions, so the first event that is too young ends it.
    SELECT max(old.position) INTO last FROM (
        SELECT events.position, events.recorded_at FROM events
        WHERE events.position > pruned ORDER BY events.position LIMIT positions_max
    ) AS old WHERE old.recorded_at < recorded_before;
    IF last IS NULL THEN
        RETURN forgotten;
    END IF;
    DELETE FROM commands WHERE command_id = ANY (ARRAY(
        SELECT events.command_id FROM events WHERE events.position > pruned AND events.position <= last
    )) AND event_count > 0 AND commands.position <= last;
    UPDATE commands_pruned SET position = last;
    RETURN greatest(last - pruned, forgotten);
END
$$;
