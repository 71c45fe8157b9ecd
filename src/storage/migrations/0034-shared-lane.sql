-- Destinations that get little share a lane. A start of a workflow for each destination and moment is what a sender with thousands of
-- them cannot pay: a batch of the shared lane mixes them. It holds rows in their first attempt and nothing else: what fails leaves it at
-- once for a batch of its own destination (part_off), and goes on there as ever. So circuits, rates, retries, pages and commands know of
-- ordinary batches alone.
--
-- Each lane keeps its one owner: the shared lane of a relay is made of the lanes that it owns.

-- What came lately, whoever it is for: the shared lane looks here in place of once for each destination.
create index deliveries_pending on outbox.deliveries (seq) where state = 'pending';

-- Whether the worker knows batches that mix destinations. None are made while one is alive that does not.
alter table outbox.workers add column mixes boolean not null default false;

create function outbox.know_mixed(p_worker uuid) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.workers set mixes = true where id = p_worker
$$;

-- A name as destinations may have it, as workflows are started with one. Where a destination is called so, nothing is shared.
create function outbox.shared_lane() returns text
language sql immutable set search_path = pg_catalog, outbox, pg_temp as $$
  select 'shared--'::text
$$;

-- Of what waits above p_after (a hint, as in outbox.claim), or for p_among from the beginning: claims what may share a batch, into p_into or a
-- new one. p_own: lanes that are to have batches of their own. p_aside: those that are to be left alone for the moment. p_limit: as in
-- outbox.claim. p_share: whether anything is to be shared at all. One row is answered: what was claimed, if anything; `seen`, up to which seq it looked, `more`: and
-- not to the end; `own`: lanes with work that have batches of their own, whoever owns them.
--
-- Of a destination up to c_each rows are claimed at a time. One with more waiting has a lane of its own; so has one with order per key, one with a
-- rate, one that asked for time within the last minute, one whose answers may take longer than a workflow task should, and one whose events have a workflow each.
create function outbox.claim_shared(
  p_relay uuid, p_after bigint, p_among text[], p_share boolean, p_own text[], p_aside text[], p_into uuid, p_run integer, p_revision integer,
  p_limit integer
)
returns table (
  batch_id uuid, workflow_id text, size integer, seqs bigint[], closed boolean, seen bigint, more boolean, own text[], config_revision integer
)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  c_look       constant integer := 1000;
  c_each       constant integer := 100;
  c_rows       constant integer := 2000;  -- of a batch that are not settled
  c_size       constant integer := 20000; -- of a batch in all
  c_batches    constant integer := 2;     -- of which nothing has come back
  c_timeout_ms constant integer := 30000;
  v_into    outbox.batches;
  v_at      tid[];
  v_of      text[];
  v_seen    bigint;
  v_more    boolean := false;
  v_names   text[];
  v_own     text[];
  v_room    integer;
  v_found   tid[];
  v_seqs    bigint[];
  v_batch   uuid;
  v_closed  boolean := false;
  v_revision integer := (select s.config_revision from outbox.settings s);
