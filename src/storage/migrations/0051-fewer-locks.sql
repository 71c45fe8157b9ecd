-- A statement over all days locks each of them, and while it is planned each of their indexes too: three locks a day, held until the transaction
-- ends, of the 6,400 that a server has room for as it comes. What producers and workers do all the time locks a day or two now, however long the
-- retention.

-- The event as it was written, of any day; no row where there is none. A plan for this id alone: it names one day. volatile: what the caller's
-- statement before this one wrote is there.
create function outbox.event_of(p_id uuid) returns setof outbox.events
language plpgsql volatile rows 1 set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_custom_plan as $$
begin
  return query select * from outbox.events e where e.id = p_id;
  if not found then
    return query select * from outbox.events_kept k where k.id = p_id;
  end if;
end $$;

-- As before (0027), but it compares only what was not written now: `enqueue` with an id or a dedup key had looked through all days for each event,
-- and some fifty business transactions that had done so and were still open filled the server's lock table.
create or replace function outbox.enqueue_all(
  p_ids uuid[], p_types text[], p_payloads text[], p_keys text[], p_headers text[], p_deliver_at timestamptz[],
  p_sources text[], p_subjects text[], p_content_types text[], p_dedup_keys text[],
  p_payload_bytes bytea[] default null
) returns table (ordinal integer, id uuid, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_new_keys text[];
  v_ordinals integer[];
  v_ids      uuid[];
  v_inserted boolean[];
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
  ), done as (
    select g.ordinal, g.id,
           g.id in (select w.id from written w) and row_number() over (partition by g.id order by g.ordinal) = 1 as inserted
    from given g
  )
  select array_agg(d.ordinal order by d.ordinal), array_agg(d.id order by d.ordinal), array_agg(d.inserted order by d.ordinal)
  into v_ordinals, v_ids, v_inserted from done d;
  return query select * from unnest(v_ordinals, v_ids, v_inserted);
  if true = all (v_inserted) then
    return; -- Nothing was there before.
  end if;

  -- The statement above does not see its own rows in this check's snapshot order, hence a second one. Where the event's day is gone,
  -- its digest speaks; a key of before digests were kept has none, and then nobody can say that this is a repeat: refused, not lost.
  select coalesce(g.id, named.event_id) into v_conflict
  from unnest(v_inserted, p_ids, p_types, p_payloads, p_keys, p_headers, p_sources, p_subjects, p_content_types, p_dedup_keys, p_payload_bytes)
       as g(inserted, id, type, payload, key, headers, source, subject, content_type, dedup_key, payload_bytes)
  left join outbox.event_dedup_keys named on named.dedup_key = g.dedup_key
  left join lateral outbox.event_of(coalesce(g.id, named.event_id)) e on true
  where not g.inserted and (named.event_id <> g.id
     or e.id is not null
        and (e.type, e.payload, e.payload_bytes, e.headers, e.key, e.source, e.subject, e.content_type, e.dedup_key) is distinct from
            (g.type, g.payload::jsonb, g.payload_bytes, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
             coalesce(g.content_type, 'application/json'), g.dedup_key)
     or e.id is null and named.event_id is not null
        and named.digest is distinct from
            outbox.event_digest(g.type, g.payload::jsonb, coalesce(g.headers::jsonb, '{}'), g.key, g.source, g.subject,
                                coalesce(g.content_type, 'application/json'), g.payload_bytes))
  limit 1;
  if v_conflict is not null then
    raise exception 'event % exists with other content', v_conflict
      using errcode = 'OB001', hint = 'An id or dedup key names one event; give the new content a new one.';
  end if;
end $$;

-- Whether what is asked for all the time is planned anew for the days it concerns, for half a millisecond a time: a plan that is kept knows all of them.
-- Below that, twenty sessions that plan it at one moment have room in the lock table of a server as it comes.
create function outbox.keeps_many_days() returns boolean
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select r.keep > interval '45 days' from outbox.retention r where r.what = 'events'
$$;

-- Whoever calls it says how it is planned.
alter function outbox.load_these(uuid, bigint[], uuid[], bigint) reset plan_cache_mode;

-- As before (0027), but for the plan.
create or replace function outbox.load_rows(p_batch uuid, p_after bigint, p_limit integer, p_bytes bigint)
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
  if v_seqs is null then
    return;
  end if;
  if outbox.keeps_many_days() then
    perform set_config('plan_cache_mode', 'force_custom_plan', true); -- Until this function ends, as it sets it itself.
  end if;
  return query select * from outbox.load_these(p_batch, v_seqs, v_ids, p_bytes);
