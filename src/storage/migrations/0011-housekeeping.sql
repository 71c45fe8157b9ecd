-- Housekeeping: days past retention go, what is unsettled stays. The order of steps makes a stop between any two of them harmless:
-- copy what is unsettled, detach, copy what became unsettled meanwhile, drop. The next pass goes on from what it finds.
--
-- DETACH … CONCURRENTLY stops no producer, but only the owner of the table may say it, and not inside a function. So a pass
-- says it itself where its user is the owner; elsewhere outbox.drop_partition_briefly takes its place.

-- When the latest pass ran, how far it is, and what it did.
create table outbox.housekeeping (
  only_row    boolean primary key default true,
  started_at  timestamptz,
  finished_at timestamptz,
  -- When a pass last came to its end, also while the next one is under way. A fresh schema has nothing to clean up: as if by a pass.
  ended_at    timestamptz not null default now(),
  step        text,
  report      jsonb,
  constraint housekeeping_has_one_row check (only_row)
);
insert into outbox.housekeeping default values;

create function outbox.day_of(p_partition text) returns timestamptz
language sql stable strict set search_path = pg_catalog, pg_temp as $$
  select to_date(right(p_partition, 8), 'YYYYMMDD')::timestamp at time zone 'UTC'
$$;

-- Days past their retention, oldest first, but first of all (a table has one at most) `detaching`: its detach was broken off. `detached`: only the drop is missing.
create function outbox.partitions_past_retention() returns table (parent text, name text, state text, bytes bigint)
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select r.what, c.relname::text,
         case when not c.relispartition then 'detached' when i.inhdetachpending then 'detaching' else 'attached' end,
         pg_total_relation_size(c.oid)
  from outbox.retention r
  join pg_class c on c.relnamespace = 'outbox'::regnamespace and c.relkind = 'r' and c.relname ~ ('^' || r.what || '_[0-9]{8}$')
  left join pg_inherits i on i.inhrelid = c.oid
  where r.what in ('events', 'delivered', 'attempts')
    and outbox.day_of(c.relname) + interval '24 hours' <= now() - outbox.retention_of(r.what)
  order by r.what, i.inhdetachpending desc nulls last, c.relname
$$;

-- Whether the user of this connection may detach by itself.
create function outbox.may_detach() returns boolean
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = 'outbox.events'::regclass
$$;

-- Tables of days that queries on the parent no longer see, and that are still there.
create function outbox.days_out_of_sight(p_parent text) returns setof text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select c.relname::text from pg_class c left join pg_inherits i on i.inhrelid = c.oid
  where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'r' and c.relname ~ ('^' || p_parent || '_[0-9]{8}$')
    and (not c.relispartition or i.inhdetachpending)
$$;

