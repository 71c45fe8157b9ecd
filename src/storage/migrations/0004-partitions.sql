-- Days are made ahead by every relay, without Temporal: a long outage must not end as "no partition found" inside
-- somebody's business transaction. CREATE … PARTITION OF would wait for, and then hold up, every producer; a table made
-- LIKE the parent and attached only takes a lock that inserts do not mind.
create function outbox.make_partition(p_parent text, p_name text, p_from text, p_to text) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  if to_regclass(format('outbox.%I', p_name)) is not null then
    return false;
  end if;
  execute format('create table outbox.%I (like outbox.%I including all)', p_name, p_parent);
  execute format('alter table outbox.%I attach partition outbox.%I for values from (%L) to (%L)', p_parent, p_name, p_from, p_to);
  return true;
end $$;

-- Makes what is missing of the days from p_days_back to p_days_ahead; answers how many partitions it made.
create function outbox.make_partitions(p_days_back integer default 7, p_days_ahead integer default 30) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_day  timestamptz;
  v_next timestamptz;
  v_tag  text;
  v_made integer := 0;
begin
  if not pg_try_advisory_xact_lock(1869968482, 2000000) then
    return 0; -- another relay is at it
  end if;
  set local lock_timeout = '2s';
  for i in -p_days_back .. p_days_ahead loop
    v_day := date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' + i * interval '24 hours';
    v_next := v_day + interval '24 hours';
    v_tag := to_char(v_day at time zone 'UTC', 'YYYYMMDD');
    -- What housekeeping dropped stays dropped.
    continue when v_next <= now() - outbox.retention_of('events');
    v_made := v_made
      + outbox.make_partition('events', 'events_' || v_tag, outbox.uuid7_floor(v_day)::text, outbox.uuid7_floor(v_next)::text)::int;
    if i >= -1 then
      v_made := v_made
        + outbox.make_partition('delivered', 'delivered_' || v_tag, v_day::text, v_next::text)::int
        + outbox.make_partition('attempts', 'attempts_' || v_tag, v_day::text, v_next::text)::int;
    end if;
  end loop;
  return v_made;
end $$;

-- Whole days from now that every partitioned table still has room for.
create function outbox.days_ahead() returns integer
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce(min(last_day - (now() at time zone 'UTC')::date), -1)
  from (select max(to_date(right(c.relname, 8), 'YYYYMMDD')) as last_day
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent in ('outbox.events'::regclass, 'outbox.delivered'::regclass, 'outbox.attempts'::regclass)
          and c.relname ~ '_[0-9]{8}$'
        group by i.inhparent) t
$$;

select outbox.make_partitions();
