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

-- Notes where sets of views stand. One that is there already never goes back.
CREATE FUNCTION note_reached(
    unit_projections text[],
    unit_shards integer[],
    shard_count integer,
    unit_builds text[],
    unit_positions bigint[]
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO reached (projection, shard, shards, build, position)
    SELECT unnest(unit_projections), unnest(unit_shards), shard_count, unnest(unit_builds), unnest(unit_positions)
    ON CONFLICT (projection, shard) DO UPDATE
    SET shards = excluded.shards, build = excluded.build, position = excluded.position
    WHERE (reached.shards, reached.build) <> (excluded.shards, excluded.build) OR reached.position < excluded.position;
$$;
