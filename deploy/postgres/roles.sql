-- The users that Tally's processes connect as, each with no more rights than its work needs. For a new database, as an administrator, once:
--
--   TALLY_OWNER_PASSWORD=… TALLY_APPEND_PASSWORD=… TALLY_TAIL_PASSWORD=… TALLY_READ_PASSWORD=… \
--     psql --no-psqlrc -v log=main -f roles.sql ADMIN_URL
--
-- tally_LOG_owner migrates; tally_LOG_appender is for command-service, tally_LOG_tailer for the projector, tally_LOG_reader for query-service's event-log API.
-- The roles that hold the rights are made here and not by the migration, so that the owner needs no right to create roles.

\set ON_ERROR_STOP on
\if :{?log}
\else
\set log main
\endif
\getenv owner_password TALLY_OWNER_PASSWORD
\getenv append_password TALLY_APPEND_PASSWORD
\getenv tail_password TALLY_TAIL_PASSWORD
\getenv read_password TALLY_READ_PASSWORD
\set append tally_ :log _append
\set read tally_ :log _read
\set tail tally_ :log _tail
\set owner tally_ :log _owner
\set appender tally_ :log _appender
\set tailer tally_ :log _tailer
\set reader tally_ :log _reader

BEGIN;
CREATE ROLE :append NOLOGIN;
CREATE ROLE :read NOLOGIN;
CREATE ROLE :tail NOLOGIN;
CREATE ROLE :owner LOGIN PASSWORD :'owner_password' IN ROLE :append, :read, :tail;
CREATE ROLE :appender LOGIN PASSWORD :'append_password' IN ROLE :append;
CREATE ROLE :tailer LOGIN PASSWORD :'tail_password' IN ROLE :tail, :read;
CREATE ROLE :reader LOGIN PASSWORD :'read_password' IN ROLE :read;
GRANT CREATE ON DATABASE :"DBNAME" TO :owner;
COMMIT;
