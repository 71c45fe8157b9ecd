-- A lock of the inbox's own: the one of before is also that of the outbox's housekeeping, which holds it for as long as a pass lasts. Where both
-- live in one database, a consumer that needed a new week failed meanwhile.

-- Makes the weeks from the newest there is to the one that holds p_until; answers how many. Producers of rows do not
-- wait: a table made LIKE the parent and attached takes a lock that inserts do not mind.
create or replace function outbox_inbox.make_partitions(p_until timestamptz default now() + interval '35 days') returns integer
language plpgsql security definer
set search_path = pg_catalog, outbox_inbox, pg_temp
set lock_timeout = '5s' as $$
declare
  v_week timestamptz;
  v_next timestamptz;
  v_name text;
  v_made integer := 0;
begin
  perform pg_advisory_xact_lock(1869968482, 3100001);
  select week_of(uuid7_time(newest)) into v_week from settings;
  while v_week <= least(p_until, now() + interval '70 days') loop
    v_next := v_week + interval '168 hours';
    v_name := 'messages_' || to_char(v_week at time zone 'UTC', 'YYYYMMDD');
    if to_regclass('outbox_inbox.' || v_name) is null then
      begin
        execute format('create table outbox_inbox.%I (like outbox_inbox.messages including all)', v_name);
        execute format('alter table outbox_inbox.messages attach partition outbox_inbox.%I for values from (%L) to (%L)',
                       v_name, uuid7_floor(v_week), uuid7_floor(v_next));
        v_made := v_made + 1;
      exception when duplicate_table then
        null; -- made while we waited: settings (under REPEATABLE READ) and caches may be of before that
      end;
    end if;
    v_week := v_next;
  end loop;
  update settings set newest = uuid7_floor(v_week) where newest < uuid7_floor(v_week);
  return v_made;
end $$;
