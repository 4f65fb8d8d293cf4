-- How far projectors have seen the read model come. What it lost is known from here to a projector that was not there when it happened: the
-- read model cannot remember it. In the log's own schema, as 0001.

CREATE TABLE reached (
    projection text COLLATE "C" NOT NULL,
    shard integer NOT NULL,
    -- Of how many shards. With another number it is another read model.
    shards integer NOT NULL,
    -- Which set of views was read.
    build text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (projection, shard)
);

-- Notes where sets of views stand that were made from the log `of_log`: not from one that was here before it. What is there of a set never goes
-- back, and what is there of another number of shards is forgotten.
CREATE FUNCTION note_reached(
    of_log uuid,
    shard_count integer,
    unit_projections text[],
    unit_shards integer[],
    unit_builds text[],
    unit_positions bigint[]
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM reached WHERE reached.shards <> shard_count;
    INSERT INTO reached (projection, shard, shards, build, position)
    SELECT unnest(unit_projections), unnest(unit_shards), shard_count, unnest(unit_builds), unnest(unit_positions)
    WHERE of_log = (SELECT log_head.log_id FROM log_head ORDER BY log_head.singleton DESC LIMIT 1)
    ON CONFLICT (projection, shard) DO UPDATE
    SET build = excluded.build, position = excluded.position
    WHERE reached.build <> excluded.build OR reached.position < excluded.position;
$$;
