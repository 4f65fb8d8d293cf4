-- A row for each batch that a command changes in place, and an event for each change.
CREATE TABLE batches (
    batch_ref text COLLATE "C" PRIMARY KEY,
    sku text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL,
    allocated bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    eta date,
    arrival bigserial,
    CHECK (allocated <= quantity)
) WITH (fillfactor = 50);
CREATE INDEX ON batches (sku);

CREATE TABLE recorded (
    position bigserial PRIMARY KEY,
    stream_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    command_id uuid NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event_type text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    UNIQUE (stream_id, version)
);
