-- Appending beside other processes: what they appended meanwhile comes with the answer, and of a batch only that is left out which does not fit
-- any more. In the log's own schema, as 0001.

-- Keeps everybody else from appending until the end of the caller's transaction. Gives the log's last position and the events after `seen`: all
-- streams in the order of positions, then all versions, types and payloads. Of more than `news_max` events none.
CREATE FUNCTION take_head(seen bigint, news_max bigint) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head bigint;
    news text[];
BEGIN
    -- As lock_head does, which would be planned again for each call from here. (It stays for the program of the version before.)
    SELECT log_head.position INTO STRICT head FROM log_head ORDER BY log_head.singleton DESC LIMIT 1 FOR UPDATE;
    IF head - seen BETWEEN 1 AND news_max THEN
        SELECT array_agg(stream_id) || array_agg(version::text) || array_agg(event_type) || array_agg(payload) INTO news
        FROM (
            SELECT events.stream_id, events.version, events.event_type, events.payload FROM events
            WHERE events.position > seen AND events.position <= head ORDER BY events.position
        ) AS event;
    END IF;
    RETURN array_prepend(head::text, news);
END
$$;

-- As append_batch, but of commands whose streams have moved since `seen` nothing is appended, and of those that rest on such commands: streams and
-- commands that have to do with each other are of one group. Gives the log's last position, the number of groups that were left out, these groups, and
-- the events after `seen` that came before the batch, as take_head does.
CREATE FUNCTION append_fitting(
    seen bigint,
    news_max bigint,
    -- What the batch rests on: streams, the versions that they had before it, and their groups.
    basis_stream_ids text[],
    basis_versions bigint[],
    basis_groups integer[],
    event_groups integer[],
    command_groups integer[],
    guard_groups integer[],
    event_stream_ids text[],
    event_versions bigint[],
    event_types text[],
    event_payloads text[],
    event_metadata text[],
    event_command_ids uuid[],
    command_ids uuid[],
    command_content_hashes bytea[],
    command_event_counts integer[],
    command_positions bigint[],
    command_stream_ids text[],
    command_versions bigint[],
    command_standing text[],
    guard_stream_ids text[],
    guard_versions bigint[]
) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    last bigint;
    news_stream_ids text[];
    news_versions text[];
    news_types text[];
    news_payloads text[];
    left_out integer[] := '{}';
    -- Most batches have none of a command that changed nothing.
    unchanged boolean := cardinality(command_stream_ids) > 0;
BEGIN
    SELECT log_head.position INTO STRICT last FROM log_head ORDER BY log_head.singleton DESC LIMIT 1 FOR UPDATE;
    IF last - seen NOT BETWEEN 0 AND news_max THEN
        RAISE EXCEPTION 'the log has moved on too far, or back' USING ERRCODE = 'TL001';
    END IF;
    -- Whoever knows all events up to `seen` has decided on them.
    IF last > seen THEN
        SELECT
            array_agg(stream_id), array_agg(version::text), array_agg(event_type), array_agg(payload)
        INTO news_stream_ids, news_versions, news_types, news_payloads
        FROM (
            SELECT events.stream_id, events.version, events.event_type, events.payload FROM events
            WHERE events.position > seen AND events.position <= last ORDER BY events.position
        ) AS event;
        left_out := ARRAY(
            SELECT DISTINCT basis.basis_group
            FROM unnest(basis_stream_ids, basis_versions, basis_groups) AS basis (stream_id, version, basis_group)
            JOIN unnest(news_stream_ids, news_versions) AS new (stream_id, version)
            ON new.stream_id = basis.stream_id AND new.version::bigint > basis.version
        );
    END IF;
    IF cardinality(left_out) > 0 THEN
        SELECT
            array_agg(event.stream_id), array_agg(event.version), array_agg(event.event_type), array_agg(event.payload),
            array_agg(event.metadata), array_agg(event.command_id)
        INTO event_stream_ids, event_versions, event_types, event_payloads, event_metadata, event_command_ids
        FROM (
            SELECT * FROM unnest(
                event_groups, event_stream_ids, event_versions, event_types, event_payloads, event_metadata,
                event_command_ids
            ) WITH ORDINALITY
            AS event (of_group, stream_id, version, event_type, payload, metadata, command_id, place)
            WHERE of_group <> ALL (left_out) ORDER BY place
        ) AS event;

        SELECT
            array_agg(command.command_id), array_agg(command.content_hash), array_agg(command.event_count),
            array_agg(command.position), array_agg(command.stream_id), array_agg(command.version),
            array_agg(command.standing)
        INTO
            command_ids, command_content_hashes, command_event_counts, command_positions, command_stream_ids,
            command_versions, command_standing
        FROM (
            SELECT
                command_id, content_hash, event_count,
                CASE WHEN event_count > 0 THEN sum(event_count) OVER (ORDER BY place) ELSE position END AS position,
                stream_id, version, standing
            FROM unnest(
                command_groups, command_ids, command_content_hashes, command_event_counts, command_positions,
                command_stream_ids, command_versions, command_standing
            ) WITH ORDINALITY
            AS command (
                of_group, command_id, content_hash, event_count, position, stream_id, version, standing, place
            )
            WHERE of_group <> ALL (left_out) ORDER BY place
        ) AS command;

        SELECT array_agg(guard.stream_id), array_agg(guard.version) INTO guard_stream_ids, guard_versions
        FROM unnest(guard_groups, guard_stream_ids, guard_versions) AS guard (of_group, stream_id, version)
        WHERE of_group <> ALL (left_out);
    END IF;

    IF cardinality(command_ids) > 0 THEN
        last := append_batch(
            coalesce(event_stream_ids, '{}'), coalesce(event_versions, '{}'), coalesce(event_types, '{}'),
            coalesce(event_payloads, '{}'), coalesce(event_metadata, '{}'), coalesce(event_command_ids, '{}'),
            command_ids, command_content_hashes, command_event_counts, command_positions,
            CASE WHEN unchanged THEN command_stream_ids ELSE '{}' END,
            CASE WHEN unchanged THEN command_versions ELSE '{}' END,
            CASE WHEN unchanged THEN command_standing ELSE '{}' END,
            coalesce(guard_stream_ids, '{}'), coalesce(guard_versions, '{}')
        );
    END IF;
    RETURN ARRAY[last, cardinality(left_out)]::text[] || left_out::text[]
        || news_stream_ids || news_versions || news_types || news_payloads;
END
$$;

-- Functions are everybody's by default.
REVOKE ALL ON FUNCTION take_head, append_fitting FROM PUBLIC;
