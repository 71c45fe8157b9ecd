-- What those who watch a database of ours need to know beyond its tables.

-- Seconds since the oldest transaction of this database began that keeps dead rows from being removed; prepared ones, which nobody
-- may remember, included. Null where other users' sessions are hidden from the owner of this function: then nobody knows.
--
-- It acts with its owner's rights so that relays need not be let see what others are doing: only an age comes out.
create function outbox.oldest_transaction_seconds() returns double precision
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select case when pg_has_role(current_user, 'pg_read_all_stats', 'usage') then greatest(0, extract(epoch from now() - least(
    (select min(xact_start) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and (backend_xmin is not null or backend_xid is not null)),
    (select min(prepared) from pg_prepared_xacts where database = current_database()),
    now())))::double precision end
$$;
