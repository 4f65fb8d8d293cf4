\set sku random(0, 9999)
\set n :n + 1
\set version :n * 32 + :client_id
BEGIN;
INSERT INTO recorded (stream_id, version, command_id, event_type, payload, metadata) VALUES ('order-' || gen_random_uuid(), 1, lpad(to_hex(:version::bigint), 32, '0')::uuid, 'OrderCreated', :order_payload, :metadata);
INSERT INTO recorded (stream_id, version, event_type, payload, metadata) VALUES ('product-SKU-' || :sku::text, :version, 'Allocated', :payload, :metadata);
INSERT INTO recorded (stream_id, version, event_type, payload, metadata) VALUES ('product-SKU-' || (:sku + 1)::text, :version, 'Allocated', :payload, :metadata);
INSERT INTO recorded (stream_id, version, event_type, payload, metadata) VALUES ('product-SKU-' || (:sku + 2)::text, :version, 'Allocated', :payload, :metadata);
COMMIT;
