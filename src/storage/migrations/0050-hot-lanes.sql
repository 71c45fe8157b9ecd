-- A lane that fills its owner's thread is shared: others with time to spare claim for it, too. Whoever claims does so under the lane's row lock, by
-- what the database counts of it, so its window, its rate and the order of its keys are those of one lane.

-- Until then any relay may claim for it. Its owner says so at its heartbeats.
alter table outbox.lanes add column hot_until timestamptz;

-- Heartbeat: these lanes of p_relay are more than its process can send. Answers the lanes of others that p_relay may claim for: none where it has no time
-- to spare.
create function outbox.share_hot(p_relay uuid, p_hot text[], p_ttl interval, p_spare boolean, p_unable text[]) returns text[]
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.lanes l set hot_until = now() + p_ttl where l.name = any (p_hot) and l.owner = p_relay;
  if not p_spare then
    return '{}';
  end if;
  return array(select l.name from outbox.lanes l
               where l.hot_until > now() and l.owner <> p_relay and l.name <> all (p_unable) order by l.name);
end $$;

-- As before (0021), but that whoever has time to spare may claim for a hot lane.
create or replace function outbox.claim(
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
    where l.name = p_lanes[i] and l.lease_until > now()
      and (l.owner = p_relay or p_relay is null and v_into.id is not null or p_relay is not null and l.hot_until > now())
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