end $$;

create or replace function outbox.load_claimed(p_batch uuid, p_seqs bigint[], p_limit integer, p_bytes bigint)
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
    if outbox.keeps_many_days() then
      perform set_config('plan_cache_mode', 'force_custom_plan', true);
    end if;
    return query select * from outbox.load_these(p_batch, v_seqs, v_ids, p_bytes);
  end if;
end $$;

-- Between which events a batch's rows lie, and since when any of them may have been tried; nulls for a batch without rows. An id may be of a day to
-- come. A destination's clock stands still at times and never runs ahead. A day on the safe side.
create function outbox.reach_of(p_batch uuid, out first uuid, out last uuid, out since timestamptz)
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select e.ids[1], e.ids[cardinality(e.ids)], least(outbox.uuid7_time(e.ids[1]), e.tried, now()) - interval '1 day'
  from (select array_agg(d.event_id order by d.event_id) as ids, min(d.first_attempt_at) as tried
        from outbox.deliveries d where d.batch_id = p_batch) e
$$;

-- The first five and the last twenty attempts of a delivery are kept. Rare: a policy has a dozen.
create function outbox.thin_attempts(p_batch uuid) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = auto as $$
declare
  v_since timestamptz;
  v_now   timestamptz := now(); -- a plan takes a variable's value for constant, and a function's not
begin
  select r.since into v_since from outbox.reach_of(p_batch) r;
  if outbox.keeps_many_days() then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  delete from outbox.attempts a
  using outbox.deliveries d
  where d.batch_id = p_batch and d.tries > 25
    and a.event_id = d.event_id and a.destination = d.destination and a.at between v_since and v_now and a.try = d.tries - 20;
end $$;

-- As before (0026 and 0015), but for how that is asked for.
create or replace function outbox.record_failures(p_batch uuid, p_run integer, p_rows jsonb) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.batches set open = case when active then greatest(open - jsonb_array_length(p_rows), 0) else open end
  where id = p_batch and run = p_run;
  if not found then
    return false;
  end if;

  with given as (
    select * from jsonb_to_recordset(p_rows) as g(seq bigint, tries integer, charged boolean, park text, "delayMs" double precision, status integer,
      "errorClass" text, message text, excerpt text, "durationMs" double precision, address text, headers jsonb)
  ), tried as (
    update outbox.deliveries d
    set tries = d.tries + 1, attempts = d.attempts + g.charged::int, unreachable = case when g.charged then 0 else d.unreachable + 1 end,
        state = 'retry', due_at = now() + coalesce(g."delayMs", 0) * interval '1 ms',
        first_attempt_at = coalesce(d.first_attempt_at, outbox.clock_of(d.destination) - coalesce(g."durationMs", 0) * interval '1 ms')
    from given g
    where d.batch_id = p_batch and d.seq = g.seq and d.tries = g.tries and d.state in ('claimed', 'retry')
    returning d.event_id, d.destination, d.revision, d.tries, d.seq
  )
  insert into outbox.attempts (event_id, destination, revision, try, duration_ms, address, headers, status, error_class, message, excerpt, charged)
  select t.event_id, t.destination, t.revision, t.tries, round(g."durationMs"), g.address, g.headers, g.status, g."errorClass", g.message,
         g.excerpt, g.charged
  from tried t join given g on g.seq = t.seq;
  -- The first five and the last twenty of a delivery are kept. Rare: a policy has a dozen attempts.
  if exists (select from jsonb_array_elements(p_rows) r where (r ->> 'tries')::integer >= 25) then
    perform outbox.thin_attempts(p_batch);
  end if;

  perform outbox.return_tails(p_batch, array(select (r ->> 'seq')::bigint from jsonb_array_elements(p_rows) r));
  perform outbox.park_rows(p_batch, parked.rows)
  from (select jsonb_agg(jsonb_build_object('seq', r -> 'seq', 'reason', r -> 'park', 'status', r -> 'status',
                                            'errorClass', r -> 'errorClass', 'message', r -> 'message', 'excerpt', r -> 'excerpt')) as rows
        from jsonb_array_elements(p_rows) r where r ->> 'park' is not null) parked
  where parked.rows is not null;
  return true;
end $$;