begin
  perform set_config('synchronous_commit', 'off', true); -- as outbox.claim
  if p_limit is distinct from 0 then
    if p_among is null then
      select array_agg(l.at), array_agg(l.destination), max(l.seq), count(*) = c_look into v_at, v_of, v_seen, v_more
      from (select d.ctid as at, d.destination, d.seq from outbox.deliveries d
            where d.state = 'pending' and d.seq > p_after order by d.seq limit c_look) l;
    else
      select array_agg(l.at), array_agg(l.destination) into v_at, v_of
      from (select d.at, d.destination from unnest(p_among) n(name)
            cross join lateral (select d.ctid as at, d.destination from outbox.deliveries d
                                where d.destination = n.name and d.state = 'pending' order by d.seq limit c_each + 1) d
            limit c_rows) l;
    end if;
    if v_at is null then
      return query select null::uuid, null::text, 0, null::bigint[], false, v_seen, false, '{}'::text[], v_revision;
      return;
    end if;
    select array_agg(e.name) filter (where not q.alone), array_agg(e.name) filter (where q.alone) into v_names, v_own
    from (select u.name, count(*) as n from unnest(v_of) u(name) group by u.name) e
    join outbox.destinations d on d.name = e.name
    left join outbox.circuits c on c.destination = e.name
    cross join lateral (
      select e.name = any (p_own) or e.n > c_each or d.rate_per_second is not null or d.batch_maximum = 1 or d.ordering = 'key'
             or (d.config ->> 'timeoutMs')::integer > c_timeout_ms or coalesce(c.wait_until > now() - interval '1 minute', false) as alone) q
    where d.paused_at is null and coalesce(c.state, 'closed') = 'closed' and coalesce(c.wait_until <= now(), true)
      and e.name <> all (p_aside);
    if not p_share or exists (select from outbox.workers w where w.seen_at > now() - interval '6 s' and not w.mixes) then
      v_own := coalesce(v_own, '{}') || coalesce(v_names, '{}');
      v_names := null;
    end if;
  end if;

  if p_into is not null and (v_names is not null or p_limit = 0) then
    select * into v_into from outbox.batches b where b.id = p_into and b.run = p_run and b.active for update skip locked;
    if not found then
      v_closed := not exists (select from outbox.batches b where b.id = p_into and b.run = p_run and b.active);
      v_names := null;
    elsif v_into.size >= c_size or p_revision <> v_revision then
      v_closed := true;
      v_names := null;
    end if;
    v_room := least(p_limit, c_rows - v_into.open);
  else
    v_room := least(p_limit, c_rows);
    -- Where starts take long, what comes meanwhile joins the batch that begins first.
    if v_names is not null and (select count(*) from outbox.batches b where b.lane = outbox.shared_lane() and b.active and b.open > 0
                                  and b.open = b.size and b.claimed_at > now() - interval '10 s') >= c_batches then
      v_names := null;
    end if;
  end if;

  if v_names is not null and v_room > 0 then
    -- Claims of a lane take turns, and are made by its owner alone.
    select array_agg(l.name) into v_names
    from (select l.name from outbox.lanes l
          where l.name = any (v_names) and l.owner = p_relay and l.lease_until > now()
          order by l.name for no key update skip locked) l;
    select array_agg(t.ctid) into v_found
    from (select d.ctid from outbox.deliveries d
          where d.ctid = any (v_at) and d.state = 'pending' and d.destination = any (v_names)
          order by d.seq limit v_room for update skip locked) t;
  end if;

  if v_found is null and p_limit is distinct from 0 then
    return query
    select case when v_closed then p_into end, null::text, 0, null::bigint[], v_closed, v_seen, v_more, coalesce(v_own, '{}'), v_revision;
    return;
  end if;
  v_batch := coalesce(v_into.id, gen_random_uuid());
  with claimed as (
    update outbox.deliveries d set state = 'claimed', batch_id = v_batch where d.ctid = any (v_found) returning d.seq
  )
  select coalesce(array_agg(c.seq order by c.seq), '{}') into v_seqs from claimed c;
  if v_into.id is not null then
    update outbox.batches b set size = b.size + cardinality(v_seqs), open = b.open + cardinality(v_seqs), fed_at = now() where b.id = v_batch;
  else
    insert into outbox.batches (id, lane, workflow_id, size, open, epoch, run, fruitless)
    select v_batch, outbox.shared_lane(), outbox.workflow_prefix() || 'deliver/' || v_batch, cardinality(v_seqs), cardinality(v_seqs),
           s.temporal_epoch, 1, 1
    from outbox.settings s;
  end if;
  return query
  select v_batch, outbox.workflow_prefix() || 'deliver/' || v_batch, cardinality(v_seqs), v_seqs, false, v_seen, v_more, coalesce(v_own, '{}'),
         v_revision;
end $$;

-- Lanes with work that may be claimed, from the beginning: what committed late or came back lies below any mark. One probe a destination that
-- waits, none for those that do not. Ordered look-ups of one row, as in outbox.claim.
create function outbox.lanes_with_work() returns setof text
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  with recursive w as (
    (select d.destination as name from outbox.deliveries d where d.state = 'pending' order by d.destination, d.seq limit 1)
    union all
    select (select d.destination from outbox.deliveries d where d.state = 'pending' and d.destination > w.name
            order by d.destination, d.seq limit 1)
    from w where w.name is not null
  )
  select w.name::text from w
  join outbox.destinations d on d.name = w.name and d.paused_at is null
  left join outbox.circuits c on c.destination = w.name
  where coalesce(c.state, 'closed') = 'closed' and coalesce(c.wait_until <= now(), true)
