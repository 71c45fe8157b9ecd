-- A batch stays open: while its first attempt runs it takes in rows that arrive for its lane. They are claimed into it by the same
-- function, under the same rules, that claims new batches.
--
-- Who owns such a row is never in doubt. The claim finds the batch active and under the run that it names, and holds the batch's row
-- lock until it commits; the end of the attempt (finish_attempt) takes the same lock and counts what the batch still holds. So either the
-- end comes first, and the claim takes nothing, or the claim comes first, and the end sees its rows: the attempt loads them, or leaves them
-- to the next execution. What is handed over in memory is only a hint where to look.

alter table outbox.batches
  -- When rows last came into it after it was made.
  add column fed_at timestamptz,
  -- An attempt in a process that does not own the lane looks for more rows itself; until then the owner makes no other batch.
  add column looks_until timestamptz;

-- What of the batch is sent for these rows: as load_rows answers it, of p_seqs (in order) those whose payloads fit p_bytes, one at least.
-- p_ids: their events in order. The ids are gathered first, so that partitions are pruned once a call (by the range: a parameter's array
-- prunes nothing) and each index is walked once: 18 µs of CPU a row became 7. The planner knows neither array's length, and would join by
-- nested loops or sort the whole batch for every hundred rows; hence the two settings. plpgsql and not SQL because it keeps its plan: planning
-- over 40 partitions took 1.4 of 2.6 ms a call. Volatile, to see the rows that a claim in the same statement made.
create function outbox.load_these(p_batch uuid, p_seqs bigint[], p_ids uuid[], p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp
set plan_cache_mode = force_generic_plan set enable_bitmapscan = off set enable_nestloop = off as $$
#variable_conflict use_column
begin
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
create or replace function outbox.load_rows(p_batch uuid, p_after bigint, p_limit integer, p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text
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
create function outbox.load_claimed(p_batch uuid, p_seqs bigint[], p_limit integer, p_bytes bigint)
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
        where batch_id = p_batch and seq = any (p_seqs) and state = 'claimed' order by seq limit p_limit) d;
  if v_seqs is not null then
    return query select * from outbox.load_these(p_batch, v_seqs, v_ids, p_bytes);
  end if;
end $$;

-- Rows for one batch of a lane that keeps order, locked: of each free key its first ones, breadth first, and rows without a key.
-- Rows it met that must wait for their key become blocked. At most p_count; p_after as in outbox.claim.
--
-- p_batch: rows are to join this batch, whose row the caller has locked. A key is free for it, too, that is held by rows of it
-- alone, all of them in their first attempt: what joins them is sent after them. A key with a row that failed is not; and none holds more
-- than c_per_key rows of one key at a time.
--
-- Why it cannot leave a row blocked that nobody will wake: it locks the rows it looks at first, and asks who holds their keys in
-- a later statement, which sees all that was settled before. What still holds a key it locks as well, before it blocks anything;
-- whoever settles that holder waits for this transaction, looks for the next row after it, and finds the blocked one. A holder that
-- is locked is being settled just now: its key is left as it is, for the next claim.
drop function outbox.take_keyed(text, bigint, integer);
create function outbox.take_keyed(
  p_lane text, p_after bigint, p_count integer, p_batch uuid default null, out taken tid[], out last_seq bigint
)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  -- A batch sends a key's rows one after another; more than this would wait in it for long.
  c_per_key constant integer := 100;
  c_look    constant integer := 100;
  v_seen  tid[];
  v_keys  text[];
  v_free  text[];
  v_room  integer[]; -- of each free key
  v_held  text[];
  v_taken text[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'claims of a lane that keeps order need the isolation level read committed, not %', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state', hint = 'Set default_transaction_isolation for the role of the relay.';
  end if;
  select array_agg(t.ctid), array_agg(distinct t.key) filter (where t.key is not null) into v_seen, v_keys
  from (select d.ctid, d.key from outbox.deliveries d
        where d.destination = p_lane and d.state = 'pending' and d.seq > p_after
        order by d.seq limit greatest(p_count, c_look) for update skip locked) t;
  if v_seen is null then
    return;
  end if;

  select array_agg(k), array_agg(c_per_key - h.mine) into v_free, v_room
  from unnest(v_keys) k
  cross join lateral (select count(*)::integer as mine, coalesce(bool_or(not o.joinable), false) as others
                      from (select p_batch is not null and d.batch_id = p_batch and d.state = 'claimed' as joinable from outbox.deliveries d
                            where d.destination = p_lane and d.key = k and d.state in ('claimed', 'retry', 'parked')
                            limit case when p_batch is null then 1 else c_per_key end) o) h
  where not h.others and h.mine < c_per_key;
  if cardinality(v_free) is distinct from cardinality(v_keys) then
    select array_agg(k) into v_held
    from unnest(v_keys) k
    cross join lateral (select from outbox.deliveries d
                        where d.destination = p_lane and d.key = k and d.state in ('claimed', 'retry', 'parked')
                        limit 1 for no key update skip locked) h
    where v_free is null or k <> all (v_free);
  end if;

  -- A key's rows up to the first that somebody else has locked.
  with chain as materialized (
    select c.at, c.seq, k.key, row_number() over (partition by k.key order by c.seq) as n
    from unnest(v_free, v_room) k(key, room)
    cross join lateral (
      select d.ctid as at, d.seq from outbox.deliveries d
      where d.destination = p_lane and d.key = k.key and d.state in ('pending', 'blocked')
      order by d.seq limit least(k.room, ceil(2.0 * p_count / cardinality(v_free)))) c
  ), locked as materialized (
    select d.ctid as at from outbox.deliveries d
    where d.ctid = any (array(select at from chain)) and d.state in ('pending', 'blocked') for update skip locked
  ), whole as (
    select c.*, bool_and(l.at is not null) over (partition by c.key order by c.n) as unbroken
    from chain c left join locked l on l.at = c.at
  ), chosen as (
    select at, seq, key from (
      select at, seq, key, n from whole where unbroken
      union all
      select d.ctid, d.seq, null, 1 from outbox.deliveries d where d.ctid = any (v_seen) and d.key is null
    ) c
    order by n, seq limit p_count
  )
  select array_agg(at), max(seq), array_agg(distinct key) filter (where key is not null) into taken, last_seq, v_taken from chosen;

  update outbox.deliveries d set state = 'blocked'
  where d.ctid = any (v_seen) and d.key = any (coalesce(v_held, '{}') || coalesce(v_taken, '{}'))
    and (taken is null or d.ctid <> all (taken));
end $$;

-- Claims for each given lane that has work and room one new batch or, where p_into names one, rows into a batch that is in its first attempt;
-- answers what it claimed. A lane may be given twice.
--
-- A lane's room is counted in rows that have not come through their first attempt. Batches count against in_flight only while rows
-- came into them lately (p_slow_after): one slow answer in a batch must not hold up the lane. `slow` answers how many are older.
--
-- p_after: only rows with a larger seq are looked at. It is a hint that spares the dead index entries of rows already claimed
-- (they pile up while somebody's old transaction holds the horizon); now and then the caller passes 0, which finds rows that
-- committed late or came back. No row is ever found by it alone.
--
-- p_open: a new batch is opened at once (run 1), for a worker in the claiming process; any other execution opens the next run.
--
-- p_into, p_run, p_revision: rows are to join this batch, under the run and the revision of the configuration that its attempt began with.
-- `closed` answers that it takes in no more: it is over or was taken over, has had enough, its destination is held or asked for time, or the
-- configuration is another. Whoever is at work on its row is not waited for. p_relay null: the attempt asks for itself, in a process that does
-- not own the lane. It may, as long as somebody does: all that is counted of a lane is counted under the lane's row lock.
-- p_looks: and will ask again within this time.
--
-- p_limit: rows at most; 0 makes a batch without rows, to be there when the one before it closes.
--
-- The rows are locked first and then updated by their address (ctid): they are ours, so no address moves in between. Measured for
-- 1,000 of 100,000 rows, statistics stale (as they are after a burst): ctid 6 ms; `seq = any (array)` 262 ms, the plan filtering
-- the whole lane; and `seq in (select … limit)` can ignore its limit under a nested loop.
--
-- Whoever holds a batch's row and waits for a lane's (open_batch) does not wait for this function for ever: it waits for neither.
drop function outbox.claim(uuid, text[], bigint[], interval, boolean);
create function outbox.claim(
  p_relay uuid, p_lanes text[], p_after bigint[], p_slow_after interval, p_open boolean default false,
  p_into uuid[] default null, p_run integer[] default null, p_revision integer[] default null, p_limit integer[] default null,
  p_looks interval default null
)
returns table (
  lane text, batch_id uuid, workflow_id text, size integer, last_seq bigint, slow integer, seqs bigint[], closed boolean
)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  -- As many times batch_maximum a batch takes in, in all. With a maximum of one every event has a workflow of its own.
  c_times_maximum constant integer := 10;
  v_destination outbox.destinations;
  v_circuit outbox.circuits; -- null where it never failed
  v_into  outbox.batches;
  v_busy  integer;
  v_slow  integer;
  v_rows  bigint;
  v_looks boolean;
  v_found tid[];
  v_seqs  bigint[];
  v_count integer;
  v_batch uuid;
  v_last  bigint;
begin
  -- Not waiting for the disk (2 ms here). The log is sequential and acknowledgements do wait, so a claim that a crash of the
  -- server takes back had no row acknowledged: its rows are pending again, and its workflow finds no batch.
  perform set_config('synchronous_commit', 'off', true);
  for i in 1 .. coalesce(array_length(p_lanes, 1), 0) loop
    v_into := null;
    if p_looks is not null then
      -- Before it is known whether anything waits: the owner is to leave what comes next to this attempt.
      update outbox.batches b set looks_until = now() + p_looks
      where b.id = p_into[i] and b.run = p_run[i] and b.active and (b.looks_until is null or b.looks_until < now() + p_looks / 2);
    end if;
    if p_limit[i] is distinct from 0 then
      -- Not `exists (…)`: that drops ORDER BY, and with it the index as soon as statistics say that most rows are pending. Measured
      -- with 300,000 rows parked since: 50 to 85 ms a poll in place of 0.02.
      perform from outbox.deliveries d where d.destination = p_lanes[i] and d.state = 'pending' and d.seq > p_after[i]
      order by d.seq limit 1;
      continue when not found;
    end if;
    if p_into[i] is not null then
      select * into v_into from outbox.batches b where b.id = p_into[i] and b.run = p_run[i] and b.active for update skip locked;
      if not found then
        return query select p_lanes[i], p_into[i], null::text, 0, null::bigint, 0, null::bigint[], true
        where not exists (select from outbox.batches b where b.id = p_into[i] and b.run = p_run[i] and b.active);
        continue;
      end if;
    end if;
    perform from outbox.lanes l
    where l.name = p_lanes[i] and l.lease_until > now() and (l.owner = p_relay or p_relay is null and v_into.id is not null)
    for no key update skip locked;
    continue when not found;
    select * into v_destination from outbox.destinations d where d.name = p_lanes[i];
    continue when not found and v_into.id is null;
    select * into v_circuit from outbox.circuits c where c.destination = p_lanes[i];
    if v_into.id is not null then
      if v_destination.name is null or v_destination.paused_at is not null or v_circuit.state <> 'closed'
         or v_circuit.wait_until > now() - interval '1 minute' or v_destination.batch_maximum = 1
         or v_into.size >= v_destination.batch_maximum * c_times_maximum
         or p_revision[i] <> (select s.config_revision from outbox.settings s) then
        return query select p_lanes[i], v_into.id, v_into.workflow_id, 0, null::bigint, 0, null::bigint[], true;
        continue;
      end if;
    else
      continue when v_destination.paused_at is not null;
      continue when v_circuit.state <> 'closed' or v_circuit.wait_until > now();
    end if;

    select count(*) filter (where b.open > 0 and coalesce(b.fed_at, b.claimed_at) > now() - p_slow_after),
           count(*) filter (where b.open > 0 and coalesce(b.fed_at, b.claimed_at) <= now() - p_slow_after), coalesce(sum(b.open), 0),
           coalesce(bool_or(b.looks_until > now()), false)
    into v_busy, v_slow, v_rows, v_looks
    from outbox.batches b where b.lane = p_lanes[i] and b.active;
    v_count := least(p_limit[i], v_destination.batch_maximum, v_destination.batch_maximum * v_destination.batch_in_flight - v_rows);
    if v_into.id is not null then
      v_count := least(v_count, v_destination.batch_maximum - v_into.open);
    elsif p_limit[i] is distinct from 0 then
      continue when v_busy >= v_destination.batch_in_flight or v_looks;
      if v_circuit.wait_until > now() - interval '1 minute' then
        v_count := least(v_count, v_circuit.claim_at_most);
      end if;
    else
      continue when v_destination.batch_maximum = 1;
    end if;
    continue when v_count <= 0 and p_limit[i] is distinct from 0;

    v_found := null;
    v_seqs := '{}';
    v_last := null;
    if v_count > 0 then
      if v_destination.rate_per_second is not null then
        v_count := outbox.tokens_for(v_destination, p_after[i], v_count);
        continue when v_count = 0;
      end if;
      if v_destination.ordering = 'key' then
        select t.taken, t.last_seq into v_found, v_last from outbox.take_keyed(p_lanes[i], p_after[i], v_count, v_into.id) t;
      else
        select array_agg(t.ctid), max(t.seq) into v_found, v_last
        from (select d.ctid, d.seq from outbox.deliveries d
              where d.destination = p_lanes[i] and d.state = 'pending' and d.seq > p_after[i]
              order by d.seq limit v_count for update skip locked) t;
      end if;
      continue when v_found is null;
    end if;

    v_batch := coalesce(v_into.id, gen_random_uuid());
    if v_found is not null then
      with claimed as (
        update outbox.deliveries d set state = 'claimed', batch_id = v_batch where d.ctid = any (v_found) returning d.seq
      )
      select array_agg(c.seq order by c.seq) into v_seqs from claimed c;
      v_count := cardinality(v_seqs);
      if v_destination.rate_per_second is not null then
        perform outbox.spend_tokens(v_destination, v_count);
      end if;
    else
      v_count := 0;
    end if;

    if v_into.id is not null then
      update outbox.batches b set size = b.size + v_count, open = b.open + v_count, fed_at = now() where b.id = v_batch;
    else
      insert into outbox.batches (id, lane, workflow_id, size, open, epoch, run, fruitless)
      select v_batch, p_lanes[i], outbox.workflow_prefix() || 'deliver/' || v_batch, v_count, v_count, s.temporal_epoch,
             p_open::int, p_open::int
      from outbox.settings s;
    end if;
    return query
    select p_lanes[i], v_batch, coalesce(v_into.workflow_id, outbox.workflow_prefix() || 'deliver/' || v_batch), v_count, v_last, v_slow,
           v_seqs, false;
  end loop;
end $$;

-- An attempt whose time is up gives back what it has not begun: another batch has taken its place and would send them sooner. p_begun: rows that
-- are under way, or answered and not written yet. Uncharged, the rate's tokens too. Answers how many; null when fenced.
create function outbox.give_back(p_batch uuid, p_run integer, p_begun bigint[]) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_lane  text;
  v_count integer;
begin
  select b.lane into v_lane from outbox.batches b where b.id = p_batch and b.run = p_run for update;
  if not found then
    return null;
  end if;
  update outbox.deliveries d set state = 'pending', batch_id = null
  where d.batch_id = p_batch and d.state = 'claimed' and d.seq <> all (p_begun);
  get diagnostics v_count = row_count;
  if v_count > 0 then
    update outbox.batches b set open = case when b.active then greatest(b.open - v_count, 0) else b.open end where b.id = p_batch;
    update outbox.lanes l set tokens = least(l.tokens + v_count, d.rate_burst)
    from outbox.destinations d
    where l.name = v_lane and d.name = v_lane and d.rate_per_second is not null;
  end if;
  return v_count;
end $$;