-- Copies what is unsettled of a day: events to events_kept, attempts to attempts_kept. Answers how many rows; below p_limit none is
-- left. The lock keeps outbox.erase away: a copy begun before an erasure must not outlive it.
create function outbox.keep_unsettled(p_name text, p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_day   timestamptz := outbox.day_of(p_name);
  v_count integer;
begin
  if p_name !~ '^(events|attempts)_[0-9]{8}$' then
    return 0;
  end if;
  perform pg_advisory_xact_lock_shared(1869968482, 3000000);
  if p_name like 'events%' then
    execute format('insert into outbox.events_kept select e.* from (
        select distinct d.event_id from outbox.deliveries d where d.event_id >= %L and d.event_id < %L
          and not exists (select from outbox.events_kept k where k.id = d.event_id)) u
      join outbox.%I e on e.id = u.event_id limit %s on conflict do nothing',
      outbox.uuid7_floor(v_day), outbox.uuid7_floor(v_day + interval '24 hours'), p_name, p_limit);
  else
    execute format('insert into outbox.attempts_kept select a.* from outbox.%I a
      where exists (select from outbox.deliveries d where d.event_id = a.event_id and d.destination = a.destination)
        and not exists (select from outbox.attempts_kept k where k.event_id = a.event_id and k.destination = a.destination and k.try = a.try)
      limit %s', p_name, p_limit);
  end if;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- Ends a detach that was broken off: by a lock timeout, a killed process, a restarted server.
create function outbox.finish_detach(p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_parent text;
begin
  select parent into v_parent from outbox.partitions_past_retention() where name = p_name and state = 'detaching';
  if found then
    execute format('alter table outbox.%I detach partition outbox.%I finalize', v_parent, p_name);
  end if;
end $$;

-- Drops a detached day past its retention; refuses while one of its events is unsettled and not kept.
create function outbox.drop_detached(p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_parent text;
  v_left   boolean := false;
begin
  select parent into v_parent from outbox.partitions_past_retention() where name = p_name and state = 'detached';
  if not found then
    return;
  end if;
  -- Alone with the table: whoever copies or erases is done.
  execute format('lock table outbox.%I in access exclusive mode', p_name);
  if v_parent = 'events' then
    execute format('select exists (select from outbox.deliveries d join outbox.%I e on e.id = d.event_id
                      where not exists (select from outbox.events_kept k where k.id = d.event_id))', p_name) into v_left;
  end if;
  if v_left then
    raise exception '% holds events that are unsettled and not kept', p_name;
  end if;
  execute format('drop table outbox.%I', p_name);
end $$;

-- For a user who may not detach concurrently: all in one transaction, with a lock on the parent that is given up after a tenth of
-- a second. So long producers may wait; under an open transaction of one it fails, and the next pass tries again.
create function outbox.drop_partition_briefly(p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp set lock_timeout = '100ms' as $$
declare
  v_parent text;
begin
  select parent into v_parent from outbox.partitions_past_retention() where name = p_name and state = 'attached';
  if not found then
    return;
  end if;
  execute format('alter table outbox.%I detach partition outbox.%I', v_parent, p_name);
  while outbox.keep_unsettled(p_name, 5000) > 0 loop
  end loop;
  perform outbox.drop_detached(p_name);
end $$;

-- Deletes at most p_limit rows of one kind that are past their retention; answers how many.
create function outbox.purge(p_what text, p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_oldest uuid := outbox.uuid7_floor(now() - outbox.retention_of('events'));
  v_count  integer;
begin
  case p_what
    when 'deadLetters' then
      delete from outbox.dead_letters where id = any (array(
        select id from outbox.dead_letters
        where resolved_at < now() - outbox.retention_of('deadLetters') order by resolved_at limit p_limit));
    when 'audit' then
      -- In order of id, and so of time: it stops at the first chunk that is young.
      delete from outbox.audit where id = any (array(
        select id from (select id, at from outbox.audit order by id limit p_limit) t where at < now() - outbox.retention_of('audit')));
    when 'revisions' then
      -- The text of an edit goes with the text of the event.
      delete from outbox.revisions where ctid = any (array(
        select r.ctid from outbox.revisions r
        where r.event_id < v_oldest
          and not exists (select from outbox.deliveries d where d.event_id = r.event_id and d.destination = r.destination) limit p_limit));
    when 'eventsKept' then
      delete from outbox.events_kept where id = any (array(
        select k.id from outbox.events_kept k
        where not exists (select from outbox.deliveries d where d.event_id = k.id) limit p_limit));
    when 'attemptsKept' then
      delete from outbox.attempts_kept where ctid = any (array(
        select k.ctid from outbox.attempts_kept k
        where not exists (select from outbox.deliveries d where d.event_id = k.event_id and d.destination = k.destination) limit p_limit));
    when 'unrouted' then
      delete from outbox.unrouted where event_id = any (array(
        select event_id from outbox.unrouted where event_id < v_oldest order by event_id limit p_limit));
    when 'dedupKeys' then
      delete from outbox.event_dedup_keys where event_id = any (array(
        select event_id from outbox.event_dedup_keys
        where event_id < outbox.uuid7_floor(now() - outbox.retention_of('dedupKeys')) order by event_id limit p_limit));
    when 'configRevisions' then
      delete from outbox.config_revisions
      where applied_at < now() - outbox.retention_of('audit') and revision < (select config_revision from outbox.settings);
  end case;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- Workflows that wait for rows which are gone: their batch is empty (outbox.erase took the last one). Told to look again, they end.
create function outbox.workflows_without_rows(p_limit integer) returns setof text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select b.workflow_id from outbox.batches b
  where not b.active and not exists (select from outbox.deliveries d where d.batch_id = b.id) limit p_limit
$$;

-- Erasing. An event's text stands in events (or events_kept, or a day on its way out) and revisions; what receivers said of it in
-- attempts and dead_letters. All of it goes in one transaction, its unsettled deliveries with it: an event without its text is
-- sent nowhere. The audit, ids, types, times and statuses stay. So with half messages: one still open is rolled back, by `erase`, and its
-- producer's late commit is refused.
create function outbox.erase(p_events uuid[], p_actor text, p_via text, p_reason text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_table      text;
  v_known      uuid[];
  v_found      uuid[];
  v_workflows  text[];
  v_deliveries jsonb;
  v_keys       jsonb; -- that the deliveries may have held up
  v_messages   uuid[]; -- that were open
begin
  if cardinality(p_events) > 1000 then
    raise exception 'erase takes at most 1000 events at a time' using errcode = 'invalid_parameter_value';
  end if;
  -- First, as their commit takes locks in this order too: what is committed at this moment is an event from here on.
  select coalesce(array_agg(s.id order by s.id), '{}') into v_messages from outbox.settle_messages(p_events, 'rolled-back', 'erase') s;
  update outbox.prepared_messages set digest = null, last_answer = null where id = any (p_events);
  -- One of more than a day became an event with another id.
  p_events := p_events || array(select m.event_id from outbox.prepared_messages m where m.id = any (p_events) and m.event_id <> all (p_events));
  -- A copy of housekeeping's that began with the old text is waited for; one that begins later finds it gone.
  perform pg_advisory_xact_lock(1869968482, 3000000);
  -- Batches first, as every writer of their rows does.
  perform from outbox.batches b
  where b.id in (select batch_id from outbox.deliveries where event_id = any (p_events)) order by b.id for update;

  with gone as (
    delete from outbox.deliveries where event_id = any (p_events) returning event_id, destination, state, batch_id, key
  )
  select coalesce(jsonb_agg(jsonb_build_object('eventId', g.event_id, 'destination', g.destination, 'state', g.state)), '[]'),
         coalesce(array_agg(distinct b.workflow_id) filter (where b.workflow_id is not null), '{}'),
         jsonb_agg(jsonb_build_object('destination', g.destination, 'key', g.key)) filter (where g.key is not null)
  into v_deliveries, v_workflows, v_keys
  from gone g left join outbox.batches b on b.id = g.batch_id;
  perform outbox.release_keys(k.destination, k.keys)
  from (select k ->> 'destination' as destination, array_agg(k ->> 'key') as keys from jsonb_array_elements(v_keys) k group by 1) k;

  select coalesce(array_agg(distinct id), '{}') into v_known from (
    select id from outbox.events where id = any (p_events)
    union all select id from outbox.events_kept where id = any (p_events)
    union all select event_id from outbox.delivered where event_id = any (p_events)
    union all select event_id from outbox.dead_letters where event_id = any (p_events)
    union all select event_id from outbox.attempts where event_id = any (p_events)
    union all select event_id from outbox.event_dedup_keys where event_id = any (p_events)
    union all select m.id from outbox.prepared_messages m where m.id = any (p_events)
    union all select (g ->> 'eventId')::uuid from jsonb_array_elements(v_deliveries) g) known;

  for v_table in select 'events' union all select 'events_kept' union all select outbox.days_out_of_sight('events') loop
    execute format('with emptied as (
        update outbox.%I set payload = ''null'', headers = ''{}'', key = null, subject = null, dedup_key = null, erased_at = now()
        where id = any ($1) and erased_at is null returning id)
      select coalesce(array_agg(id), ''{}'') from emptied where not id = any ($2)', v_table) into v_found using p_events, v_known;
    v_known := v_known || v_found; -- those of a day out of sight are found only now
  end loop;
  for v_table in select 'attempts' union all select 'attempts_kept' union all select outbox.days_out_of_sight('attempts') loop
    execute format('update outbox.%I set message = case when message is null then null else ''(erased)'' end, excerpt = null, headers = null
                    where event_id = any ($1) and (excerpt is not null or headers is not null or message <> ''(erased)'')', v_table)
    using p_events;
  end loop;
  delete from outbox.revisions where event_id = any (p_events);
  delete from outbox.unrouted where event_id = any (p_events);
  delete from outbox.event_dedup_keys where event_id = any (p_events);
  update outbox.dead_letters
  set last_error = case when last_error is null then null else '(erased)' end,
      resolution = coalesce(resolution, 'erase'), resolved_by = case when resolved_at is null then left(p_actor, 200) else resolved_by end,
      resolution_reason = case when resolved_at is null then left(p_reason, 1000) else resolution_reason end,
      resolved_at = coalesce(resolved_at, now())
  where event_id = any (p_events);
  insert into outbox.audit (actor, via, action, event_id, events, outcome, message, reason, workflow_id)
  select left(p_actor, 200), p_via, 'erase', id, 1, 'done',
         case when id = any (v_messages) then 'payload, headers, key and answers erased; the half message was open and is rolled back'
              else format('payload, headers, key, edits and answers erased; %s unsettled deliveries dropped',
                          (select count(*) from jsonb_array_elements(v_deliveries) g where g ->> 'eventId' = id::text)) end,
         left(p_reason, 1000),
         case when id = any (v_messages) then outbox.workflow_prefix() || 'preparedMessage/' || id end
  from unnest(v_known) id;
  return jsonb_build_object('erased', to_jsonb(v_known), 'deliveries', v_deliveries, 'messages', to_jsonb(v_messages), 'workflows', to_jsonb(v_workflows),
    'unknown', (select coalesce(jsonb_agg(id), '[]') from unnest(p_events) id where not id = any (v_known)));
end $$;

-- Ids of a key's events and open half messages. Reads all of them: no index pays for this rare question.
create function outbox.events_of_key(p_key text) returns setof uuid
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_day text;
begin
  return query select id from outbox.events where key = p_key union select id from outbox.events_kept where key = p_key
               union select id from outbox.prepared_messages where key = p_key;
  for v_day in select outbox.days_out_of_sight('events') loop
    return query execute format('select id from outbox.%I where key = $1', v_day) using p_key;
  end loop;
end $$;
