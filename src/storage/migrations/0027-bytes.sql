-- Events of bytes: Avro, Protobuf, plain text, whatever is not JSON. Exactly one of payload and payload_bytes; bytes are sent as they are.
--
-- A payload of bytes is null to whatever looks into payloads: no filter of a route and no jsonpath of a template finds anything in it. `content_type`
-- defaults to application/json, which bytes cannot mean: who writes them says what they are.

-- Days on their way out keep the columns of events: what is unsettled of them is still copied to events_kept, and erased. A partition whose
-- detach was broken off is no longer reached through its parent and cannot be altered by itself: it is finished first.
do $$
declare
  v_day text;
begin
  for v_day in select c.relname from pg_class c join pg_inherits i on i.inhrelid = c.oid
               where i.inhparent = 'outbox.events'::regclass and i.inhdetachpending
  loop
    execute format('alter table outbox.events detach partition outbox.%I finalize', v_day);
  end loop;
  for v_day in select outbox.days_out_of_sight('events') loop
    execute format('alter table outbox.%I alter column payload drop not null, add column payload_bytes bytea', v_day);
  end loop;
end $$;

-- Not valid: every row of before has a payload and no bytes, and looking would hold producers up for as long as it takes to read them all.
alter table outbox.events
  alter column payload drop not null,
  add column payload_bytes bytea,
  add constraint events_have_one_payload check (num_nonnulls(payload, payload_bytes) = 1) not valid,
  add constraint events_payload_bytes_fit check (octet_length(payload_bytes) <= 1048576) not valid,
  add constraint events_bytes_say_what_they_are check (payload_bytes is null or lower(content_type) <> 'application/json') not valid;
alter table outbox.events_kept
  alter column payload drop not null,
  add column payload_bytes bytea,
  add constraint events_have_one_payload check (num_nonnulls(payload, payload_bytes) = 1) not valid,
  add constraint events_payload_bytes_fit check (octet_length(payload_bytes) <= 1048576) not valid,
  add constraint events_bytes_say_what_they_are check (payload_bytes is null or lower(content_type) <> 'application/json') not valid;
alter table outbox.prepared_messages
  add column payload_bytes bytea,
  drop constraint prepared_messages_settled_whole,
  add constraint prepared_messages_settled_whole check (
    (state in ('committed', 'rolled-back')) = (settled_at is not null)
    and (settled_at is null or num_nonnulls(payload, payload_bytes) = 0) and (settled_at is null) = (headers is not null)
    and (settled_at is not null or digest is null) and (settled_at is null or workflow_id is null)) not valid,
  add constraint events_have_one_payload check (settled_at is not null or num_nonnulls(payload, payload_bytes) = 1) not valid,
  add constraint events_payload_bytes_fit check (octet_length(payload_bytes) <= 1048576) not valid,
  add constraint events_bytes_say_what_they_are check (payload_bytes is null or lower(content_type) <> 'application/json') not valid;
alter table outbox.revisions
  alter column payload drop not null,
  add column payload_bytes bytea,
  add constraint revisions_have_one_payload check (num_nonnulls(payload, payload_bytes) = 1) not valid,
  add constraint revisions_payload_bytes_fit check (octet_length(payload_bytes) <= 1048576) not valid;

drop function outbox.event_digest(text, jsonb, jsonb, text, text, text, text);
create function outbox.event_digest(
  p_type text, p_payload jsonb, p_headers jsonb, p_key text, p_source text, p_subject text, p_content_type text,
  p_payload_bytes bytea default null
) returns bigint
language sql immutable parallel safe as $$
  select case when p_payload_bytes is null
              then hash_record_extended((p_type, p_payload, p_headers, p_key, p_source, p_subject, p_content_type), 0)
              else hash_record_extended((p_type, p_payload_bytes, p_headers, p_key, p_source, p_subject, p_content_type), 0) end
$$;

