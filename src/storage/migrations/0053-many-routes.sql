-- A sender of webhooks has a route for each of thousands of destinations, and each of them was compared with each new event, in the producer's own
-- transaction: 0.2 ms an event for a thousand routes. A pattern without a star is one type, and is looked up.
alter table outbox.routes add column exact boolean not null generated always as (strpos(pattern, '*') = 0) stored;
create index routes_of_type on outbox.routes (pattern) where exact;
create index routes_of_patterns on outbox.routes (id) where not exact;
-- Whether any destination keeps order was asked of all of them, at each insert.
create index destinations_in_order on outbox.destinations (name) where ordering = 'key';

-- As before (0047, 0017 and 0030), but for where routes are looked for.
create or replace function outbox.route_new_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_taken text;
  v_keyed boolean;
begin
  -- It acts with its owner's rights: on a table of somebody else's, a column's type would bring casts and operators of theirs into
  -- the statements below. Nobody may execute it, so nobody can attach it; this holds where somebody granted that by hand.
  if tg_table_schema <> 'outbox' or tg_table_name <> 'events' then
    raise exception 'outbox.route_new_events belongs to outbox.events alone' using errcode = 'insufficient_privilege';
  end if;
  if exists (select from new_events where dedup_key is not null) then
    -- In order, so that two statements with the same keys wait for each other one way round. outbox.enqueue has been here before.
    insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
    select dedup_key, id, outbox.event_digest(type, payload, headers, key, source, subject, content_type, payload_bytes)
    from new_events where dedup_key is not null order by dedup_key
    on conflict (dedup_key) do nothing;
    select n.dedup_key into v_taken
    from new_events n join outbox.event_dedup_keys k on k.dedup_key = n.dedup_key where k.event_id <> n.id limit 1;
    if found then
      raise exception 'dedup key % names another event', quote_literal(v_taken)
        using errcode = 'unique_violation', constraint = 'event_dedup_keys_are_unique', schema = 'outbox', table = 'event_dedup_keys',
              hint = 'It names one event. outbox.enqueue(…) answers a repeat with the event it names.';
    end if;
  end if;

  -- What a producer prepared was looked at then.
  if exists (select from outbox.payload_schemas) and coalesce(current_setting('outbox.settling', true), '') <> 'on' then
    perform outbox.refuse_payload(s.type, s.schema, n.payload)
    from new_events n join outbox.payload_schemas s on s.type = n.type where n.content_type <> outbox.encrypted_type();
  end if;

  -- Producers of one key take turns until commit, so that seq follows commit order per key. Locked in sorted order
  -- (no deadlock within a statement), in 1024 slots (a million keys do not fill the lock table), and before seq is given:
  -- an identity column would have been evaluated earlier.
  v_keyed := exists (select from outbox.destinations where ordering = 'key');
  if v_keyed then
    perform outbox.lock_keys(array(select key from new_events where key is not null));
  end if;

  -- A filter finds nothing in a payload of bytes, which is null here: no route with one takes it.
  -- One pass over the new rows, each looking its routes up: joining two CTEs here was a nested loop over estimates, and made
  -- 100,000 rows in one statement take four minutes in place of seconds.
  with routed as materialized (
    select n.ordinal, n.id, n.type, n.key, n.deliver_at, r.destination
    from (select row_number() over () as ordinal, id, type, key, payload, deliver_at from new_events) n
    left join lateral (
      select distinct r.destination
      from (select * from outbox.routes where exact and pattern = n.type
            union all select * from outbox.routes where not exact and n.type like type_like) r
      where case case when r.filter_may_fail then 'guarded' else r.filter_mode end
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

create or replace function outbox.route_events(p_ids uuid[]) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_keyed boolean := exists (select from outbox.destinations where ordering = 'key');
  v_count integer;
begin
  if v_keyed then
    perform outbox.lock_keys(array(select key from outbox.events where id = any (p_ids) and key is not null));
  end if;
  with routed as materialized (
    select n.id, n.type, n.key, n.deliver_at, r.destination
    from outbox.events n
    left join lateral (
      select distinct r.destination
      from (select * from outbox.routes where exact and pattern = n.type
            union all select * from outbox.routes where not exact and n.type like type_like) r
      where case case when r.filter_may_fail then 'guarded' else r.filter_mode end
                               when 'guarded' then outbox.filter_holds(n.payload, r.filter, r.filter_mode)
                               when 'predicate' then n.payload @@ r.filter
                               when 'items' then n.payload @? r.filter
                               else true end) r on true
    where n.id = any (p_ids) and n.erased_at is null
  ), unmatched as (
    insert into outbox.unrouted (event_id, type) select id, type from routed where destination is null on conflict do nothing
  )
  insert into outbox.deliveries (event_id, destination, seq, state, due_at, key)
  select o.id, o.destination, nextval('outbox.delivery_seq'),
         case when o.deliver_at > now() then 'scheduled' else 'pending' end,
         case when o.deliver_at > now() then o.deliver_at end,
         case when v_keyed and o.ordering = 'key' then o.key end
  from (select r.*, d.ordering from routed r join outbox.destinations d on d.name = r.destination
        order by r.id, r.destination) o
  on conflict (event_id, destination) do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

create or replace function outbox.routes_of(p_type text, p_payload jsonb) returns setof text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select distinct r.destination
  from (select * from outbox.routes where exact and pattern = p_type
        union all select * from outbox.routes where not exact and p_type like type_like) r
  where case case when r.filter_may_fail then 'guarded' else r.filter_mode end
             when 'guarded' then outbox.filter_holds(p_payload, r.filter, r.filter_mode)
             when 'predicate' then p_payload @@ r.filter
             when 'items' then p_payload @? r.filter
             else true end
$$;

-- Plans made while there were few routes read all of them.
alter function outbox.route_new_events() set enable_seqscan = off;
alter function outbox.route_new_events() set jit = off;
