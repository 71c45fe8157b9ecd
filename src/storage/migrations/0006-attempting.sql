-- What a `deliver` workflow's activity does with its batch. Every write names (batch id, run) and touches nothing when a later
-- execution has taken the batch over: `false` or null means fenced, stop sending.

-- Whether nothing may be sent to a destination now, but for probes.
create function outbox.is_held(p_destination text) returns boolean
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select exists (select from outbox.destinations d where d.name = p_destination and d.paused_at is not null)
      or exists (select from outbox.circuits c where c.destination = p_destination and c.state <> 'closed')
$$;

-- The destination's own clock: an outage or a pause takes nothing from the time that its deliveries have.
create function outbox.clock_of(p_destination text) returns timestamptz
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce((select coalesce(c.still_since, now()) - c.stood_still from outbox.circuits c where c.destination = p_destination), now())
$$;

-- Opens the next run of the batch that this workflow owns. No row: nothing is left to do.
create function outbox.open_batch(p_workflow text)
returns table (batch_id uuid, run integer, lane text, fruitless integer, config_revision integer, held boolean)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
begin
  return query
  update outbox.batches b set run = b.run + 1, fruitless = b.fruitless + 1, checked_at = now()
  from outbox.settings s
  where b.workflow_id = p_workflow
  returning b.id, b.run, b.lane, b.fruitless - 1, s.config_revision, outbox.is_held(b.lane);
  -- Retries wait as the receiver asked, like claims.
  update outbox.deliveries d set due_at = c.wait_until
  from outbox.batches b join outbox.circuits c on c.destination = b.lane and c.wait_until > now()
  where b.workflow_id = p_workflow and d.batch_id = b.id and d.state = 'retry' and d.due_at <= now();
  perform outbox.ration_retries(b.id, d)
  from outbox.batches b join outbox.destinations d on d.name = b.lane and d.rate_per_second is not null
  where b.workflow_id = p_workflow;
end $$;

-- The next rows to send, in order, with what is sent: at most p_limit rows and about p_bytes of payload.
--
-- The ids are gathered first, so that partitions are pruned once a call (by the range: a parameter's array prunes nothing) and each
-- index is walked once: 18 µs of CPU a row became 7. The planner knows neither array's length, and would join by nested loops or
-- sort the whole batch for every hundred rows; hence its two settings. plpgsql and not SQL because it keeps its plan: planning over
-- 40 partitions took 1.4 of 2.6 ms a call. Volatile, to see the rows that a claim in the same statement made.
create function outbox.load_rows(p_batch uuid, p_after bigint, p_limit integer, p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text
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
        where batch_id = p_batch and seq > p_after and (state = 'claimed' or state = 'retry' and due_at <= now())
        order by seq limit p_limit) d;
  return query
  select t.seq, t.event_id, t.destination, t.revision, t.tries, t.attempts, t.unreachable, t.since_first_ms,
         t.order_key, t.type, t.key, t.source, t.subject, t.content_type, t.created_ms, t.payload, t.headers
  from (
    select w.*, sum(octet_length(w.payload)) over (order by w.seq) - octet_length(w.payload) as bytes_before
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
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end::text as headers
      from outbox.deliveries d
      left join outbox.events e on e.id = d.event_id and e.id = any (v_ids) and e.id between v_ids[1] and v_ids[cardinality(v_ids)] and e.erased_at is null
      left join outbox.events_kept k on k.id = d.event_id and k.id = any (v_ids) and k.erased_at is null
      where d.batch_id = p_batch and d.seq = any (v_seqs)
      offset 0 -- Else the payload is turned into text three times.
    ) w
  ) t
  where coalesce(t.bytes_before, 0) < p_bytes
  order by t.seq;
end $$;

-- Acknowledges rows: they leave the hot table. p_keep: whether outbox.delivered remembers them.
create function outbox.acknowledge(p_batch uuid, p_run integer, p_seqs bigint[], p_keep boolean) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan set enable_bitmapscan = off as $$
declare
  v_lane text;
  v_keys text[];
