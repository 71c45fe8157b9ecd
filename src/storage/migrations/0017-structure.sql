-- What must hold however a database is set up: it may be published whole, cut over by logical replication, written to with triggers off.

-- A publication FOR ALL TABLES refuses updates and deletes of tables without an identity. These have no key: partitions take
-- no part of the parent's, so each has its own; days made later get it in outbox.make_partition.
do $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid::regclass from pg_class c
    where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p') and c.relreplident <> 'f'
      and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
  loop
    execute format('alter table %s replica identity full', v_table);
  end loop;
end $$;

create or replace function outbox.make_partition(p_parent text, p_name text, p_from text, p_to text) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  if to_regclass(format('outbox.%I', p_name)) is not null then
    return false;
  end if;
  execute format('create table outbox.%I (like outbox.%I including all)', p_name, p_parent);
  -- Without a key nothing else tells a row apart, and a publication of all tables would refuse its updates.
  if not exists (select from pg_index where indrelid = format('outbox.%I', p_name)::regclass and indisprimary) then
    execute format('alter table outbox.%I replica identity full', p_name);
  end if;
  execute format('alter table outbox.%I attach partition outbox.%I for values from (%L) to (%L)', p_parent, p_name, p_from, p_to);
  return true;
end $$;

-- Whole days from now that every partitioned table has room for, without a gap; -1: none for today.
create or replace function outbox.days_ahead() returns integer
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce(min(day), 366) - 1
  from generate_series(0, 365) day cross join unnest(array['events', 'delivered', 'attempts']) parent
  where not exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid
                    where i.inhparent = format('outbox.%I', parent)::regclass
                      and c.relname = parent || '_' || to_char((now() at time zone 'UTC')::date + day, 'YYYYMMDD'))
$$;

-- Sequences are no rows: a logical cut-over leaves them at 1 beside tables that hold millions. What was handed out as
-- outbox-sequence is in no table once it is delivered, so its height is noted here (at start, and every hour).
alter table outbox.settings add column delivery_seq_reached bigint not null default 0;

-- Sequences below what their tables hold. `last`: what it gave last; `largest`: what is there, or was noted.
create function outbox.sequences_behind() returns table (sequence text, last bigint, largest bigint)
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v record;
begin
  for v in
    select s.relname as seq, t.relname as tab, a.attname as col
    from pg_depend d
    join pg_class s on s.oid = d.objid and s.relkind = 'S' and s.relnamespace = 'outbox'::regnamespace
    join pg_class t on t.oid = d.refobjid
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    union all select 'delivery_seq', 'deliveries', 'seq'
    order by 1
  loop
    execute format('select case when is_called then last_value else last_value - 1 end from outbox.%I', v.seq) into last;
    execute format('select coalesce(max(%I), 0) from outbox.%I', v.col, v.tab) into largest;
    if v.seq = 'delivery_seq' then
      largest := greatest(largest, (select delivery_seq_reached from outbox.settings));
    end if;
    if largest > last then
      sequence := v.seq;
      return next;
    end if;
  end loop;
end $$;

-- Sets sequences above what their tables hold, and notes how far delivery_seq is. Deliveries that the low sequence numbered
-- meanwhile go to the tail, in their order: they are younger than what is numbered higher. Answers what was behind.
create function outbox.heal_sequences() returns table (sequence text, last bigint, largest bigint)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v record;
begin
  perform pg_advisory_xact_lock(1869968482, 2000001); -- processes that start together: one of them
  for v in select b.sequence, b.last, b.largest from outbox.sequences_behind() b loop
    if v.sequence = 'delivery_seq' then
      -- A leap, as what was given out since the note is known to nobody.
      perform setval('outbox.delivery_seq', v.largest + 1000000000);
      perform outbox.lock_keys(array(select distinct d.key from outbox.deliveries d
                                     where d.seq <= v.last and d.key is not null and d.state in ('pending', 'scheduled', 'blocked')));
      update outbox.deliveries d set seq = o.seq
      from (select q.event_id, q.destination, nextval('outbox.delivery_seq') as seq
            from (select event_id, destination from outbox.deliveries
                  where seq <= v.last and state in ('pending', 'scheduled', 'blocked') order by seq) q) o
      where d.event_id = o.event_id and d.destination = o.destination and d.state in ('pending', 'scheduled', 'blocked');
    else
      perform setval(format('outbox.%I', v.sequence)::regclass, v.largest);
    end if;
    sequence := v.sequence;
    last := v.last;
    largest := v.largest;
    return next;
  end loop;
  -- Of a sequence that gave nothing yet, last_value is what it will give first.
  update outbox.settings set delivery_seq_reached = (select last_value from outbox.delivery_seq where is_called)
  where delivery_seq_reached < (select last_value from outbox.delivery_seq where is_called);
end $$;

-- After a restore, before anything runs: no workflow counts any more, and numbers that the lost future gave out are not given again. Receivers
-- compare outbox-sequence, and people may still hold the number of a dead letter. Answers how many deliveries were returned to pending.
create or replace function outbox.settle_restored() returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  -- First above their tables: a restore by logical means leaves them at their beginning.
  perform outbox.heal_sequences();
  perform setval('outbox.delivery_seq', last_value + 1000000000) from outbox.delivery_seq;
  perform setval('outbox.dead_letters_id_seq', last_value + 10000) from outbox.dead_letters_id_seq;
  update outbox.settings set delivery_seq_reached = (select last_value from outbox.delivery_seq);
  update outbox.lanes set owner = null, lease_until = '-infinity';
  delete from outbox.relays;
  return outbox.void_workflows();
