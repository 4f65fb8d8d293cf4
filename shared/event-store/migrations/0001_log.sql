-- A log: its head, its events, and the commands that changed nothing. Runs in the log's own schema, which the
-- search_path names, so every name here is unqualified. Roles and grants depend on the log's name: see migrate.rs.

-- The one row whose lock orders all appends.
CREATE TABLE log_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    log_id uuid NOT NULL DEFAULT gen_random_uuid(),
    position bigint NOT NULL DEFAULT 0
);
INSERT INTO log_head DEFAULT VALUES;

-- Identifiers compare by bytes ("C"): faster, and the same on every machine whatever its locales.
CREATE TABLE events (
    position bigint CONSTRAINT events_position PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    recorded_at timestamptz NOT NULL,
    command_id uuid NOT NULL,
    -- The first event of a command stands for the command: how many events it has, which follow each other, and what
    -- tells a repetition from another command under the same id. Null in the others.
    command_events integer,
    content_hash bytea,
    stream_id text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    payload jsonb NOT NULL,
    metadata jsonb NOT NULL,
    CONSTRAINT events_stream_version UNIQUE (stream_id, version),
    CONSTRAINT events_command_complete CHECK ((command_events IS NULL) = (content_hash IS NULL))
);
CREATE UNIQUE INDEX events_command_id ON events (command_id) WHERE command_events IS NOT NULL;

-- Acknowledged commands that changed nothing, kept so that they can be replayed.
CREATE TABLE unchanged_commands (
    command_id uuid PRIMARY KEY,
    content_hash bytea NOT NULL,
    stream_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    standing jsonb NOT NULL
);

-- The only way to append. Who may execute it can write nothing otherwise, so a position cannot be forged.
--
-- Every statement of a volatile function sees what was committed before that statement, so all after the first see
-- every earlier batch, whole.
CREATE FUNCTION append_batch(
    event_stream_ids text[],
    event_versions bigint[],
    event_types text[],
    event_payloads jsonb[],
    event_metadata jsonb[],
    event_command_ids uuid[],
    event_command_events integer[],
    event_content_hashes bytea[],
    unchanged_command_ids uuid[],
    unchanged_content_hashes bytea[],
    unchanged_stream_ids text[],
    unchanged_versions bigint[],
    unchanged_positions bigint[],
    unchanged_standing jsonb[],
    guard_stream_ids text[],
    guard_versions bigint[],
    OUT first_position bigint,
    OUT last_position bigint,
    OUT recorded_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head tid;
BEGIN
    -- The last entry of the index is the row's newest version. While somebody keeps an old snapshot (a backup, a report),
    -- its dead versions stay, a new one with each append, and a plain UPDATE would walk through all of them.
    SELECT log_head.ctid INTO head FROM log_head ORDER BY log_head.singleton DESC LIMIT 1 FOR UPDATE;
    UPDATE log_head
    SET position = log_head.position + cardinality(event_versions)
    WHERE log_head.ctid = head
    RETURNING log_head.position - cardinality(event_versions) + 1, log_head.position
    INTO STRICT first_position, last_position;

    -- Read with the head held, so that times follow positions (as far as the clock does).
    recorded_at := clock_timestamp();

    -- A stream's new versions follow each other and its last: the one before them is there. (That none of them is there,
    -- the unique key says.) Here and below, scalar subqueries: one probe of an index for each row, whatever the planner
    -- thinks of the tables' sizes; and equality on the whole key, since a search for the highest version reads a whole
    -- page of the index.
    PERFORM FROM (
        SELECT event.stream_id, min(event.version), max(event.version), count(*)
        FROM unnest(event_stream_ids, event_versions) AS event (stream_id, version)
        GROUP BY event.stream_id
    ) AS new (stream_id, first, last, count)
    WHERE new.last - new.first + 1 <> new.count OR new.first > 1 AND (
        SELECT true FROM events WHERE events.stream_id = new.stream_id AND events.version = new.first - 1
    ) IS NULL;
    IF FOUND THEN
        RAISE EXCEPTION 'a stream is not at the expected version' USING ERRCODE = 'TL001';
    END IF;

    -- What was only read has not moved: its version is there (version 0 always is) and the next one is not.
    IF cardinality(guard_stream_ids) > 0 THEN
        PERFORM FROM unnest(guard_stream_ids, guard_versions) AS guard (stream_id, version)
        WHERE guard.version > 0 AND (
            SELECT true FROM events WHERE events.stream_id = guard.stream_id AND events.version = guard.version
        ) IS NULL OR (
            SELECT true FROM events WHERE events.stream_id = guard.stream_id AND events.version = guard.version + 1
        );
        IF FOUND THEN
            RAISE EXCEPTION 'a stream is not at the expected version' USING ERRCODE = 'TL001';
        END IF;
    END IF;

    PERFORM FROM unnest(event_command_ids, event_command_events) AS command (command_id, events)
    WHERE command.events IS NOT NULL AND (
        SELECT true FROM unchanged_commands WHERE unchanged_commands.command_id = command.command_id
    );
    IF FOUND THEN
        RAISE EXCEPTION 'a command id is taken' USING ERRCODE = 'TL002';
    END IF;

    -- The arrays go in lockstep; in the select list, since in FROM each would be copied into a table first.
    INSERT INTO events (
        position, version, recorded_at, command_id, command_events, content_hash,
        stream_id, event_type, payload, metadata
    )
    SELECT
        generate_series(first_position, last_position), unnest(event_versions), append_batch.recorded_at,
        unnest(event_command_ids), unnest(event_command_events), unnest(event_content_hashes),
        unnest(event_stream_ids), unnest(event_types), unnest(event_payloads), unnest(event_metadata);

    IF cardinality(unchanged_command_ids) > 0 THEN
        PERFORM FROM unnest(unchanged_command_ids) AS command (command_id)
        WHERE (
            SELECT true FROM events
            WHERE events.command_id = command.command_id AND events.command_events IS NOT NULL
        );
        IF FOUND THEN
            RAISE EXCEPTION 'a command id is taken' USING ERRCODE = 'TL002';
        END IF;

        -- What it found may have been appended by this same batch, at a position that nobody knew before.
        INSERT INTO unchanged_commands (
            command_id, content_hash, stream_id, version, position, recorded_at, standing
        )
        SELECT
            command.command_id, command.content_hash, command.stream_id, command.version,
            greatest(command.position, (
                SELECT events.position FROM events
                WHERE events.stream_id = command.stream_id AND events.version = command.version
            )),
            append_batch.recorded_at, command.standing
        FROM unnest(
            unchanged_command_ids, unchanged_content_hashes, unchanged_stream_ids, unchanged_versions,
            unchanged_positions, unchanged_standing
        ) AS command (command_id, content_hash, stream_id, version, position, standing);
    END IF;
END
$$;

-- Keeps everybody else from appending until the end of the caller's transaction.
CREATE FUNCTION lock_head() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT position FROM log_head ORDER BY singleton DESC LIMIT 1 FOR UPDATE
$$;

-- Functions are everybody's by default.
REVOKE ALL ON FUNCTION append_batch, lock_head FROM PUBLIC;