begin
  update outbox.batches set open = case when active then greatest(open - cardinality(p_seqs), 0) else open end
  where id = p_batch and run = p_run
  returning lane into v_lane;
  if not found then
    return false;
  end if;
  with gone as (
    delete from outbox.deliveries where batch_id = p_batch and seq = any (p_seqs)
    returning event_id, destination, revision, tries, key
  ), kept as (
    insert into outbox.delivered (event_id, destination, revision, tries)
    select event_id, destination, revision, tries + 1 from gone where p_keep
  )
  select array_agg(key) into v_keys from gone where key is not null;
  if v_keys is not null then
    perform outbox.release_keys(v_lane, v_keys);
  end if;
  return true;
end $$;

-- Acknowledges rows whose earlier attempts had failed, and writes the one that succeeded: p_rows is an array of
-- { seq, status, durationMs, address, headers }.
create function outbox.acknowledge_late(p_batch uuid, p_run integer, p_seqs bigint[], p_keep boolean, p_rows jsonb) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform from outbox.batches where id = p_batch and run = p_run for update;
  if not found then
    return false;
  end if;
  insert into outbox.attempts (event_id, destination, revision, try, duration_ms, address, headers, status, charged)
  select d.event_id, d.destination, d.revision, d.tries + 1, round(g."durationMs"), g.address, g.headers, g.status, false
  from jsonb_to_recordset(p_rows) as g(seq bigint, status integer, "durationMs" double precision, address text, headers jsonb)
  join outbox.deliveries d on d.batch_id = p_batch and d.seq = g.seq;
  return outbox.acknowledge(p_batch, p_run, p_seqs, p_keep);
end $$;

-- Parks rows of a batch: p_rows is an array of { seq, reason, status, errorClass, message }.
-- `at <= now()` spares a look into each of the thirty partitions made ahead.
create function outbox.park_rows(p_batch uuid, p_rows jsonb) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
  v_lane  text;
  v_pass  text[]; -- keys that the parked rows let pass
begin
  select b.lane, array_agg(d.key) into v_lane, v_pass
  from outbox.batches b
  join outbox.destinations t on t.name = b.lane and t.ordering = 'key' and t.on_park = 'skip'
  join outbox.deliveries d on d.batch_id = b.id and d.key is not null
  join jsonb_to_recordset(p_rows) as g(seq bigint) on g.seq = d.seq
  where b.id = p_batch group by b.lane;

  with given as (
    select * from jsonb_to_recordset(p_rows) as g(seq bigint, reason text, status integer, "errorClass" text, message text)
  ), parked as (
    update outbox.deliveries d
    set state = 'parked', due_at = null, park_no = d.park_no + 1, key = case when v_pass is null then d.key end
    from given g where d.batch_id = p_batch and d.seq = g.seq and d.state in ('claimed', 'retry')
    returning d.*
  )
  insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries,
                                   last_status, last_error_class, last_error)
  select p.event_id, coalesce(e.type, '(erased)'), p.destination, b.workflow_id, p.park_no, p.revision, g.reason, p.attempts, p.tries,
         coalesce(g.status, a.status), coalesce(g."errorClass", a.error_class), coalesce(g.message, a.message)
  from parked p
  join given g on g.seq = p.seq
  join outbox.batches b on b.id = p_batch
  left join lateral (select type from outbox.events where id = p.event_id
                     union all select type from outbox.events_kept where id = p.event_id limit 1) e on true
  left join lateral (select * from outbox.attempts t where t.event_id = p.event_id and t.destination = p.destination
                       and t.at <= now() order by t.at desc limit 1) a on g.message is null
  order by p.seq;
  get diagnostics v_count = row_count;
  if v_pass is not null then
    perform outbox.release_keys(v_lane, v_pass);
  end if;
  return v_count;
end $$;