$$;

-- What of a destination is under way, or answered and not written (p_kept), leaves the shared batch for one of its own, in its first run and open:
-- the same attempt goes on with it. p_part: the new batch's id, the same where the call is repeated as its answer was lost. All else that the batch holds of this destination goes back to its lane, uncharged; `returned` says which.
-- No row when fenced.
create function outbox.part_off(p_batch uuid, p_run integer, p_destination text, p_part uuid, p_kept bigint[])
returns table (workflow_id text, returned bigint[])
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_batch    outbox.batches;
  v_kept     integer;
  v_returned bigint[];
begin
  select * into v_batch from outbox.batches b where b.id = p_batch and b.run = p_run for update;
  if not found then
    return;
  end if;
  update outbox.deliveries d set batch_id = p_part
  where d.batch_id = p_batch and d.destination = p_destination and d.state = 'claimed' and d.seq = any (p_kept);
  get diagnostics v_kept = row_count;
  insert into outbox.batches (id, lane, workflow_id, size, open, epoch, run, fruitless, opened_by)
  values (p_part, p_destination, outbox.workflow_prefix() || 'deliver/' || p_part, v_kept, v_kept, v_batch.epoch, 1,
          greatest(v_batch.fruitless, 1), v_batch.opened_by)
  on conflict (id) do nothing;
  with back as (
    update outbox.deliveries d set state = 'pending', batch_id = null
    where d.batch_id = p_batch and d.destination = p_destination and d.state = 'claimed' returning d.seq
  )
  select coalesce(array_agg(b.seq), '{}') into v_returned from back b;
  update outbox.batches b set open = case when b.active then greatest(b.open - v_kept - cardinality(v_returned), 0) else b.open end
  where b.id = p_batch;
  return query select outbox.workflow_prefix() || 'deliver/' || p_part, v_returned;
end $$;

-- Of a shared batch rows that came too late for an attempt go back to their lanes, uncharged. Answers false when fenced.
create function outbox.hand_back(p_batch uuid, p_run integer, p_seqs bigint[]) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
begin
  perform from outbox.batches b where b.id = p_batch and b.run = p_run for update;
  if not found then
    return false;
  end if;
  update outbox.deliveries d set state = 'pending', batch_id = null
  where d.batch_id = p_batch and d.seq = any (p_seqs) and d.state = 'claimed';
  get diagnostics v_count = row_count;
  update outbox.batches b set open = case when b.active then greatest(b.open - v_count, 0) else b.open end where b.id = p_batch;
  return true;
end $$;

-- Rows of a shared batch that are not in their first attempt (p_all: all of them) go to a batch of their own destination each, whose workflows are among the
-- children of this one.
create function outbox.sort_out(p_batch uuid, p_all boolean) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_name text;
  v_part uuid;
  v_rows integer;
begin
  for v_name in
    select distinct d.destination from outbox.deliveries d where d.batch_id = p_batch and (p_all or d.state <> 'claimed')
  loop
    v_part := gen_random_uuid();
    update outbox.deliveries d set batch_id = v_part
    where d.batch_id = p_batch and d.destination = v_name and (p_all or d.state <> 'claimed');
    get diagnostics v_rows = row_count;
    insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, parent)
    select v_part, v_name, outbox.workflow_prefix() || 'deliver/' || v_part, v_rows, 0, false, b.epoch, p_batch
    from outbox.batches b where b.id = p_batch;
    update outbox.dead_letters l set workflow_id = outbox.workflow_prefix() || 'deliver/' || v_part
    from outbox.deliveries d
    where d.batch_id = v_part and l.event_id = d.event_id and l.destination = d.destination and l.resolved_at is null;
  end loop;
end $$;

-- Before a shared batch is sent again: of destinations that are held nothing may be; and one that holds a single destination's rows is that
-- destination's.
create function outbox.sift_shared(p_batch uuid) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_names text[];
  v_held  text[];
