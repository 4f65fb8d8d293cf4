-- A batch, and then lines that came and went, behind what the log has already.
INSERT INTO :schema.events (position, version, recorded_at, command_id, stream_id, event_type, payload, metadata)
SELECT
    head.position + n, n, clock_timestamp(), gen_random_uuid(), 'product-:sku',
    CASE WHEN n = 1 THEN 'BatchCreated' WHEN n % 2 = 0 THEN 'Allocated' ELSE 'Deallocated' END,
    CASE WHEN n = 1 THEN json_build_object('batch_ref', 'batch-:sku', 'sku', ':sku', 'quantity', 1000000)
    WHEN n % 2 = 0 THEN json_build_object(
        'order_id', 'past-' || n / 2, 'sku', ':sku', 'batch_ref', 'batch-:sku', 'quantity', 1, 'from_backorder', false
    )
    ELSE json_build_object('order_id', 'past-' || n / 2, 'sku', ':sku', 'batch_ref', 'batch-:sku', 'quantity', 1)
    END::text,
    '{}'
FROM :schema.log_head AS head, generate_series(1, 2 * :allocations + 1) AS n;
UPDATE :schema.log_head SET position = position + 2 * :allocations + 1;
VACUUM (ANALYZE) :schema.events