create or replace function outbox.return_rows(p_batch uuid, p_run integer, p_rows jsonb, p_change jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch outbox.batches;
begin
  select * into v_batch from outbox.batches where id = p_batch and run = p_run for update;
  if not found then
    return null;
  end if;
  if p_change ? 'open' then
    perform outbox.open_circuit(v_batch.lane, p_change -> 'open');
  elsif p_change ? 'pause' then
    if outbox.pause_destination(v_batch.lane, p_change #>> '{pause,reason}', true) then
      update outbox.circuits set last_status = (p_change #>> '{pause,status}')::int, last_error_class = p_change #>> '{pause,errorClass}'
      where destination = v_batch.lane;
      perform outbox.note_circuit(v_batch.lane, 'pause', p_change #>> '{pause,reason}');
    end if;
  elsif p_change ? 'wait' then
    update outbox.circuits
    set wait_until = greatest(wait_until, now() + (p_change #>> '{wait,waitMs}')::double precision * interval '1 ms'),
        claim_at_most = (p_change #>> '{wait,claimAtMost}')::int
    where destination = v_batch.lane;
  end if;

  with given as (
    select * from jsonb_to_recordset(p_rows) as g(seq bigint, tries integer, status integer, "errorClass" text, message text,
      excerpt text, "durationMs" double precision, address text, headers jsonb)
  ), tried as (
    update outbox.deliveries d
    set tries = d.tries + 1, due_at = case when d.state = 'retry' then now() end,
        first_attempt_at = coalesce(d.first_attempt_at, outbox.clock_of(d.destination) - coalesce(g."durationMs", 0) * interval '1 ms')
    from given g
    where d.batch_id = p_batch and d.seq = g.seq and d.tries = g.tries and d.state in ('claimed', 'retry')
    returning d.event_id, d.destination, d.revision, d.tries, d.seq
  )
  insert into outbox.attempts (event_id, destination, revision, try, duration_ms, address, headers, status, error_class, message, excerpt, charged)
  select t.event_id, t.destination, t.revision, t.tries, round(g."durationMs"), g.address, g.headers, g.status, g."errorClass", g.message, g.excerpt, false
  from tried t join given g on g.seq = t.seq;
  -- As many are kept as record_failures keeps.
  if exists (select from jsonb_array_elements(p_rows) r where (r ->> 'tries')::integer >= 25) then
    perform outbox.thin_attempts(p_batch);
  end if;

  update outbox.deliveries d
  set state = case when d.due_at > now() and d.key is null then 'scheduled' else 'pending' end,
      due_at = case when d.due_at > now() and d.key is null then d.due_at end, batch_id = null, unreachable = 0
  where d.batch_id = p_batch
    and (d.state = 'claimed' or d.state = 'retry' and (d.due_at <= now() or not coalesce(p_change ? 'wait', false)));

  update outbox.batches set active = false, open = 0, fruitless = 0 where id = p_batch;
  delete from outbox.batches b where b.id = p_batch and not exists (select from outbox.deliveries d where d.batch_id = b.id);
  return outbox.batch_summary(v_batch.workflow_id);
end $$;

-- As before (0042 and 0049), but for the days that are looked at.
create or replace function outbox.batch_summary(p_workflow text) returns jsonb
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  -- What it shows lies between these: the days of no other event and no other attempt are looked at.
  v_first uuid;
  v_last  uuid;
  v_since timestamptz;
  v_now   timestamptz := now(); -- a plan takes a variable's value for constant, and a function's not
begin
  select r.first, r.last, r.since into v_first, v_last, v_since
  from outbox.batches b cross join lateral outbox.reach_of(b.id) r where b.workflow_id = p_workflow;
  if v_first is not null and outbox.keeps_many_days() then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  return (with mine as materialized (
    select d.* from outbox.batches b join outbox.deliveries d on d.batch_id = b.id where b.workflow_id = p_workflow
  )
  select jsonb_build_object(
    'left', (select count(*) from mine),
    'unsent', (select count(*) from mine where state = 'claimed'),
    'retrying', (select count(*) from mine where state = 'retry'),
    'nextDueMs', (select ceil(extract(epoch from min(due_at) - now()) * 1000) from mine where state = 'retry'),
    'parked', (select count(*) from mine where state = 'parked'),
    'rows', (select coalesce(jsonb_agg(to_jsonb(r)), '[]') from (
      select d.event_id as "eventId", d.destination, d.state, d.tries, d.attempts, d.revision,
             coalesce(l.event_type, e.type) as "eventType", l.id as "deadLetterId", l.cause, l.reason, l.parked_at as "parkedAt",
             coalesce(l.last_status, a.status) as status, coalesce(l.last_error_class, a.error_class) as "errorClass", d.due_at as "dueAt"
      from (select * from mine where state in ('retry', 'parked') order by state, seq limit 20) d
      left join outbox.dead_letters l on l.event_id = d.event_id and l.destination = d.destination and l.resolved_at is null
      left join lateral (select type from outbox.events where id = d.event_id and id between v_first and v_last
                         union all select type from outbox.events_kept where id = d.event_id limit 1) e on true
      left join lateral (select * from outbox.attempts t where t.event_id = d.event_id and t.destination = d.destination
                           and t.at between v_since and v_now order by t.at desc limit 1) a on l.id is null) r),
    'links', case when exists (select from mine where state = 'parked') then (
      select jsonb_build_object('dashboard', c.config #>> '{dashboard,url}',
        'runbooks', (select jsonb_object_agg(d.name, d.config ->> 'runbook') from outbox.destinations d
                     where d.config ? 'runbook' and d.name in (select destination from mine where state = 'parked')))
      from outbox.settings s join outbox.config_revisions c on c.revision = s.config_revision) end,
    'singles', '[]'::jsonb));
end $$;

create or replace function outbox.park_rows(p_batch uuid, p_rows jsonb) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = auto as $$
declare
  v_count integer;
  v_lane  text;
  v_pass  text[]; -- keys that the parked rows let pass
  v_first uuid;
  v_last  uuid;
  v_since timestamptz;
  v_now   timestamptz := now(); -- a plan takes a variable's value for constant, and a function's not
begin
  select r.first, r.last, r.since into v_first, v_last, v_since from outbox.reach_of(p_batch) r;
  if outbox.keeps_many_days() then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  select b.lane, array_agg(d.key) into v_lane, v_pass
  from outbox.batches b
  join outbox.destinations t on t.name = b.lane and t.ordering = 'key' and t.on_park = 'skip'
  join outbox.deliveries d on d.batch_id = b.id and d.key is not null
  join jsonb_to_recordset(p_rows) as g(seq bigint) on g.seq = d.seq
  where b.id = p_batch group by b.lane;

  with given as (
    select * from jsonb_to_recordset(p_rows)
      as g(seq bigint, reason text, status integer, "errorClass" text, message text, excerpt text)
  ), parked as (
    update outbox.deliveries d
    set state = 'parked', due_at = null, park_no = d.park_no + 1, key = case when v_pass is null then d.key end
    from given g where d.batch_id = p_batch and d.seq = g.seq and d.state in ('claimed', 'retry')
    returning d.*
  ), failed as (
    select p.*, g.reason, coalesce(g.status, a.status) as status, coalesce(g."errorClass", a.error_class) as class,
           coalesce(g.message, a.message) collate "C" as message, case when g.message is null then a.excerpt else g.excerpt end collate "C" as said
    from parked p
    join given g on g.seq = p.seq
    left join lateral (select * from outbox.attempts t where t.event_id = p.event_id and t.destination = p.destination
                         and t.at between v_since and v_now order by t.at desc limit 1) a on g.message is null
  ), worded as (
    -- Mostly a batch is refused in the same words: their text is made once.
    select n.*, max(case when n.nth = 1 then outbox.cause_text(n.message, n.said) end) over (partition by n.message, n.said) as error
    from (select f.*, row_number() over (partition by f.message, f.said) as nth from failed f) n
  ), letters as materialized (
    select w.*, outbox.cause_id(w.destination, coalesce(w.class, w.reason), w.status, w.error) as cause from worded w
  ), known as (
    -- Mostly it is there. Its table's lock, held to the end of the transaction, keeps a cause from being cleared away meanwhile.
    insert into outbox.causes (id, destination, class, status, error)
    select distinct on (l.cause) l.cause, l.destination, coalesce(l.class, l.reason), l.status, l.error from letters l
    where not exists (select from outbox.causes c where c.id = l.cause)
    order by l.cause
    on conflict (id) do nothing
  )
  insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries,
                                   last_status, last_error_class, last_error, cause)
  select l.event_id, coalesce(e.type, '(erased)'), l.destination, b.workflow_id, l.park_no, l.revision, l.reason, l.attempts, l.tries,
         l.status, l.class, l.message, l.cause
  from letters l
  join outbox.batches b on b.id = p_batch
  left join lateral (select type from outbox.events where id = l.event_id and id between v_first and v_last
                     union all select type from outbox.events_kept where id = l.event_id limit 1) e on true
  order by l.seq;
  get diagnostics v_count = row_count;
  if v_pass is not null then
    perform outbox.release_keys(v_lane, v_pass);
  end if;
  return v_count;
end $$;