begin
  perform from outbox.batches b where b.id = p_batch for update;
  perform outbox.sort_out(p_batch, false);
  select array_agg(n.name), array_agg(n.name) filter (where outbox.is_held(n.name)) into v_names, v_held
  from (select distinct d.destination as name from outbox.deliveries d where d.batch_id = p_batch) n;
  if cardinality(v_names) = 1 then
    update outbox.batches b set lane = v_names[1] where b.id = p_batch;
  elsif v_held is not null then
    update outbox.deliveries d set state = 'pending', batch_id = null
    where d.batch_id = p_batch and d.destination = any (v_held) and d.state = 'claimed';
  end if;
end $$;

-- As before (0006); a shared batch holds keys of several destinations.
create or replace function outbox.acknowledge(p_batch uuid, p_run integer, p_seqs bigint[], p_keep boolean) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan set enable_bitmapscan = off as $$
declare
  v_of   text[];
  v_keys text[];
begin
  update outbox.batches set open = case when active then greatest(open - cardinality(p_seqs), 0) else open end
  where id = p_batch and run = p_run;
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
  select array_agg(destination), array_agg(key) into v_of, v_keys from gone where key is not null;
  if v_keys is not null then
    perform outbox.release_keys(k.destination, array_agg(k.key)) from unnest(v_of, v_keys) k(destination, key) group by k.destination;
  end if;
  return true;
end $$;

-- As before (0012); keys are a destination's own.
create or replace function outbox.return_tails(p_batch uuid, p_seqs bigint[] default null) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
begin
  update outbox.deliveries t set state = 'blocked', batch_id = null, due_at = null
  from (select d.destination, d.key, min(d.seq) as seq from outbox.deliveries d
        where d.batch_id = p_batch and d.key is not null and (p_seqs is null or d.seq = any (p_seqs))
        group by d.destination, d.key) h
  where t.batch_id = p_batch and t.destination = h.destination and t.key = h.key and t.seq > h.seq and t.state in ('claimed', 'retry');
  get diagnostics v_count = row_count;
  if v_count > 0 then
    update outbox.batches set open = case when active then greatest(open - v_count, 0) else open end where id = p_batch;
  end if;
  return v_count;
end $$;

-- As before (0024); a shared batch is sifted first.
create or replace function outbox.open_batch(p_workflow text, p_by uuid default null)
returns table (batch_id uuid, run integer, lane text, fruitless integer, config_revision integer, held boolean, suspect boolean)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
declare
  c_suspect constant integer := 2;
begin
  perform outbox.sift_shared(b.id) from outbox.batches b where b.workflow_id = p_workflow and b.lane = outbox.shared_lane();
  return query
  update outbox.batches b
  set run = b.run + 1,
      fruitless = n.lost + case when n.lost < c_suspect then 1 else 0 end,
      opened_by = case when n.lost < c_suspect then p_by end,
      checked_at = now()
  from (
    select o.id, greatest(o.fruitless - case when o.opened_by = p_by then 1 else 0 end, 0) as lost
    from outbox.batches o where o.workflow_id = p_workflow for update
  ) n, outbox.settings s
  where b.id = n.id
  returning b.id, b.run, b.lane, n.lost, s.config_revision, outbox.is_held(b.lane), n.lost >= c_suspect;
  -- Retries wait as the receiver asked, like claims.
  update outbox.deliveries d set due_at = c.wait_until
  from outbox.batches b join outbox.circuits c on c.destination = b.lane and c.wait_until > now()
  where b.workflow_id = p_workflow and d.batch_id = b.id and d.state = 'retry' and d.due_at <= now();
  perform outbox.ration_retries(b.id, d)
  from outbox.batches b join outbox.destinations d on d.name = b.lane and d.rate_per_second is not null
  where b.workflow_id = p_workflow;
end $$;

