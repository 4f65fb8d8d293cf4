\set n :n + 1
\set version :n * 32 + :client_id
BEGIN;
SELECT quantity - allocated FROM batches WHERE batch_ref = 'batch-hot' FOR UPDATE;
UPDATE batches SET allocated = allocated + 1 WHERE batch_ref = 'batch-hot';
INSERT INTO recorded (stream_id, version, command_id, event_type, payload, metadata) VALUES ('product-SKU-HOT', :version, lpad(to_hex(:version::bigint), 32, '0')::uuid, 'Allocated', :payload, :metadata);
COMMIT;
