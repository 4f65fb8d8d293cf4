-- Versions are unique without being looked up, which a service would have to do.
\set sku random(0, 9999)
\set n :n + 1
\set version :n * 32 + :client_id
INSERT INTO recorded (stream_id, version, command_id, event_type, payload, metadata) VALUES ('product-SKU-' || :sku::text, :version, lpad(to_hex(:version::bigint), 32, '0')::uuid, 'Allocated', :payload, :metadata);
