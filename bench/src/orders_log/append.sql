-- Orders as the service would have appended them: each is created and its one line allocated, in one commit of two events. Before them stand the
-- batches of :skus products.
INSERT INTO :schema.events (position, version, recorded_at, command_id, stream_id, event_type, payload, metadata)
SELECT
    sku + 1, 1, now() - interval '3 hours',
    (lpad(to_hex(1767225600000), 12, '0') || '70008001' || lpad(to_hex(sku), 12, '0'))::uuid,
    'product-SKU-' || sku, 'BatchCreated',
    jsonb_build_object('batch_ref', 'batch-SKU-' || sku, 'sku', 'SKU-' || sku, 'quantity', 1000000, 'eta', NULL)::text,
    '{}'
FROM generate_series(0, :skus - 1) AS sku
WHERE :first = 0;
INSERT INTO :schema.events (position, version, recorded_at, command_id, stream_id, event_type, payload, metadata)
SELECT
    :skus + 2 * n + 1 + part,
    CASE part WHEN 0 THEN 1 ELSE n / :skus + 2 END,
    now() - interval '2 hours' + n * interval '1 millisecond',
    (lpad(to_hex(1767225600000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid,
    CASE part WHEN 0 THEN 'order-' || order_id ELSE 'product-SKU-' || n % :skus END,
    CASE part WHEN 0 THEN 'OrderCreated' ELSE 'Allocated' END,
    CASE part
        WHEN 0 THEN '{"order_id":"' || order_id || '","customer_id":"customer-' || n % 1000
            || '","items":[{"sku":"SKU-' || n % :skus
            || '","quantity":1,"unit_price":{"currency_code":"EUR","units":49,"nanos":900000000}}],'
            || '"total":{"currency_code":"EUR","units":49,"nanos":900000000},"shipping_address":{"region_code":"DE",'
            || '"postal_code":"10115","locality":"Berlin","address_lines":["Chausseestr. 1"],"recipients":[],'
            || '"organization":"","administrative_area":"","sublocality":"","sorting_code":"","language_code":""}}'
        ELSE '{"order_id":"' || order_id || '","sku":"SKU-' || n % :skus || '","batch_ref":"batch-SKU-' || n % :skus
            || '","quantity":1,"from_backorder":false}'
    END,
    '{}'
FROM generate_series(:first::bigint, :last::bigint) AS n
CROSS JOIN LATERAL (SELECT '00000000-0000-7000-8000-' || lpad(n::text, 12, '0') AS order_id) AS named
CROSS JOIN generate_series(0, 1) AS part