-- Writes events with an answer to repeats: the same id (or dedup key) with the same content changes nothing, with
-- other content it is an error. Content is all but deliver_at, which a repeat may well compute anew.
-- Arrays of one length, one entry an event; null id asks for a new one.
-- Payloads and headers come as text, so that no driver re-writes a number on the way. Of payloads and p_payload_bytes one an event.
drop function outbox.enqueue_all(uuid[], text[], text[], text[], text[], timestamptz[], text[], text[], text[], text[]);
create function outbox.enqueue_all(
  p_ids uuid[], p_types text[], p_payloads text[], p_keys text[], p_headers text[], p_deliver_at timestamptz[],
  p_sources text[], p_subjects text[], p_content_types text[], p_dedup_keys text[],
  p_payload_bytes bytea[] default null
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
      select g.n::integer as ordinal, outbox.uuid7() as id, g.type, g.payload::jsonb as payload, g.payload_bytes, g.key,
             coalesce(g.headers::jsonb, '{}') as headers,
             g.deliver_at, g.source, g.subject, coalesce(g.content_type, 'application/json') as content_type
      from unnest(p_types, p_payloads, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types, p_payload_bytes)
           with ordinality as g(type, payload, key, headers, deliver_at, source, subject, content_type, payload_bytes, n)
    ), written as (
      insert into outbox.events (id, type, payload, payload_bytes, key, headers, deliver_at, source, subject, content_type)
      select id, type, payload, payload_bytes, key, headers, deliver_at, source, subject, content_type from given order by ordinal
    )
    select ordinal, id, true from given order by ordinal;
    return;
  end if;

  -- Keys first, so that a transaction writing the same key at the same time is waited for, and its event then seen below.
  if exists (select from unnest(p_dedup_keys) k where k is not null) then
    with reserved as (
      insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
      select distinct on (g.dedup_key) g.dedup_key, coalesce(g.id, outbox.uuid7()),
             outbox.event_digest(g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
                                 coalesce(g.content_type, 'application/json'), g.payload_bytes)
      from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_sources, p_subjects, p_content_types, p_dedup_keys, p_payload_bytes)
           with ordinality as g(id, type, payload, key, headers, source, subject, content_type, dedup_key, payload_bytes, n)
      where g.dedup_key is not null
      order by g.dedup_key, g.n
      on conflict (dedup_key) do nothing
      returning dedup_key
    )
    select array_agg(dedup_key) into v_new_keys from reserved;
  end if;

  return query
  with given as materialized (
    select (g.n)::integer as ordinal,
           coalesce(g.id, named.event_id, outbox.uuid7()) as id, g.type, g.payload::jsonb as payload, g.payload_bytes, g.key,
           coalesce(g.headers::jsonb, '{}') as headers, g.deliver_at, g.source, g.subject,
           coalesce(g.content_type, 'application/json') as content_type, g.dedup_key,
           -- A key that was there before: its event is too, or was dropped with its day. It is not written again.
           g.dedup_key is not null and g.dedup_key not in (select unnest(v_new_keys)) as known
    from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types, p_dedup_keys, p_payload_bytes)
         with ordinality as g(id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key, payload_bytes, n)
    left join outbox.event_dedup_keys named on named.dedup_key = g.dedup_key
  ), written as (
    insert into outbox.events (id, type, payload, payload_bytes, key, headers, deliver_at, source, subject, content_type, dedup_key)
    select id, type, payload, payload_bytes, key, headers, deliver_at, source, subject, content_type, dedup_key
    from given where not known order by ordinal
    on conflict (id) do nothing
    returning id
  )
  select g.ordinal, g.id,
         g.id in (select w.id from written w) and row_number() over (partition by g.id order by g.ordinal) = 1
  from given g order by g.ordinal;

  -- The statement above does not see its own rows in this check's snapshot order, hence a second one. Where the event's day is gone,
  -- its digest speaks; a key of before digests were kept has none, and then nobody can say that this is a repeat: refused, not lost.
  select coalesce(g.id, named.event_id) into v_conflict
  from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_sources, p_subjects, p_content_types, p_dedup_keys, p_payload_bytes)
       as g(id, type, payload, key, headers, source, subject, content_type, dedup_key, payload_bytes)
  left join outbox.event_dedup_keys named on named.dedup_key = g.dedup_key
  left join lateral (
    select * from outbox.events where id = coalesce(g.id, named.event_id)
    union all select * from outbox.events_kept where id = coalesce(g.id, named.event_id) limit 1) e on true
  where named.event_id <> g.id
     or e.id is not null
        and (e.type, e.payload, e.payload_bytes, e.headers, e.key, e.source, e.subject, e.content_type, e.dedup_key) is distinct from
            (g.type, g.payload::jsonb, g.payload_bytes, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
             coalesce(g.content_type, 'application/json'), g.dedup_key)
     or e.id is null and named.event_id is not null
        and named.digest is distinct from
            outbox.event_digest(g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
                                coalesce(g.content_type, 'application/json'), g.payload_bytes)
  limit 1;
  if v_conflict is not null then
    raise exception 'event % exists with other content', v_conflict
      using errcode = 'OB001', hint = 'An id or dedup key names one event; give the new content a new one.';
  end if;
end $$;

drop function outbox.enqueue(text, jsonb, text, jsonb, timestamptz, uuid, text, text, text, text);
create function outbox.enqueue(
  type text, payload jsonb default null, key text default null, headers jsonb default '{}', deliver_at timestamptz default null,
  id uuid default null, source text default null, subject text default null,
  content_type text default 'application/json', dedup_key text default null,
  payload_bytes bytea default null
) returns uuid
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  select e.id from outbox.enqueue_all(array[$6], array[$1], array[$2::text], array[$3], array[$4::text], array[$5],
                                      array[$7], array[$8], array[$9], array[$10], array[$11]) e