-- As before (0024); of a shared batch what is held meanwhile goes back.
create or replace function outbox.begin_alone(p_batch uuid, p_run integer, p_by uuid) returns table (held boolean)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_lane text;
begin
  update outbox.batches b set fruitless = b.fruitless + 1, opened_by = p_by
  where b.id = p_batch and b.run = p_run
  returning b.lane into v_lane;
  if not found then
    return;
  end if;
  if v_lane = outbox.shared_lane() then
    update outbox.deliveries d set state = 'pending', batch_id = null
    where d.batch_id = p_batch and d.state = 'claimed' and outbox.is_held(d.destination);
  end if;
  return query select outbox.is_held(v_lane);
end $$;

-- As before (0006); whatever is left of a shared batch is sorted out by destination.
create or replace function outbox.finish_attempt(p_batch uuid, p_run integer, p_max_singles integer, p_seqs bigint[] default '{}', p_keep boolean default true)
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
  if v_batch.lane = outbox.shared_lane() then
    perform outbox.sort_out(p_batch, false);
  end if;
  select count(*), count(*) filter (where state = 'claimed'), bool_and(state = 'retry' and due_at < now() + interval '0.9 s')
  into v_failing, v_unsent, v_soon
  from outbox.deliveries where batch_id = p_batch;
  if v_failing = 0 then
    delete from outbox.batches where id = p_batch;
    return '{"left": 0, "unsent": 0, "retrying": 0, "nextDueMs": null, "parked": 0, "rows": []}'::jsonb
      || jsonb_build_object('singles', case when v_batch.lane = outbox.shared_lane() then outbox.children_of(p_batch) else '[]' end);
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

-- As before (0008); rows of a shared batch are parked in batches of their own destinations, which the workflow that is started again starts.
create or replace function outbox.park_batch(p_workflow text, p_reason text, p_run integer default null) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch uuid;
  v_lane  text;
  v_part  uuid;
  v_parts uuid[];
  v_left  integer;
begin
  update outbox.batches set run = run + 1, active = false, open = 0, fruitless = 0
  where workflow_id = p_workflow and run = coalesce(p_run, run)
  returning id, lane into v_batch, v_lane;
  if not found then
    return 0;
  end if;
  v_parts := array[v_batch];
  if v_lane = outbox.shared_lane() then
    perform outbox.sort_out(v_batch, true);
    select coalesce(array_agg(id), '{}') into v_parts from outbox.batches where parent = v_batch and run = 0;
    delete from outbox.batches where id = v_batch;
  end if;
  foreach v_part in array v_parts loop
    perform outbox.return_tails(v_part); -- behind a parked head they wait for it, they are not parked with it
    perform outbox.park_rows(v_part, t.rows)
    from (select jsonb_agg(jsonb_build_object('seq', seq, 'reason', p_reason)) as rows
          from outbox.deliveries where batch_id = v_part and state in ('claimed', 'retry')) t
    where t.rows is not null;
  end loop;
  select count(*) into v_left from outbox.deliveries where batch_id = any (v_parts);
  if v_left = 0 then
    delete from outbox.batches where id = any (v_parts);
  end if;
  return v_left;
end $$;

-- As before (0024); a part of a shared batch that holds one destination's rows is that destination's.
create or replace function outbox.break_up(p_batch uuid, p_run integer) returns jsonb
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
    from (select seq, ntile(least(v_rows, 32)) over (order by destination, seq) as part
          from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry')) t
    group by t.part order by t.part
  loop
    v_part := gen_random_uuid();
    insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, parent, fruitless)
    select v_part, case when count(distinct d.destination) = 1 then min(d.destination) else v_batch.lane end,
           outbox.workflow_prefix() || 'deliver/' || v_part, cardinality(v_seqs),
           case when v_batch.active then cardinality(v_seqs) else 0 end, v_batch.active, v_batch.epoch, p_batch, 2
    from outbox.deliveries d where d.batch_id = p_batch and d.seq = any (v_seqs);
    update outbox.deliveries set batch_id = v_part where batch_id = p_batch and seq = any (v_seqs);
  end loop;
  update outbox.batches set active = false, open = 0, fruitless = 0 where id = p_batch;
  delete from outbox.batches b where b.id = p_batch and not exists (select from outbox.deliveries where batch_id = p_batch);
  return outbox.batch_summary(v_batch.workflow_id) || jsonb_build_object('singles', outbox.children_of(p_batch));
end $$;