-- Writes failures: p_rows is an array of { seq, tries, charged, park, delayMs, status, errorClass, message, excerpt, durationMs, address, headers };
-- park is the reason to park, or null to retry after delayMs. `tries` is what the row had when it was loaded: a write repeated
-- because its answer was lost finds more, and charges nothing twice. What stands behind a failing row in its key goes back, uncharged.
create function outbox.record_failures(p_batch uuid, p_run integer, p_rows jsonb) returns boolean
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
    delete from outbox.attempts a
    using outbox.deliveries d
    where d.batch_id = p_batch and d.tries > 25
      and a.event_id = d.event_id and a.destination = d.destination and a.at <= now() and a.try = d.tries - 20;
  end if;

  perform outbox.return_tails(p_batch, array(select (r ->> 'seq')::bigint from jsonb_array_elements(p_rows) r));
  perform outbox.park_rows(p_batch, parked.rows)
  from (select jsonb_agg(jsonb_build_object('seq', r -> 'seq', 'reason', r -> 'park', 'status', r -> 'status',
                                            'errorClass', r -> 'errorClass', 'message', r -> 'message')) as rows
        from jsonb_array_elements(p_rows) r where r ->> 'park' is not null) parked
  where parked.rows is not null;
  return true;
end $$;

-- What is left of a workflow's batch, for the workflow's next step and for its page in the Temporal UI.
create function outbox.batch_summary(p_workflow text) returns jsonb
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
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
             coalesce(l.event_type, e.type) as "eventType", l.id as "deadLetterId", l.reason, l.parked_at as "parkedAt",
             coalesce(l.last_status, a.status) as status, coalesce(l.last_error_class, a.error_class) as "errorClass", d.due_at as "dueAt"
      from (select * from mine where state in ('retry', 'parked') order by state, seq limit 20) d
      left join outbox.dead_letters l on l.event_id = d.event_id and l.destination = d.destination and l.resolved_at is null
      left join lateral (select type from outbox.events where id = d.event_id
                         union all select type from outbox.events_kept where id = d.event_id limit 1) e on true
      left join lateral (select * from outbox.attempts t where t.event_id = d.event_id and t.destination = d.destination
                           and t.at <= now() order by t.at desc limit 1) a on l.id is null) r),
    'singles', '[]'::jsonb));
end $$;

-- Ends an attempt: the last acknowledgements (p_seqs) are written, few failures get a workflow of their own, a batch without rows goes. Answers the summary, with the
-- workflows to start under `singles`; null when fenced.
--
-- The singles are decided here, in the rows, and not in the workflow: the result of a local activity may be lost and the activity
-- run again, and must then find the same decision.
create function outbox.finish_attempt(p_batch uuid, p_run integer, p_max_singles integer, p_seqs bigint[] default '{}', p_keep boolean default true)
returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch   outbox.batches;
  v_failing integer;
  v_unsent  integer;
  v_split   integer;
  v_soon    boolean;
begin
  select * into v_batch from outbox.batches where id = p_batch and run = p_run for update;
  if not found or p_seqs <> '{}' and not outbox.acknowledge(p_batch, p_run, p_seqs, p_keep) then
    return null;
  end if;
  select count(*), count(*) filter (where state = 'claimed'), bool_and(state = 'retry' and due_at < now() + interval '0.9 s')
  into v_failing, v_unsent, v_soon
  from outbox.deliveries where batch_id = p_batch;
  if v_failing = 0 then
    delete from outbox.batches where id = p_batch;
    return '{"left": 0, "unsent": 0, "retrying": 0, "nextDueMs": null, "parked": 0, "rows": [], "singles": []}';
  end if;
  if v_unsent > 0 then
    update outbox.batches set fruitless = 0 where id = p_batch;
    return outbox.batch_summary(v_batch.workflow_id);
  end if;

  update outbox.batches set active = false, open = 0, fruitless = 0 where id = p_batch;
  select min(split_up_to) into v_split from outbox.destinations where name = v_batch.lane;
  -- Where somebody is at work on them, what is left stays on the page in front of that person.
  -- What is due at once is tried once more first: most of it goes through then, and the start of a workflow takes longer than that.
  -- 0.9 s, as workflows/deliver.ts waits up to a second inside an attempt, a tenth longer than the first retry is due.
  if not v_batch.single and not v_soon and v_failing <= v_split and not exists (select from outbox.audit a where a.workflow_id = v_batch.workflow_id)
     and v_failing + (select count(*) from outbox.batches where lane = v_batch.lane and single) <= p_max_singles then
    perform outbox.split_off(p_batch, d.event_id, d.destination) from outbox.deliveries d where d.batch_id = p_batch;
    delete from outbox.batches where id = p_batch;
  end if;
  return outbox.batch_summary(v_batch.workflow_id) || jsonb_build_object('singles', outbox.children_of(p_batch));