end $$;

-- Since when each is kept for at least so long: before that, a row that is not there may have been removed sooner.
alter table outbox.retention add column longer_since timestamptz not null default '-infinity';
update outbox.retention set longer_since = coalesce((select max(applied_at) from outbox.config_revisions), '-infinity');

create function outbox.note_longer_retention() returns trigger
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  new.longer_since := now();
  return new;
end $$;
create trigger note_longer_retention before update of keep on outbox.retention
  for each row when (new.keep > old.keep) execute function outbox.note_longer_retention();

-- From when on every event that was routed still shows it, by a delivery or by what remains of one. A delivered row may be gone
-- after retention.delivered, a discarded one's dead letter after retention.deadLetters; with delivered rows not kept at all nothing
-- is known: infinity. The hour is for processes that still work by the configuration before.
create function outbox.routing_known_since() returns timestamptz
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select max(case when keep = interval '0' then 'infinity' else greatest(now() - keep, longer_since + interval '1 hour') end)
  from outbox.retention where what in ('delivered', 'deadLetters')
$$;

-- Events that no trigger saw: written with session_replication_role = replica, with the trigger disabled or dropped, into a partition
-- by its own name, or put there by a restore. To be asked by ranges of id.
create view outbox.missed_events as
  select e.id, e.type, e.dedup_key, e.created_at
  from outbox.events e
  where e.erased_at is null
    and e.created_at >= (select outbox.routing_known_since())
    and not exists (select from outbox.deliveries d where d.event_id = e.id)
    and not exists (select from outbox.unrouted u where u.event_id = e.id)
    and not exists (select from outbox.delivered v where v.event_id = e.id)
    and not exists (select from outbox.dead_letters l where l.event_id = e.id);

-- As the trigger routes new events, by the routes of now; what has a delivery to a destination gets no second one. Answers how many
-- deliveries it made.
create function outbox.route_events(p_ids uuid[]) returns integer
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
      select distinct r.destination from outbox.routes r
      where n.type like r.type_like
        and case case when r.filter_may_fail then 'guarded' else r.filter_mode end
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

-- Routes at most p_limit missed events of ids above p_after, up to p_to, in order of id. `refused`: their dedup key names another event by
-- now, so they would have been refused when written; they are left as they are. `last`: where to go on; null when nothing is left.
create function outbox.route_missed(p_after uuid, p_to uuid, p_limit integer, p_actor text, p_reason text,
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
  select distinct on (e.dedup_key) e.dedup_key, e.id, outbox.event_digest(e.type, e.payload, e.headers, e.key, e.source, e.subject, e.content_type)
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

-- A dedup key outlives its event: by this a repeat is known once the content is gone. Content is all but deliver_at, as outbox.enqueue_all
-- compares it: equal content has equal digests (1 and 1.0 too); one in 2^64 of other content has too.
alter table outbox.event_dedup_keys add column digest bigint;

create function outbox.event_digest(
  p_type text, p_payload jsonb, p_headers jsonb, p_key text, p_source text, p_subject text, p_content_type text
) returns bigint
language sql immutable parallel safe as $$
  select hash_record_extended((p_type, p_payload, p_headers, p_key, p_source, p_subject, p_content_type), 0)
$$;

-- Writes events with an answer to repeats: the same id (or dedup key) with the same content changes nothing, with
-- other content it is an error. Content is all but deliver_at, which a repeat may well compute anew.
-- Arrays of one length, one entry an event; null id asks for a new one.
-- Payloads and headers come as text, so that no driver re-writes a number on the way.
create or replace function outbox.enqueue_all(
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
      insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
      select distinct on (g.dedup_key) g.dedup_key, coalesce(g.id, outbox.uuid7()),
             outbox.event_digest(g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
                                 coalesce(g.content_type, 'application/json'))
      from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_sources, p_subjects, p_content_types, p_dedup_keys)
           with ordinality as g(id, type, payload, key, headers, source, subject, content_type, dedup_key, n)
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

  -- The statement above does not see its own rows in this check's snapshot order, hence a second one. Where the event's day is gone,
  -- its digest speaks; a key of before digests were kept has none, and then nobody can say that this is a repeat: refused, not lost.
  select coalesce(g.id, named.event_id) into v_conflict
  from unnest(p_ids, p_types, p_payloads, p_keys, p_headers, p_sources, p_subjects, p_content_types, p_dedup_keys)
       as g(id, type, payload, key, headers, source, subject, content_type, dedup_key)
  left join outbox.event_dedup_keys named on named.dedup_key = g.dedup_key
  left join lateral (
    select * from outbox.events where id = coalesce(g.id, named.event_id)
    union all select * from outbox.events_kept where id = coalesce(g.id, named.event_id) limit 1) e on true
  where named.event_id <> g.id
     or e.id is not null
        and (e.type, e.payload, e.headers, e.key, e.source, e.subject, e.content_type, e.dedup_key) is distinct from
            (g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
             coalesce(g.content_type, 'application/json'), g.dedup_key)
     or e.id is null and named.event_id is not null
        and named.digest is distinct from
            outbox.event_digest(g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
                                coalesce(g.content_type, 'application/json'))
  limit 1;
  if v_conflict is not null then
    raise exception 'event % exists with other content', v_conflict
      using errcode = 'OB001', hint = 'An id or dedup key names one event; give the new content a new one.';
  end if;
end $$;
