-- From event to deliveries, in the producer's own statement.
--
-- SECURITY DEFINER so that a role which may only insert into outbox.events needs no right on anything else.
-- Transition tables cover every way of writing rows: VALUES, SELECT, COPY, CTEs, MERGE, ON CONFLICT.
create function outbox.route_new_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  if exists (select from new_events where dedup_key is not null) then
    insert into outbox.event_dedup_keys (dedup_key, event_id)
    select dedup_key, id from new_events where dedup_key is not null;
  end if;

  -- Producers of one key take turns until commit, so that seq follows commit order per key. Locked in sorted order
  -- (no deadlock within a statement), in 1024 slots (a million keys do not fill the lock table), and before seq is given:
  -- an identity column would have been evaluated earlier.
  if exists (select from outbox.destinations where ordering = 'key') then
    perform pg_advisory_xact_lock(1869968482, slot)
    from (select distinct hashtext(key) & 1023 as slot from new_events where key is not null order by 1) slots;
  end if;

  -- One pass over the new rows, each looking its routes up: joining two CTEs here was a nested loop over estimates, and made
  -- 100,000 rows in one statement take four minutes in place of seconds.
  with routed as materialized (
    select n.ordinal, n.id, n.type, n.key, n.deliver_at, r.destination
    from (select row_number() over () as ordinal, id, type, key, payload, deliver_at from new_events) n
    left join lateral (
      select distinct r.destination from outbox.routes r
      where n.type like r.type_like
        and case r.filter_mode when 'predicate' then n.payload @@ r.filter
                               when 'items' then n.payload @? r.filter
                               else true end) r on true
  ), unmatched as (
    insert into outbox.unrouted (event_id, type) select id, type from routed where destination is null
  )
  insert into outbox.deliveries (event_id, destination, seq, state, due_at, key)
  select o.id, o.destination, nextval('outbox.delivery_seq'),
         case when o.deliver_at > now() then 'scheduled' else 'pending' end,
         case when o.deliver_at > now() then o.deliver_at end,
         case when o.ordering = 'key' then o.key end
  from (select r.*, d.ordering from routed r join outbox.destinations d on d.name = r.destination
        order by r.ordinal, r.destination) o;
  return null;
end $$;

create trigger route_new_events after insert on outbox.events
  referencing new table as new_events
  for each statement execute function outbox.route_new_events();

-- Writes events with an answer to repeats: the same id (or dedup key) with the same content changes nothing, with
-- other content it is an error. Arrays of one length, one entry an event; null id asks for a new one.
-- Payloads and headers come as text, so that no driver re-writes a number on the way.
create function outbox.enqueue_all(
  p_ids uuid[], p_types text[], p_payloads text[], p_keys text[], p_headers text[], p_deliver_at timestamptz[],
  p_sources text[], p_subjects text[], p_content_types text[], p_dedup_keys text[]
) returns table (ordinal integer, id uuid, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_conflict uuid;
begin
  return query
  with given as materialized (
    select (g.n)::integer as ordinal,
           coalesce(g.id, known.event_id, outbox.uuid7()) as id, g.type, g.payload::jsonb as payload, g.key,
           coalesce(g.headers::jsonb, '{}') as headers, g.deliver_at, g.source, g.subject,
           coalesce(g.content_type, 'application/json') as content_type, g.dedup_key
    from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types, p_dedup_keys)
         with ordinality as g(id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key, n)
    left join outbox.event_dedup_keys known on known.dedup_key = g.dedup_key
  ), written as (
    insert into outbox.events (id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key)
    select id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key from given order by ordinal
    on conflict (id) do nothing
    returning id
  )
  select g.ordinal, g.id, g.id in (select w.id from written w) from given g order by g.ordinal;

  -- The statement above does not see its own rows in this check's snapshot order, hence a second one.
  select e.id into v_conflict
  from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_dedup_keys) as g(id, type, payload, key, headers, dedup_key)
  left join outbox.event_dedup_keys known on known.dedup_key = g.dedup_key
  join outbox.events e on e.id = coalesce(g.id, known.event_id)
  where (e.type, e.payload, e.headers) is distinct from (g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'))
     or e.key is distinct from g.key or e.dedup_key is distinct from g.dedup_key
  limit 1;
  if v_conflict is not null then
    raise exception 'event % exists with other content', v_conflict
      using errcode = 'OB001', hint = 'An id or dedup key names one event for ever; give the new content a new one.';
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