$$;

-- enqueue_all with all its events in one text: a JSON array of objects with the columns of outbox.events, payload and headers as
-- texts in it, payload_bytes in base64. Ten arrays are more than some drivers can pass: one expands arrays into lists, another serialises those of times by rules of
-- its own. A payload that stood in the array as JSON would be safe too, but then its text could not be passed on untouched by JavaScript.
create or replace function outbox.enqueue_events(p_events text) returns table (ordinal integer, id uuid, inserted boolean)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  select a.ordinal, a.id, a.inserted
  from (select array_agg(e.id order by e.n) as ids, array_agg(e.type order by e.n) as types, array_agg(e.payload order by e.n) as payloads,
               array_agg(e.key order by e.n) as keys, array_agg(e.headers order by e.n) as headers,
               array_agg(e.deliver_at order by e.n) as deliver_at, array_agg(e.source order by e.n) as sources,
               array_agg(e.subject order by e.n) as subjects, array_agg(e.content_type order by e.n) as content_types,
               array_agg(e.dedup_key order by e.n) as dedup_keys,
               array_agg(decode(e.payload_bytes, 'base64') order by e.n) as payload_bytes
        from rows from (json_to_recordset(p_events::json) as (id uuid, type text, payload text, key text, headers text,
               deliver_at timestamptz, source text, subject text, content_type text, dedup_key text, payload_bytes text)) with ordinality
               as e(id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key, payload_bytes, n)) g,
       outbox.enqueue_all(g.ids, g.types, g.payloads, g.keys, g.headers, g.deliver_at, g.sources, g.subjects, g.content_types, g.dedup_keys,
                          g.payload_bytes) a
$$;

create or replace view outbox.outgoing_events as
  select id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key, payload_bytes from outbox.events where false;

create or replace function outbox.write_outgoing() returns trigger
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  new.id := coalesce(new.id, outbox.uuid7());
  new.headers := coalesce(new.headers, '{}');
  new.content_type := coalesce(new.content_type, 'application/json');
  insert into outbox.events (id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key, payload_bytes)
  values (new.id, new.type, new.key, new.payload, new.headers, new.deliver_at, new.source, new.subject, new.content_type, new.dedup_key,
          new.payload_bytes);
  return new;
end $$;

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

-- Routes at most p_limit missed events of ids above p_after, up to p_to, in order of id. `refused`: their dedup key names another event by
-- now, so they would have been refused when written; they are left as they are. `last`: where to go on; null when nothing is left.
create or replace function outbox.route_missed(p_after uuid, p_to uuid, p_limit integer, p_actor text, p_reason text,
  out events integer, out deliveries integer, out refused integer, out last uuid)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_ids     uuid[];
  v_refused uuid[];
begin
  perform pg_advisory_xact_lock(1869968482, 2000002); -- one at a time: two would both find the same
  select array_agg(m.id order by m.id), (array_agg(m.id order by m.id desc))[1] into v_ids, last
  from (select id from outbox.missed_events where id > p_after and id <= p_to order by id limit p_limit) m;
  events := 0;
  deliveries := 0;
  refused := 0;
  if v_ids is null then
    return;
  end if;
  insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
  select distinct on (e.dedup_key) e.dedup_key, e.id, outbox.event_digest(e.type, e.payload, e.headers, e.key, e.source, e.subject, e.content_type,
                                                                            e.payload_bytes)
  from outbox.events e where e.id = any (v_ids) and e.dedup_key is not null order by e.dedup_key, e.id
  on conflict (dedup_key) do nothing;
  v_refused := array(select e.id from outbox.events e join outbox.event_dedup_keys k on k.dedup_key = e.dedup_key
                     where e.id = any (v_ids) and k.event_id <> e.id);
  v_ids := array(select id from unnest(v_ids) id where id <> all (v_refused) order by id);
  deliveries := outbox.route_events(v_ids);
  events := cardinality(v_ids);
  refused := cardinality(v_refused);
  insert into outbox.audit (actor, via, action, events, outcome, message, reason)
  values (left(p_actor, 200), 'cli', 'route-missed', events, 'done',
          format('%s events that no trigger saw were routed: %s deliveries', events, deliveries), left(p_reason, 1000));
end $$;

