-- A filter with date methods or decimal() can raise errors that even `@@` and `@?` do not hide ("cannot convert value from date to
-- timestamptz"), and one odd payload would then fail its producer's transaction. Such a filter is asked through here (some
-- microseconds more): what it cannot be applied to does not match it. Days and times without a zone are UTC.
create function outbox.filter_holds(p_payload jsonb, p_filter jsonpath, p_mode text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  return case p_mode when 'predicate' then jsonb_path_match_tz(p_payload, p_filter, '{}', true)
                     else jsonb_path_exists_tz(p_payload, p_filter, '{}', true) end;
exception when others then
  return false;
end $$;

-- Whoever gives a keyed delivery its seq holds this until commit: then seq follows commit order for each key.
create function outbox.lock_keys(p_keys text[]) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  select pg_advisory_xact_lock(1869968482, slot)
  from (select distinct hashtext(key) & 1023 as slot from unnest(p_keys) key order by 1) slots
$$;

-- From event to deliveries, in the producer's own statement.
--
-- SECURITY DEFINER so that a role which may only insert into outbox.events needs no right on anything else.
-- Transition tables cover every way of writing rows: VALUES, SELECT, COPY, CTEs, MERGE, ON CONFLICT.
create function outbox.route_new_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_taken text;
  v_keyed boolean;
begin
  if exists (select from new_events where dedup_key is not null) then
    -- In order, so that two statements with the same keys wait for each other one way round. outbox.enqueue has been here before.
    insert into outbox.event_dedup_keys (dedup_key, event_id)
    select dedup_key, id from new_events where dedup_key is not null order by dedup_key
    on conflict (dedup_key) do nothing;
    select n.dedup_key into v_taken
    from new_events n join outbox.event_dedup_keys k on k.dedup_key = n.dedup_key where k.event_id <> n.id limit 1;
    if found then
      raise exception 'dedup key % names another event', quote_literal(v_taken)
        using errcode = 'unique_violation', constraint = 'event_dedup_keys_are_unique', schema = 'outbox', table = 'event_dedup_keys',
              hint = 'It names one event. outbox.enqueue(…) answers a repeat with the event it names.';
    end if;
  end if;

  -- Producers of one key take turns until commit, so that seq follows commit order per key. Locked in sorted order
  -- (no deadlock within a statement), in 1024 slots (a million keys do not fill the lock table), and before seq is given:
  -- an identity column would have been evaluated earlier.
  v_keyed := exists (select from outbox.destinations where ordering = 'key');
  if v_keyed then
    perform outbox.lock_keys(array(select key from new_events where key is not null));
  end if;

  -- One pass over the new rows, each looking its routes up: joining two CTEs here was a nested loop over estimates, and made
  -- 100,000 rows in one statement take four minutes in place of seconds.
  with routed as materialized (
    select n.ordinal, n.id, n.type, n.key, n.deliver_at, r.destination
    from (select row_number() over () as ordinal, id, type, key, payload, deliver_at from new_events) n
    left join lateral (
      select distinct r.destination from outbox.routes r
      where n.type like r.type_like
        and case case when r.filter_may_fail then 'guarded' else r.filter_mode end
                               when 'guarded' then outbox.filter_holds(n.payload, r.filter, r.filter_mode)
                               when 'predicate' then n.payload @@ r.filter
                               when 'items' then n.payload @? r.filter
                               else true end) r on true
  ), unmatched as (
    insert into outbox.unrouted (event_id, type) select id, type from routed where destination is null
  )
  insert into outbox.deliveries (event_id, destination, seq, state, due_at, key)
  select o.id, o.destination, nextval('outbox.delivery_seq'),
         case when o.deliver_at > now() then 'scheduled' else 'pending' end,
         case when o.deliver_at > now() then o.deliver_at end,
         -- A destination that became keyed since the look above: its key was not locked, so this event is in no order yet.
         case when v_keyed and o.ordering = 'key' then o.key end
  from (select r.*, d.ordering from routed r join outbox.destinations d on d.name = r.destination
        order by r.ordinal, r.destination) o;
  return null;
end $$;

create trigger route_new_events after insert on outbox.events
  referencing new table as new_events
  for each statement execute function outbox.route_new_events();

-- Writes events with an answer to repeats: the same id (or dedup key) with the same content changes nothing, with
-- other content it is an error. Content is all but deliver_at, which a repeat may well compute anew.
-- Arrays of one length, one entry an event; null id asks for a new one.
-- Payloads and headers come as text, so that no driver re-writes a number on the way.
create function outbox.enqueue_all(
  p_ids uuid[], p_types text[], p_payloads text[], p_keys text[], p_headers text[], p_deliver_at timestamptz[],
  p_sources text[], p_subjects text[], p_content_types text[], p_dedup_keys text[]
) returns table (ordinal integer, id uuid, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_new_keys text[];
  v_conflict uuid;
begin
  -- Without an id or a key of the producer's nothing can have been there before: less than half the work.
  if num_nonnulls(variadic p_ids) + num_nonnulls(variadic p_dedup_keys) = 0 then
    return query
    with given as materialized (
      select g.n::integer as ordinal, outbox.uuid7() as id, g.type, g.payload::jsonb as payload, g.key, coalesce(g.headers::jsonb, '{}') as headers,
             g.deliver_at, g.source, g.subject, coalesce(g.content_type, 'application/json') as content_type
      from unnest(p_types, p_payloads, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types)
           with ordinality as g(type, payload, key, headers, deliver_at, source, subject, content_type, n)
    ), written as (
      insert into outbox.events (id, type, payload, key, headers, deliver_at, source, subject, content_type)
      select id, type, payload, key, headers, deliver_at, source, subject, content_type from given order by ordinal
    )
    select ordinal, id, true from given order by ordinal;
    return;
  end if;

  -- Keys first, so that a transaction writing the same key at the same time is waited for, and its event then seen below.
  if exists (select from unnest(p_dedup_keys) k where k is not null) then
    with reserved as (
      insert into outbox.event_dedup_keys (dedup_key, event_id)
      select distinct on (g.dedup_key) g.dedup_key, coalesce(g.id, outbox.uuid7())
      from unnest(p_ids, p_dedup_keys) with ordinality as g(id, dedup_key, n) where g.dedup_key is not null
      order by g.dedup_key, g.n
      on conflict (dedup_key) do nothing
      returning dedup_key
    )
    select array_agg(dedup_key) into v_new_keys from reserved;
  end if;

  return query
  with given as materialized (
    select (g.n)::integer as ordinal,
           coalesce(g.id, named.event_id, outbox.uuid7()) as id, g.type, g.payload::jsonb as payload, g.key,
           coalesce(g.headers::jsonb, '{}') as headers, g.deliver_at, g.source, g.subject,
           coalesce(g.content_type, 'application/json') as content_type, g.dedup_key,
           -- A key that was there before: its event is too, or was dropped with its day. It is not written again.
           g.dedup_key is not null and g.dedup_key not in (select unnest(v_new_keys)) as known
    from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types, p_dedup_keys)
         with ordinality as g(id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key, n)
    left join outbox.event_dedup_keys named on named.dedup_key = g.dedup_key
  ), written as (
    insert into outbox.events (id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key)
    select id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key
    from given where not known order by ordinal
    on conflict (id) do nothing
    returning id
  )
  select g.ordinal, g.id,
         g.id in (select w.id from written w) and row_number() over (partition by g.id order by g.ordinal) = 1
  from given g order by g.ordinal;

  -- The statement above does not see its own rows in this check's snapshot order, hence a second one.
  select coalesce(g.id, named.event_id) into v_conflict
  from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_sources, p_subjects, p_content_types, p_dedup_keys)
       as g(id, type, payload, key, headers, source, subject, content_type, dedup_key)
  left join outbox.event_dedup_keys named on named.dedup_key = g.dedup_key
  left join lateral (select * from outbox.events where id = coalesce(g.id, named.event_id) limit 1) e on true
  where named.event_id <> g.id
     or e.id is not null
        and (e.type, e.payload, e.headers, e.key, e.source, e.subject, e.content_type, e.dedup_key) is distinct from
            (g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
             coalesce(g.content_type, 'application/json'), g.dedup_key)
  limit 1;
  if v_conflict is not null then
    raise exception 'event % exists with other content', v_conflict
      using errcode = 'OB001', hint = 'An id or dedup key names one event; give the new content a new one.';
  end if;
end $$;

create function outbox.enqueue(
  type text, payload jsonb, key text default null, headers jsonb default '{}', deliver_at timestamptz default null,
  id uuid default null, source text default null, subject text default null,
  content_type text default 'application/json', dedup_key text default null
) returns uuid
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  select e.id from outbox.enqueue_all(array[$6], array[$1], array[$2::text], array[$3], array[$4::text], array[$5],
                                      array[$7], array[$8], array[$9], array[$10]) e
$$;
