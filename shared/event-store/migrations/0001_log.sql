-- A log: its head, its events, and the commands that changed nothing. Runs in the log's own schema, which the
-- search_path names, so every name here is unqualified. Roles and grants depend on the log's name: see migrate.rs.

-- The one row whose lock orders all appends.
CREATE TABLE log_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    log_id uuid NOT NULL DEFAULT gen_random_uuid(),
    position bigint NOT NULL DEFAULT 0
);
INSERT INTO log_head DEFAULT VALUES;

-- Identifiers compare by bytes ("C"): faster, and the same on every machine whatever its locales. Payloads and metadata are
-- JSON as text: nothing here looks into them, and jsonb costs a sixth of the append (docs/decisions.md). No CHECK here: each is
-- parsed again for every statement, and append_batch is the only way in.
CREATE TABLE events (
    position bigint CONSTRAINT events_position PRIMARY KEY,
    version bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    command_id uuid NOT NULL,
    stream_id text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    CONSTRAINT events_stream_version UNIQUE (stream_id, version)
);

-- Acknowledged commands, so that a repeated one is answered as the first time; for as long as the window says.
CREATE TABLE commands (
    command_id uuid PRIMARY KEY,
    -- What tells a repetition from another command under the same id.
    content_hash bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- How many events it has. They follow each other, the last at this position.
    event_count integer NOT NULL,
    position bigint NOT NULL,
    -- A command that changed nothing has no events: the stream that its receipt names, and what already held.
    stream_id text COLLATE "C",
    version bigint,
    standing text
);
CREATE INDEX commands_unchanged ON commands (recorded_at) WHERE event_count = 0;

-- The commands of events up to this position are forgotten.
CREATE TABLE commands_pruned (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    position bigint NOT NULL DEFAULT 0
);
INSERT INTO commands_pruned DEFAULT VALUES;

-- States of streams, so that a long one need not be read from its beginning. A cache: without them it is slower, and nothing else.
CREATE TABLE snapshots (
    stream_id text COLLATE "C" NOT NULL,
    -- What the state looks like and means. Each version of the program has its own.
    format integer NOT NULL,
    -- The last event in it.
    version bigint NOT NULL,
    position bigint NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (stream_id, format)
);

-- The only way to append. Who may execute it can write nothing otherwise, so a position cannot be forged.
--
-- Every statement of a volatile function sees what was committed before that statement, so all after the first see
-- every earlier batch, whole.
CREATE FUNCTION append_batch(
    event_stream_ids text[],
    event_versions bigint[],
    event_types text[],
    event_payloads text[],
    event_metadata text[],
    event_command_ids uuid[],
    command_ids uuid[],
    command_content_hashes bytea[],
    command_event_counts integer[],
    -- How far into the batch a command's last event is; of one that changed nothing, the least position it may be given.
    command_positions bigint[],
    -- Empty where no command changed nothing.
    command_stream_ids text[],
    command_versions bigint[],
    command_standing text[],
    guard_stream_ids text[],
    guard_versions bigint[]
) RETURNS bigint -- The log's last position.
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head tid;
    at timestamptz;
    before bigint;
    last bigint;
