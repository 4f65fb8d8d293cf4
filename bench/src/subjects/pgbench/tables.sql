-- The columns and indexes of an event table as most teams have it: a serial position, a unique version in each stream, a unique command. Payloads
-- are text and ids of commands grow, as Tally's are: both cost less.
CREATE TABLE recorded (
    position bigserial PRIMARY KEY,
    stream_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    -- Null in all but the first event of a command.
    command_id uuid UNIQUE,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event_type text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    UNIQUE (stream_id, version)
);

CREATE TABLE batches (
    batch_ref text COLLATE "C" PRIMARY KEY,
    quantity bigint NOT NULL,
    allocated bigint NOT NULL DEFAULT 0
);
INSERT INTO batches (batch_ref, quantity) VALUES ('batch-hot', 1000000000);