-- By which a repeat is known once the content is gone. Equal content has equal digests; one in 2^64 of other content has too.
drop function outbox.message_digest(text, text, text, jsonb, jsonb, text, text, text);
create function outbox.message_digest(
  p_producer text, p_type text, p_key text, p_payload jsonb, p_headers jsonb, p_source text, p_subject text, p_content_type text,
  p_payload_bytes bytea default null
) returns bigint
language sql immutable parallel safe as $$
  select case when p_payload_bytes is null
              then hash_record_extended((p_producer, p_type, p_key, p_payload, p_headers, p_source, p_subject, p_content_type), 0)
              else hash_record_extended((p_producer, p_type, p_key, p_payload_bytes, p_headers, p_source, p_subject, p_content_type), 0) end
$$;

-- Prepares a message. The same id and content again changes nothing, whatever became of the message; with other content it is an error.
drop function outbox.prepare_message(text, text, jsonb, uuid, text, jsonb, timestamptz, text, text, text);
create function outbox.prepare_message(
  producer text, type text, payload jsonb default null, id uuid default null, key text default null, headers jsonb default '{}',
  deliver_at timestamptz default null, source text default null, subject text default null, content_type text default 'application/json',
  payload_bytes bytea default null
) returns table (message_id uuid, state text, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_id  uuid := coalesce(prepare_message.id, outbox.uuid7());
  v_row outbox.prepared_messages;
begin
  insert into outbox.prepared_messages (id, producer, type, payload, payload_bytes, key, headers, deliver_at, source, subject, content_type, next_check_at)
  select v_id, p.name, prepare_message.type, prepare_message.payload, prepare_message.payload_bytes, prepare_message.key, coalesce(prepare_message.headers, '{}'),
         prepare_message.deliver_at, prepare_message.source, prepare_message.subject,
         coalesce(prepare_message.content_type, 'application/json'), now() + p.grace
  from outbox.producers p where p.name = prepare_message.producer
  on conflict (id) do nothing;
  if found then
    -- The event gets this id, so its day must have a partition; and a repeat that comes a week late must not begin anew.
    if outbox.uuid7_time(v_id) not between now() - interval '1 day' and now() + interval '1 day' then
      raise exception 'id: % was not made within the last day', v_id using errcode = 'OB003',
        hint = 'Make a UUIDv7 for each message when it is prepared, on a machine whose clock is right.';
    end if;
    return query values (v_id, 'prepared', true);
    return;
  end if;

  select * into v_row from outbox.prepared_messages m where m.id = v_id;
  if not found then
    raise exception 'there is no producer %', quote_literal(coalesce(prepare_message.producer, ''))
      using errcode = 'OB042', hint = 'Name it under producers: in outbox.yaml, with its check-back, and apply the file.';
  end if;
  if v_row.settled_at is null then
    v_row.digest := outbox.message_digest(v_row.producer, v_row.type, v_row.key, v_row.payload, v_row.headers, v_row.source, v_row.subject,
                                          v_row.content_type, v_row.payload_bytes);
  end if;
  -- Of an erased one nothing is left to compare with: null.
  if v_row.digest <> outbox.message_digest(prepare_message.producer, prepare_message.type, prepare_message.key, prepare_message.payload,
                                           coalesce(prepare_message.headers, '{}'), prepare_message.source, prepare_message.subject,
                                           coalesce(prepare_message.content_type, 'application/json'), prepare_message.payload_bytes) then
    raise exception 'half message % exists with other content', v_id
      using errcode = 'OB001', hint = 'An id names one message for ever; give the new content a new one.';
  end if;
  return query values (v_id, v_row.state, false);
end $$;

-- The same for several, arrays of one length with an entry for each; all or none. A row costs an eighth of what it costs alone. Nobody
-- waits long for another's lock: who is refused, with lock_not_available or otherwise, sends each message by itself.
drop function outbox.prepare_messages(text[], text[], text[], uuid[], text[], text[], timestamptz[], text[], text[], text[]);
create function outbox.prepare_messages(
  p_producers text[], p_types text[], p_payloads text[], p_ids uuid[], p_keys text[], p_headers text[], p_deliver_at timestamptz[],
  p_sources text[], p_subjects text[], p_content_types text[], p_payload_bytes bytea[] default null
) returns table (message_id uuid, state text, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp set lock_timeout = '100ms' as $$
#variable_conflict use_column
declare
  v_new uuid[];
begin
  with written as (
    insert into outbox.prepared_messages (id, producer, type, payload, payload_bytes, key, headers, deliver_at, source, subject, content_type, next_check_at)
    select g.id, p.name, g.type, g.payload::jsonb, g.payload_bytes, g.key, coalesce(g.headers::jsonb, '{}'), g.deliver_at, g.source, g.subject,
           coalesce(g.content_type, 'application/json'), now() + p.grace
    from unnest(p_producers, p_types, p_payloads, p_ids, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types, p_payload_bytes)
         as g(producer, type, payload, id, key, headers, deliver_at, source, subject, content_type, payload_bytes)
    join outbox.producers p on p.name = g.producer
    where outbox.uuid7_time(g.id) between now() - interval '1 day' and now() + interval '1 day'
    order by g.id
    on conflict (id) do nothing
    returning id
  )
  select array_agg(id) into v_new from written;
  if cardinality(v_new) = cardinality(p_ids) then
    return query select g.id, 'prepared', true from unnest(p_ids) with ordinality as g(id, n) order by g.n;
    return;
  end if;
  -- Repeats, and what is refused for a reason that the single call gives.
  return query
  select r.message_id, r.state, r.inserted or row_number() over (partition by g.id order by g.n) = 1 and g.id = any (coalesce(v_new, '{}'))
  from unnest(p_producers, p_types, p_payloads, p_ids, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types, p_payload_bytes)
       with ordinality as g(producer, type, payload, id, key, headers, deliver_at, source, subject, content_type, payload_bytes, n)
  cross join lateral outbox.prepare_message(g.producer, g.type, g.payload::jsonb, g.id, g.key, g.headers::jsonb, g.deliver_at,
                                            g.source, g.subject, g.content_type, g.payload_bytes) r
  order by g.n;
end $$;

-- Ends those of these messages that are open, and answers them. Committed ones become events, in one statement, so that the keys of
-- ordered destinations are locked in order.
--
-- A message older than a day becomes an event with a new id: the day of its own may have been dropped by now. Which one stands in
-- event_id.
--
-- One plan for all calls: left to itself the planner plans each call anew, which costs more than the rest. Such a plan must not depend on
-- statistics, which may be those of an empty table: with the other ways barred it can only use the primary key. All as one statement,
-- with CTEs, took a tenth more.
create or replace function outbox.settle_messages(p_ids uuid[], p_state text, p_by text) returns table (id uuid, event_id uuid)
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  v_ids       uuid[];
  v_events    uuid[];
  v_workflows text[];
begin
  select array_agg(t.id), array_agg(t.workflow_id) filter (where t.workflow_id is not null) into v_ids, v_workflows
  from (select m.id, m.workflow_id from outbox.prepared_messages m
        where m.id = any (p_ids) and m.state in ('prepared', 'parked') order by m.id for update) t;
  if v_ids is null then
    return;
  end if;
  if p_state = 'committed' then
    v_events := array(select case when outbox.uuid7_time(u.id) > now() - interval '1 day' then u.id else outbox.uuid7() end
                      from unnest(v_ids) with ordinality u(id, n) order by u.n);
    insert into outbox.events (id, type, key, payload, payload_bytes, headers, deliver_at, source, subject, content_type)
    select u.event_id, m.type, m.key, m.payload, m.payload_bytes, m.headers, m.deliver_at, m.source, m.subject, m.content_type
    from unnest(v_ids, v_events) u(id, event_id) join outbox.prepared_messages m on m.id = u.id;
  end if;
  if v_workflows is not null then
    update outbox.message_batches set nudged_at = now() where workflow_id = any (v_workflows);
  end if;
  return query
  update outbox.prepared_messages m
  set state = p_state, event_id = u.event_id, settled_at = now(), settled_by = p_by,
      digest = outbox.message_digest(m.producer, m.type, m.key, m.payload, m.headers, m.source, m.subject, m.content_type,
                                     m.payload_bytes),
      payload = null, payload_bytes = null, headers = null, key = null, source = null, subject = null, next_check_at = null, workflow_id = null
  from unnest(v_ids, v_events) u(id, event_id) where m.id = u.id
  returning m.id, m.event_id;
end $$;

-- What of the batch is sent for these rows: as load_rows answers it, of p_seqs (in order) those whose payloads fit p_bytes, one at least.
-- p_ids: their events in order. The ids are gathered first, so that partitions are pruned once a call (by the range: a parameter's array
-- prunes nothing) and each index is walked once: 18 µs of CPU a row became 7. The planner knows neither array's length, and would join by
-- nested loops or sort the whole batch for every hundred rows; hence the two settings. plpgsql and not SQL because it keeps its plan: planning
-- over 40 partitions took 1.4 of 2.6 ms a call. Volatile, to see the rows that a claim in the same statement made.
drop function outbox.load_these(uuid, bigint[], uuid[], bigint);
create function outbox.load_these(p_batch uuid, p_seqs bigint[], p_ids uuid[], p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text,
  payload_bytes bytea
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp
set plan_cache_mode = force_generic_plan set enable_bitmapscan = off set enable_nestloop = off as $$
#variable_conflict use_column
begin
  return query
  select t.seq, t.event_id, t.destination, t.revision, t.tries, t.attempts, t.unreachable, t.since_first_ms,
         t.order_key, t.type, t.key, t.source, t.subject, t.content_type, t.created_ms, t.payload, t.headers, t.payload_bytes
  from (
    select w.*, sum(coalesce(octet_length(w.payload), octet_length(w.payload_bytes))) over (order by w.seq)
                - coalesce(octet_length(w.payload), octet_length(w.payload_bytes)) as bytes_before
    from (
      select d.seq, d.event_id, d.destination, d.revision, d.tries, d.attempts, d.unreachable, d.key as order_key,
             case when d.first_attempt_at is not null
                  then extract(epoch from outbox.clock_of(d.destination) - d.first_attempt_at)::double precision * 1000 end as since_first_ms,
             coalesce(e.type, k.type) as type, coalesce(e.key, k.key) as key, coalesce(e.source, k.source) as source,
             coalesce(e.subject, k.subject) as subject, coalesce(e.content_type, k.content_type) as content_type,
             extract(epoch from coalesce(e.created_at, k.created_at))::double precision * 1000 as created_ms,
             case when d.revision = 1 then coalesce(e.payload, k.payload)
                  else (select r.payload from outbox.revisions r
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end::text as payload,
             case when d.revision = 1 then coalesce(e.headers, k.headers)
                  else (select r.headers from outbox.revisions r
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end::text as headers,
             case when d.revision = 1 then coalesce(e.payload_bytes, k.payload_bytes)
                  else (select r.payload_bytes from outbox.revisions r
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end as payload_bytes
      from outbox.deliveries d
      left join outbox.events e on e.id = d.event_id and e.id = any (p_ids) and e.id between p_ids[1] and p_ids[cardinality(p_ids)] and e.erased_at is null
      left join outbox.events_kept k on k.id = d.event_id and k.id = any (p_ids) and k.erased_at is null
      where d.batch_id = p_batch and d.seq = any (p_seqs)
      offset 0 -- Else the payload is turned into text three times.
    ) w
  ) t
  where coalesce(t.bytes_before, 0) < p_bytes
  order by t.seq;
end $$;

-- The next rows to send, in order, with what is sent: at most p_limit rows and about p_bytes of payload.
drop function outbox.load_rows(uuid, bigint, integer, bigint);
create function outbox.load_rows(p_batch uuid, p_after bigint, p_limit integer, p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text,
  payload_bytes bytea
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp
set plan_cache_mode = force_generic_plan set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  v_seqs bigint[];
  v_ids  uuid[];
begin
  select array_agg(d.seq), array_agg(d.event_id order by d.event_id) into v_seqs, v_ids
  from (select seq, event_id from outbox.deliveries
        where batch_id = p_batch and seq > p_after and (state = 'claimed' or state = 'retry' and due_at <= now())
        order by seq limit p_limit) d;
  return query select * from outbox.load_these(p_batch, v_seqs, v_ids, p_bytes);
end $$;

-- Of rows that were claimed into a batch, those that it still has to send.
drop function outbox.load_claimed(uuid, bigint[], integer, bigint);
create function outbox.load_claimed(p_batch uuid, p_seqs bigint[], p_limit integer, p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text,
  payload_bytes bytea
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp
set plan_cache_mode = force_generic_plan set enable_bitmapscan = off set enable_nestloop = off as $$
#variable_conflict use_column
declare
  v_seqs bigint[];
  v_ids  uuid[];
begin
  select array_agg(d.seq), array_agg(d.event_id order by d.event_id) into v_seqs, v_ids
  from (select seq, event_id from outbox.deliveries
        where batch_id = p_batch and seq = any (p_seqs) and state = 'claimed' order by seq limit p_limit) d;
  if v_seqs is not null then
    return query select * from outbox.load_these(p_batch, v_seqs, v_ids, p_bytes);
  end if;
end $$;

-- Stores an edited text, or edited bytes, under the next revision, to be named by an `edit` command; the payload then never enters a history.
drop function outbox.prepare_revision(uuid, text, text, text, text, text);
create function outbox.prepare_revision(p_event uuid, p_destination text, p_payload text, p_headers text, p_actor text, p_reason text,
  p_payload_bytes bytea default null)
returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_now      record;
  v_revision integer;
begin
  -- Two edits at once get two revisions: the delivery is locked first, and looked at by a second statement, which sees what the
  -- one before it wrote.
  perform from outbox.deliveries d where d.event_id = p_event and d.destination = p_destination for update;
  select greatest(d.revision, coalesce((select max(r.revision) from outbox.revisions r
                                        where r.event_id = p_event and r.destination = p_destination), 1)) + 1
  into v_revision
  from outbox.deliveries d where d.event_id = p_event and d.destination = p_destination;
  if v_revision is null then
    return null;
  end if;
  select * into v_now from outbox.sent_now(p_event, p_destination);
  if not found then
    return null; -- the event is gone from the database
  end if;
  -- Its content type stays, and so what its payload can be.
  if p_payload is not null and p_payload_bytes is not null then
    raise exception 'send a new payload as JSON or as bytes, not both';
  elsif p_payload is not null and v_now.payload is null then
    raise exception 'its payload is bytes (%): edit it as bytes, in base64 or from a file', v_now.content_type;
  elsif p_payload_bytes is not null and lower(v_now.content_type) = 'application/json' then
    raise exception 'its payload is JSON (%): edit it as JSON', v_now.content_type;
  end if;
  insert into outbox.revisions (event_id, destination, revision, payload, payload_bytes, headers, made_by, reason)
  values (p_event, p_destination, v_revision,
          case when p_payload_bytes is null then coalesce(p_payload::jsonb, v_now.payload) end, coalesce(p_payload_bytes, v_now.payload_bytes),
          coalesce(p_headers::jsonb, v_now.headers), p_actor, p_reason);
  return v_revision;
end $$;

-- The payload and headers that the next attempt would send.
drop function outbox.sent_now(uuid, text);
create function outbox.sent_now(p_event uuid, p_destination text)
returns table (payload jsonb, headers jsonb, payload_bytes bytea, content_type text)
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select case when r.event_id is null then e.payload else r.payload end, coalesce(r.headers, e.headers),
         case when r.event_id is null then e.payload_bytes else r.payload_bytes end, e.content_type
  from (select payload, payload_bytes, headers, content_type from outbox.events where id = p_event
        union all select payload, payload_bytes, headers, content_type from outbox.events_kept where id = p_event limit 1) e
  left join outbox.deliveries d on d.event_id = p_event and d.destination = p_destination
  left join outbox.revisions r on r.event_id = p_event and r.destination = p_destination and r.revision = d.revision
$$;

-- Why a command cannot be carried out, or null. p_targets: the parked events it would act on.
create or replace function outbox.why_refused(p_workflow text, p_command jsonb, p_targets uuid[]) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_action  text := p_command ->> 'action';
  v_named   integer := case when jsonb_typeof(p_command -> 'events') = 'array' then jsonb_array_length(p_command -> 'events') end;
  v_unknown text;
begin
  if p_command ? 'malformed' then
    return p_command ->> 'malformed';
  end if;
  if v_action not in ('retry', 'edit', 'redirect', 'discard') then
    return format('unknown action %L; send retry, edit, redirect or discard', v_action);
  end if;
  if v_named is not null then
    if v_named = 0 or v_named > 1000 then
      return format('event names %s ids; name 1 to 1000', v_named);
    end if;
    select string_agg(id, ', ') into v_unknown
    from (select id from jsonb_array_elements_text(p_command -> 'events') id
          where not id = any (coalesce(p_targets, '{}')::text[]) limit 3) u;
    if v_unknown is not null then
      return format('not parked in this workflow: %s; nothing was changed', v_unknown);
    end if;
  end if;
  if p_targets is null then
    return 'nothing is parked here: ' || coalesce((
      select string_agg(format('%s %s', n, case state when 'retry' then 'retrying' else state end), ', ')
      from (select d.state, count(*) as n from outbox.batches b join outbox.deliveries d on d.batch_id = b.id
            where b.workflow_id = p_workflow group by d.state) s), 'all of it is settled');
  end if;
  if cardinality(p_targets) > 1 and v_named is null and v_action <> 'retry' and p_command -> 'all' is distinct from 'true' then
    return format('%s deliveries are parked here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}', cardinality(p_targets));
  end if;
  if v_action = 'discard' and cardinality(p_targets) > 1 and coalesce(trim(p_command ->> 'reason'), '') = '' then
    return 'to discard more than one, say why: {"reason": "…"}';
  end if;
  if v_action = 'redirect' and coalesce(p_command ->> 'to', '') = '' then
    return 'say where to: {"to": "<destination>"}';
  end if;
  if v_action = 'edit' and p_command -> 'revision' is not null and cardinality(p_targets) > 1 then
    return 'a prepared revision belongs to one delivery; name it: {"event": "<id>"}';
  end if;
  if v_action = 'edit' and p_command -> 'revision' is not null
     and (p_command -> 'payload' is not null or p_command -> 'payloadBase64' is not null or p_command -> 'headers' is not null) then
    return 'send either a prepared revision or the new payload and headers, not both';
  end if;
  if v_action = 'edit' and p_command -> 'payload' is null and p_command -> 'payloadBase64' is null and p_command -> 'headers' is null
     and p_command -> 'revision' is null then
    return 'say what to change: {"payload": …} (or "payloadBase64", of bytes) and/or {"headers": {…}}';
  end if;
  return null;
end $$;

create or replace function outbox.apply_edit(p_workflow text, p_events uuid[], p_command jsonb) returns text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_row      outbox.deliveries;
  v_revision integer;
begin
  for v_row in
    select d.* from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
    where b.workflow_id = p_workflow and d.event_id = any (p_events) and d.state = 'parked' order by d.seq
  loop
    if p_command -> 'revision' is not null then
      select revision into v_revision from outbox.revisions
      where event_id = v_row.event_id and destination = v_row.destination
        and revision::text = p_command ->> 'revision' and revision > v_row.revision;
      if not found then
        raise exception 'revision % of this delivery does not exist or was applied before', p_command ->> 'revision';
      end if;
    else
      v_revision := outbox.prepare_revision(v_row.event_id, v_row.destination, (p_command -> 'payload')::text,
                                            (p_command -> 'headers')::text, p_command ->> 'actor', p_command ->> 'reason',
                                            decode(p_command ->> 'payloadBase64', 'base64'));
      if v_revision is null then
        raise exception 'event % is no longer in the database', v_row.event_id;
      end if;
    end if;
    update outbox.deliveries set state = 'retry', due_at = now(), attempts = 0, unreachable = 0, first_attempt_at = null, revision = v_revision
    where event_id = v_row.event_id and destination = v_row.destination;
  end loop;
  perform outbox.take_turns(p_workflow, p_events);
  return format('%s edited and sent under a new key',
    case when cardinality(p_events) = 1 then 'event ' || p_events[1] || ' revision ' || v_revision else cardinality(p_events) || ' events' end);
end $$;

create or replace function outbox.apply_redirect(p_workflow text, p_events uuid[], p_to text) returns text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_row outbox.deliveries;
  v_keyed boolean := (select ordering = 'key' from outbox.destinations where name = p_to);
begin
  if not exists (select from outbox.destinations where name = p_to) then
    raise exception 'there is no destination %; there are: %', quote_literal(p_to),
      (select string_agg(name, ', ' order by name) from outbox.destinations);
  end if;
  if v_keyed then
    perform outbox.lock_keys(array(select outbox.key_of(id) from unnest(p_events) id)); -- they go to the tail there
  end if;
  for v_row in
    select d.* from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
    where b.workflow_id = p_workflow and d.event_id = any (p_events) and d.state = 'parked' order by d.seq
  loop
    -- The other destination would get the same event under the same key twice; one that it was taken from (redirected,
    -- discarded) has its park episodes and revisions there.
    if v_row.destination = p_to
       or exists (select from outbox.deliveries where event_id = v_row.event_id and destination = p_to)
       or exists (select from outbox.delivered where event_id = v_row.event_id and destination = p_to)
       or exists (select from outbox.dead_letters where event_id = v_row.event_id and destination = p_to) then
      raise exception 'event % has, or had, a delivery to % already', v_row.event_id, p_to;
    end if;
    insert into outbox.revisions (event_id, destination, revision, payload, payload_bytes, headers, made_by, reason)
    select event_id, p_to, revision, payload, payload_bytes, headers, made_by, 'redirected from ' || destination from outbox.revisions
    where event_id = v_row.event_id and destination = v_row.destination and revision = v_row.revision
    on conflict do nothing;
    delete from outbox.deliveries where event_id = v_row.event_id and destination = v_row.destination;
    if v_row.key is not null then
      perform outbox.release_keys(v_row.destination, array[v_row.key]);
    end if;
    insert into outbox.deliveries (event_id, destination, seq, state, revision, key)
    values (v_row.event_id, p_to, nextval('outbox.delivery_seq'), 'pending', v_row.revision,
            case when v_keyed then outbox.key_of(v_row.event_id) end);
  end loop;
  return format('%s redirected to %s',
    case when cardinality(p_events) = 1 then 'event ' || p_events[1] else cardinality(p_events) || ' events' end, p_to);
end $$;

-- Erasing. An event's text stands in events (or events_kept, or a day on its way out) and revisions; what receivers said of it in
-- attempts and dead_letters. All of it goes in one transaction, its unsettled deliveries with it: an event without its text is
-- sent nowhere. The audit, ids, types, times and statuses stay. So with half messages: one still open is rolled back, by `erase`, and its
-- producer's late commit is refused.
create or replace function outbox.erase(p_events uuid[], p_actor text, p_via text, p_reason text) returns jsonb
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
        update outbox.%I set payload = ''null'', payload_bytes = null, headers = ''{}'', key = null, subject = null, dedup_key = null, erased_at = now()
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
