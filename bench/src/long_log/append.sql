-- Events as the service would have appended them: each product begins with a batch, and then one line after the other is allocated to it.
-- Positions are dense, versions too, and command ids grow with time, as version 7 UUIDs do.
WITH appended AS (
INSERT INTO :schema.events (position, version, recorded_at, command_id, stream_id, event_type, payload, metadata)
SELECT
    n,
    (n - 1) / :streams + 1,
    now() - interval '2 hours' + n * interval '1 millisecond',
    (lpad(to_hex(1767225600000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid,
    'product-LONG-' || (n - 1) % :streams,
    CASE WHEN n <= :streams THEN 'BatchCreated' ELSE 'Allocated' END,
    CASE
        WHEN n <= :streams THEN jsonb_build_object(
            'batch_ref', 'batch-LONG-' || (n - 1) % :streams, 'sku', 'LONG-' || (n - 1) % :streams, 'quantity', 1000000, 'eta', NULL
        )::text
        ELSE jsonb_build_object(
            'batch_ref', 'batch-LONG-' || (n - 1) % :streams, 'sku', 'LONG-' || (n - 1) % :streams, 'quantity', 1,
            'order_id', 'old-' || n, 'from_backorder', false
        )::text
    END,
    '{}'
FROM generate_series(:first::bigint, :last::bigint) AS n
RETURNING position, recorded_at, command_id
)
INSERT INTO :schema.commands (command_id, content_hash, recorded_at, event_count, position)
SELECT command_id, sha256(int8send(position)), recorded_at, 1, position FROM appended
