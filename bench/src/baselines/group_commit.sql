CREATE TABLE IF NOT EXISTS head (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), position bigint NOT NULL DEFAULT 0);
INSERT INTO head DEFAULT VALUES ON CONFLICT DO NOTHING;
-- The columns and indexes of pgbench's table.
CREATE TABLE IF NOT EXISTS recorded (
    position bigint PRIMARY KEY,
    stream_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    command_id uuid NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event_type text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    UNIQUE (stream_id, version)
);