end $$;

-- Gives one delivery of a batch a batch and a workflow id of its own.
create function outbox.split_off(p_batch uuid, p_event uuid, p_destination text) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_single   uuid := gen_random_uuid();
  v_workflow text := outbox.workflow_prefix() || 'deliver/' || p_destination || '/' || p_event;
begin
  insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, single, parent)
  select v_single, b.lane, v_workflow, 1, 0, false, b.epoch, true, p_batch from outbox.batches b where b.id = p_batch;
  update outbox.deliveries set batch_id = v_single where batch_id = p_batch and event_id = p_event and destination = p_destination;
  update outbox.dead_letters set workflow_id = v_workflow
  where event_id = p_event and destination = p_destination and resolved_at is null;
end $$;

-- Workflows that were split off a batch and have not begun: what a repeated last step has to start again.
create function outbox.children_of(p_batch uuid) returns jsonb
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('workflowId', c.workflow_id, 'lane', c.lane,
                                               'eventId', d.event_id, 'eventType', e.type) order by d.seq), '[]')
  from outbox.batches c
  left join lateral (select * from outbox.deliveries where batch_id = c.id limit 1) d on true
  left join lateral (select type from outbox.events where id = d.event_id
                     union all select type from outbox.events_kept where id = d.event_id limit 1) e on true
  where c.parent = p_batch and c.run = 0
$$;

-- A batch whose executions keep dying without an outcome holds a row that kills them. It is broken into at most 32 parts, and
-- those again, until the row stands alone; then it is parked as poison. Its innocent neighbours are delivered on the way.
create function outbox.break_up(p_batch uuid, p_run integer) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch outbox.batches;
  v_rows  integer;
  v_seqs  bigint[];
  v_part  uuid;
begin
  select * into v_batch from outbox.batches where id = p_batch and run = p_run for update;
  if not found then
    return null;
  end if;
  perform outbox.return_tails(p_batch); -- parts run side by side: of each key one row may stay
  select * into v_batch from outbox.batches where id = p_batch;
  select count(*) into v_rows from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry');
  if v_rows <= 1 then
    perform outbox.park_rows(p_batch, (
      select jsonb_agg(jsonb_build_object('seq', seq, 'reason', 'poison', 'errorClass', 'worker-lost',
        'message', 'The worker was lost several times in a row while it attempted this event'))
      from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry')));
    return outbox.finish_attempt(p_batch, p_run, 200);
  end if;
  for v_seqs in
    select array_agg(t.seq order by t.seq)
    from (select seq, ntile(least(v_rows, 32)) over (order by seq) as part
          from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry')) t
    group by t.part order by t.part
  loop
    v_part := gen_random_uuid();
    insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, parent)
    values (v_part, v_batch.lane, outbox.workflow_prefix() || 'deliver/' || v_part, cardinality(v_seqs),
            case when v_batch.active then cardinality(v_seqs) else 0 end, v_batch.active, v_batch.epoch, p_batch);
    update outbox.deliveries set batch_id = v_part where batch_id = p_batch and seq = any (v_seqs);
  end loop;
  update outbox.batches set active = false, open = 0, fruitless = 0 where id = p_batch;
  delete from outbox.batches b where b.id = p_batch and not exists (select from outbox.deliveries where batch_id = p_batch);
  return outbox.batch_summary(v_batch.workflow_id) || jsonb_build_object('singles', outbox.children_of(p_batch));
end $$;