BEGIN
    -- The last entry of the index is the row's newest version. While somebody keeps an old snapshot (a backup, a report),
    -- its dead versions stay, a new one with each append, and a plain UPDATE would walk through all of them.
    SELECT log_head.ctid INTO head FROM log_head ORDER BY log_head.singleton DESC LIMIT 1 FOR UPDATE;
    UPDATE log_head SET position = log_head.position + cardinality(event_versions)
    WHERE log_head.ctid = head RETURNING log_head.position INTO STRICT last;
    before := last - cardinality(event_versions);

    -- Read with the head held, so that times follow positions (as far as the clock does).
    at := clock_timestamp();

    -- What was only read has not moved: its version is there (version 0 always is) and the next one is not. Here and below,
    -- scalar subqueries: one probe of an index for each row, whatever the planner thinks of the tables' sizes; and equality
    -- on the whole key, since a search for the highest version reads a whole page of the index. Arrays go in lockstep, and
    -- in select lists, since in FROM they would be copied into a table first.
    IF cardinality(guard_stream_ids) > 0 THEN
        PERFORM FROM (SELECT unnest(guard_stream_ids) AS stream_id, unnest(guard_versions) AS version) AS guard
        WHERE guard.version > 0 AND (
            SELECT true FROM events WHERE events.stream_id = guard.stream_id AND events.version = guard.version
        ) IS NULL OR (
            SELECT true FROM events WHERE events.stream_id = guard.stream_id AND events.version = guard.version + 1
        );
        IF FOUND THEN
            RAISE EXCEPTION 'a stream is not at the expected version' USING ERRCODE = 'TL001';
        END IF;
    END IF;

    INSERT INTO events (position, version, recorded_at, command_id, stream_id, event_type, payload, metadata)
    SELECT
        generate_series(before + 1, last), unnest(event_versions), at, unnest(event_command_ids),
        unnest(event_stream_ids), unnest(event_types), unnest(event_payloads), unnest(event_metadata);

    -- A stream's new versions follow each other and its last: the one before each is there now. (That none of them was
    -- there before, the unique key says.)
    PERFORM FROM (SELECT unnest(event_stream_ids) AS stream_id, unnest(event_versions) AS version) AS event
    WHERE event.version <> 1 AND (
        SELECT true FROM events WHERE events.stream_id = event.stream_id AND events.version = event.version - 1
    ) IS NULL;
    IF FOUND THEN
        RAISE EXCEPTION 'a stream is not at the expected version' USING ERRCODE = 'TL001';
    END IF;

    IF cardinality(command_stream_ids) = 0 THEN
        INSERT INTO commands (command_id, content_hash, recorded_at, event_count, position)
        SELECT
            unnest(command_ids), unnest(command_content_hashes), at, unnest(command_event_counts),
            before + unnest(command_positions);
        RETURN last;
    END IF;

    -- What a command that changed nothing has found may have been appended by this same batch, at a position that nobody
    -- knew before.
    INSERT INTO commands (command_id, content_hash, recorded_at, event_count, position, stream_id, version, standing)
    SELECT
        command.command_id, command.content_hash, at, command.event_count,
        CASE WHEN command.event_count > 0 THEN before + command.position
        ELSE greatest(command.position, (
            SELECT events.position FROM events
            WHERE events.stream_id = command.stream_id AND events.version = command.version
        )) END,
        command.stream_id, command.version, command.standing
    FROM unnest(
        command_ids, command_content_hashes, command_event_counts, command_positions,
        command_stream_ids, command_versions, command_standing
    ) AS command (command_id, content_hash, event_count, position, stream_id, version, standing);
    RETURN last;
END
$$;

-- Keeps everybody else from appending until the end of the caller's transaction.
CREATE FUNCTION lock_head() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT position FROM log_head ORDER BY singleton DESC LIMIT 1 FOR UPDATE
$$;

-- Forgets the oldest commands that were recorded before a time, those of at most so many positions. Gives how many positions it
-- went through, 0 when none is left or somebody else is at it. Locks no row that an append needs.
CREATE FUNCTION prune_commands(recorded_before timestamptz, positions_max bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    pruned bigint;
    last bigint;
BEGIN
    SELECT commands_pruned.position INTO pruned FROM commands_pruned FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM commands WHERE command_id IN (
        SELECT commands.command_id FROM commands
        WHERE event_count = 0 AND recorded_at < recorded_before ORDER BY recorded_at LIMIT positions_max
    );
    -- Times follow positions, so the first event that is too young ends it.
    SELECT max(old.position) INTO last FROM (
        SELECT events.position, events.recorded_at FROM events
        WHERE events.position > pruned ORDER BY events.position LIMIT positions_max
    ) AS old WHERE old.recorded_at < recorded_before;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM commands WHERE command_id = ANY (ARRAY(
        SELECT events.command_id FROM events WHERE events.position > pruned AND events.position <= last
    )) AND event_count > 0 AND commands.position <= last;
    UPDATE commands_pruned SET position = last;
    RETURN last - pruned;
END
$$;

-- Keeps states that are newer than those that are there. Those of formats before the last one nobody reads any more.
CREATE FUNCTION save_snapshots(
    snapshot_format integer,
    stream_ids text[],
    versions bigint[],
    positions bigint[],
    states text[]
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM snapshots WHERE snapshots.stream_id = ANY (stream_ids) AND snapshots.format < snapshot_format - 1;
    INSERT INTO snapshots (stream_id, format, version, position, state)
    SELECT unnest(stream_ids), snapshot_format, unnest(versions), unnest(positions), unnest(states)
    ON CONFLICT (stream_id, format) DO UPDATE
    SET version = excluded.version, position = excluded.position, state = excluded.state
    WHERE snapshots.version < excluded.version;
$$;

-- Functions are everybody's by default.
REVOKE ALL ON FUNCTION append_batch, lock_head, prune_commands, save_snapshots FROM PUBLIC;
