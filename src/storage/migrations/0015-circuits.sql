-- A sick destination is not a sick event. Its circuit is closed (all is well), open (nothing is sent but probes) or half-open (a
-- probe went through: a few events, then more). A pause is a person's, or follows from refusals that are all alike; only a person
-- ends it. What was decided is in these rows, for every relay and worker alike; the workflow `destination/<name>` keeps the time.

-- How a destination stands, for its workflow and for people. At most 10,000 waiting ones are counted.
create function outbox.circuit_standing(p_destination text) returns jsonb
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
begin
  return (select jsonb_build_object(
      'destination', d.name,
      'configRevision', (select s.config_revision from outbox.settings s),
      'state', coalesce(c.state, 'closed'),
      'paused', d.paused_at is not null,
      'pausedByRefusals', d.paused_by_refusals,
      'since', coalesce(d.paused_at, c.since),
      'reason', case when d.paused_at is not null then d.paused_reason else c.reason end,
      'lastStatus', c.last_status,
      'lastErrorClass', c.last_error_class,
      'openedAt', case when c.state <> 'closed' then c.opened_at end,
      'requests', coalesce(c.requests, 0),
      'failures', coalesce(c.failures, 0),
      'unreachableInARow', coalesce(c.unreachable_in_a_row, 0),
      'faultsInARow', coalesce(c.faults_in_a_row, 0),
      -- An outage that begins within a minute of the last one's end is the same outage to its probes.
      'failedProbes', case when c.state <> 'closed' then c.failed_probes
                           when c.closed_at > now() - interval '1 minute' then c.failed_probes + 1 else 0 end,
      'nextProbeAt', case when c.state = 'open' then c.next_probe_at end,
      'waitUntil', case when c.state = 'closed' and c.wait_until > now() then c.wait_until end,
      'nextProbeMs', case when c.state = 'open' then ceil(extract(epoch from c.next_probe_at - now()) * 1000) end,
      'waiting', (select count(*) from (select from outbox.deliveries v where v.destination = d.name and v.state = 'pending'
                                        limit 10001) w))
    from outbox.destinations d left join outbox.circuits c on c.destination = d.name where d.name = p_destination);
end $$;

create function outbox.note_circuit(p_destination text, p_action text, p_message text) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  insert into outbox.audit (via, workflow_id, action, destination, outcome, message)
  values ('circuit', outbox.workflow_prefix() || 'destination/' || p_destination, p_action, p_destination, 'done', left(p_message, 1000))
$$;

create function outbox.have_circuit(p_destination text) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  insert into outbox.circuits (destination) select name from outbox.destinations where name = p_destination on conflict do nothing
$$;

-- Lets the clock run when nothing holds the destination any more, and stops it when something does.
create function outbox.set_clock(p_destination text) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.circuits c
  set stood_still = c.stood_still + case when h.held then interval '0' else coalesce(now() - c.still_since, '0') end,
      still_since = case when h.held then coalesce(c.still_since, now()) end
  from (select outbox.is_held(p_destination) as held) h
  where c.destination = p_destination
$$;

-- Adds what an attempt with failures came to. p_counts: { acknowledged, requests, sick, unreachable, answered, fault, faults };
-- acknowledged counts all of this process since it last reported, requests and the rest this attempt; answered: whether anything in
-- it was; fault: the class of destination's fault that it ended with, faults times in a row. Answers the standing; null without the destination.
create function outbox.count_outcomes(p_destination text, p_counts jsonb, p_window interval) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform outbox.have_circuit(p_destination);
  update outbox.circuits c
  set window_started_at = case when w.over then now() else c.window_started_at end,
      requests = case when w.over then 0 else c.requests end + n.acknowledged + n.requests,
      failures = case when w.over then 0 else c.failures end + n.sick,
      unreachable_in_a_row = case when n.answered then 0 when n.acknowledged > 0 then n.unreachable
                                  else c.unreachable_in_a_row + n.unreachable end,
      fault_class = n.fault,
      faults_in_a_row = case when n.fault is null then 0
                             when n.acknowledged = 0 and c.fault_class = n.fault then c.faults_in_a_row + n.faults
                             else n.faults end
  from jsonb_to_record(p_counts) as n(acknowledged integer, requests integer, sick integer, unreachable integer, answered boolean,
                                      fault text, faults integer),
       lateral (select c2.window_started_at < now() - p_window as over from outbox.circuits c2 where c2.destination = p_destination) w
  where c.destination = p_destination and c.state = 'closed';
  return outbox.circuit_standing(p_destination);
end $$;

-- Opens a closed circuit; p_facts: { reason, status, errorClass, nextProbeMs, windowMs }. Refusals that were charged in the window
-- are refunded: they were the outage's first. Answers whether it was closed.
create function outbox.open_circuit(p_destination text, p_facts jsonb) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform outbox.have_circuit(p_destination);
  update outbox.circuits
  set state = 'open', since = now(), opened_at = now(), watched_at = null, reason = p_facts ->> 'reason',
      last_status = (p_facts ->> 'status')::int, last_error_class = p_facts ->> 'errorClass',
      failed_probes = case when closed_at > now() - interval '1 minute' then failed_probes + 1 else 0 end,
      next_probe_at = now() + (p_facts ->> 'nextProbeMs')::double precision * interval '1 ms'
  where destination = p_destination and state = 'closed';
  if not found then
    return false;
  end if;
  perform outbox.set_clock(p_destination);
  perform outbox.refund(p_destination, (p_facts ->> 'windowMs')::double precision * interval '1 ms');
  perform outbox.note_circuit(p_destination, 'open', p_facts ->> 'reason');
  return true;
end $$;

-- Attempts of the window that were charged for a 5xx, of deliveries that are retrying. By way of the lane's batches: the failed attempts
-- of a day may be many, and only their index by event is small.
create function outbox.refund(p_destination text, p_window interval) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  with refunded as (
    update outbox.attempts a set charged = false
    from outbox.batches b join outbox.deliveries d on d.batch_id = b.id
    where b.lane = p_destination and d.destination = p_destination and d.state = 'retry' and d.attempts > 0
      and a.event_id = d.event_id and a.destination = d.destination and a.charged and a.status >= 500
      and a.at > now() - p_window and a.at <= now()
    returning a.event_id
  ), counted as (
    select event_id, count(*)::int as n from refunded group by event_id
  )
  update outbox.deliveries d set attempts = greatest(d.attempts - c.n, 0)
  from counted c where d.event_id = c.event_id and d.destination = p_destination and d.state = 'retry'
$$;

-- A probe failed, or a later phase of it: wait for the next one. p_facts as for open_circuit.
create function outbox.note_failed_probe(p_destination text, p_facts jsonb) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.circuits
  set state = 'open', since = case when state = 'open' then since else now() end, reason = p_facts ->> 'reason',
      last_status = (p_facts ->> 'status')::int, last_error_class = p_facts ->> 'errorClass', failed_probes = failed_probes + 1,
      next_probe_at = now() + (p_facts ->> 'nextProbeMs')::double precision * interval '1 ms'
  where destination = p_destination and state <> 'closed'
$$;

-- A probe went through. Answers false when somebody closed or paused it meanwhile: then nothing more is to be sent.
create function outbox.half_open(p_destination text) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.circuits c set state = 'half-open', since = case when c.state = 'half-open' then c.since else now() end
  from outbox.destinations d
  where c.destination = p_destination and c.state <> 'closed' and d.name = c.destination and d.paused_at is null;
  return found;
end $$;

-- p_unreachable: what is left of the count in a row. Closed for want of anything to probe with, the next failure is to open it again.
create function outbox.close_circuit(p_destination text, p_message text, p_unreachable integer default 0) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.circuits
  set state = 'closed', since = now(), closed_at = now(), next_probe_at = null, reason = null, window_started_at = now(), requests = 0,
      failures = 0, unreachable_in_a_row = p_unreachable, fault_class = null, faults_in_a_row = 0
  where destination = p_destination and state <> 'closed';
  if found then
    perform outbox.set_clock(p_destination);
    perform outbox.note_circuit(p_destination, 'close', p_message);
  end if;
end $$;

-- Answers false when it was paused before.
create function outbox.pause_destination(p_destination text, p_reason text, p_by_refusals boolean default false) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform outbox.have_circuit(p_destination);
  update outbox.destinations set paused_at = now(), paused_reason = left(p_reason, 1000), paused_by_refusals = p_by_refusals
  where name = p_destination and paused_at is null;
  if not found then
    return false;
  end if;
  update outbox.circuits set watched_at = null, fault_class = null, faults_in_a_row = 0 where destination = p_destination;
  perform outbox.set_clock(p_destination);
  return true;
end $$;

-- Gives back what a batch has not settled, uncharged. p_rows: failures as for record_failures, tried and not charged; p_change:
-- { open: facts } or { pause: { reason, … } } when they are the reason for it, { wait: { waitMs, claimAtMost } } when the receiver is well
-- and asked for time, else null. Answers the batch's summary; null when fenced.
--
-- For a wait, what is not due stays with the batch: its own policy holds it, and no outage that would be no fault of its.
-- A row that a policy holds until later keeps its time (`scheduled`), unless its key's order would suffer.
create function outbox.return_rows(p_batch uuid, p_run integer, p_rows jsonb, p_change jsonb) returns jsonb
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
    delete from outbox.attempts a
    using outbox.deliveries d
    where d.batch_id = p_batch and d.tries > 25
      and a.event_id = d.event_id and a.destination = d.destination and a.at <= now() and a.try = d.tries - 20;
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

-- What a probe left whose worker was lost goes back to the line, uncharged; a worker that was only slow is fenced. Answers how many
-- probes. One at a time is made for a destination, by its workflow, so whoever begins one may take it that the earlier is over. Until
-- then a key that was in it stands still.
create function outbox.return_lost_probe(p_destination text) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_lost  outbox.batches;
  v_count integer := 0;
begin
  -- Nothing but a probe is kept from the reconciler. Parked by it and not handed over: the reconciler finds the workflow missing.
  for v_lost in
    update outbox.batches b set run = b.run + 1, checked_at = null
    where b.lane = p_destination and b.checked_at > now() returning b.*
  loop
    perform outbox.return_rows(v_lost.id, v_lost.run, '[]', null);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;

-- A batch of its own for a probe: up to p_limit pending deliveries, those tried least first, so that an event which is itself the
-- trouble does not stand for its destination for ever; of one key only the first. Looks at both ends of the line, not at all of it.
-- The batch has the name of a `deliver` workflow that nobody started, and is kept from the reconciler for p_hold; what a lost probe leaves
-- is returned by the next one. `others`: whether more are waiting.
create function outbox.claim_probe(p_destination text, p_limit integer, p_hold interval)
returns table (batch_id uuid, run integer, lane text, fruitless integer, config_revision integer, held boolean, size integer, others boolean)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_destination outbox.destinations;
  v_batch uuid := gen_random_uuid();
  v_seqs  bigint[];
  v_count integer;
begin
  -- Claims of this lane take turns.
  insert into outbox.lanes (name) select d.name from outbox.destinations d where d.name = p_destination on conflict do nothing;
  perform from outbox.lanes l where l.name = p_destination for update;
  select * into v_destination from outbox.destinations d where d.name = p_destination;
  if v_destination.rate_per_second is not null then
    -- A probe is sent even where nothing may be: by one it may overdraw, as a retry may.
    select least(p_limit, greatest(1, floor(outbox.tokens_now(l, v_destination)))) into p_limit
    from outbox.lanes l where l.name = p_destination;
  end if;
  with sample as (
    (select d.seq, d.tries, d.key from outbox.deliveries d
     where d.destination = p_destination and d.state = 'pending' order by d.seq limit p_limit + 50)
    union
    (select d.seq, d.tries, d.key from outbox.deliveries d
     where d.destination = p_destination and d.state = 'pending' order by d.seq desc limit 20)
  )
  select array_agg(t.seq) into v_seqs
  from (select s.seq from sample s
        where s.key is null or not exists (
          select from outbox.deliveries e
          where e.destination = p_destination and e.key = s.key
            and (e.state in ('claimed', 'retry', 'parked') or e.state in ('pending', 'blocked') and e.seq < s.seq))
        order by s.tries, s.seq limit p_limit) t;
  if v_seqs is null then
    return;
  end if;
  insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, run, checked_at)
  select v_batch, p_destination, outbox.workflow_prefix() || 'deliver/' || v_batch, cardinality(v_seqs), 0, false, s.temporal_epoch, 1,
         now() + p_hold
  from outbox.settings s;
  update outbox.deliveries d set state = 'claimed', batch_id = v_batch
  where d.destination = p_destination and d.state = 'pending' and d.seq = any (v_seqs);
  get diagnostics v_count = row_count;
  if v_destination.rate_per_second is not null then
    perform outbox.spend_tokens(v_destination, v_count);
  end if;
  return query
  select v_batch, 1, p_destination, 0, s.config_revision, false, v_count,
         exists (select from outbox.deliveries d where d.destination = p_destination and d.state = 'pending')
  from outbox.settings s;
end $$;

-- Ends a probe whose failures were written (record_failures): what it has not settled goes to workflows of its own. Answers them, as
-- finish_attempt's `singles`; null when fenced.
create function outbox.finish_probe(p_batch uuid, p_run integer, p_max_singles integer) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_summary jsonb := outbox.finish_attempt(p_batch, p_run, p_max_singles);
begin
  update outbox.batches set checked_at = now() where id = p_batch;
  return v_summary -> 'singles' || coalesce(
    (select jsonb_build_array(jsonb_build_object('workflowId', b.workflow_id, 'lane', b.lane, 'eventId', null, 'eventType', null))
     from outbox.batches b where b.id = p_batch), '[]');
end $$;

-- Destinations that are paused or whose circuit is not closed, and whose workflow nobody looked for lately: those that changed first.
create function outbox.circuits_to_watch(p_age interval, p_limit integer) returns table (destination text, fresh boolean)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  with due as materialized (
    select c.destination, c.watched_at is null as fresh from outbox.circuits c join outbox.destinations d on d.name = c.destination
    where (c.state <> 'closed' or d.paused_at is not null) and (c.watched_at is null or c.watched_at < now() - p_age)
    order by c.watched_at nulls first limit p_limit for update of c skip locked
  )
  update outbox.circuits c set watched_at = now() from due where c.destination = due.destination
  returning c.destination, due.fresh
$$;

-- Moves old pending deliveries of a paused destination into a batch, parked, at most p_limit of them; answers how many. The batch's workflow
-- brings all of them back with one `retry`. Where order is kept, those that wait for their key are moved too.
create function outbox.park_pending(p_destination text, p_batch uuid, p_older interval, p_limit integer) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_found tid[];
  v_seqs  bigint[];
begin
  perform from outbox.destinations where name = p_destination and paused_at is not null for key share;
  if not found then
    return 0;
  end if;
  select array_agg(t.ctid), array_agg(t.seq) into v_found, v_seqs
  from (select d.ctid, d.seq from outbox.deliveries d
        where d.destination = p_destination and d.state = 'pending' and outbox.uuid7_time(d.event_id) < now() - p_older
        order by d.seq limit p_limit for update skip locked) t;
  if v_found is null then
    select array_agg(t.ctid), array_agg(t.seq) into v_found, v_seqs
    from (select d.ctid, d.seq from outbox.deliveries d
          -- Both conditions: the first is that of the index.
          where d.destination = p_destination and d.key is not null and d.state in ('pending', 'blocked') and d.state = 'blocked'
            and outbox.uuid7_time(d.event_id) < now() - p_older
          order by d.key, d.seq limit p_limit for update skip locked) t;
  end if;
  if v_found is null then
    return 0;
  end if;
  insert into outbox.batches as b (id, lane, workflow_id, size, open, active, epoch)
  select p_batch, p_destination, outbox.workflow_prefix() || 'deliver/' || p_batch, cardinality(v_seqs), 0, false, s.temporal_epoch
  from outbox.settings s
  on conflict (id) do update set size = b.size + excluded.size;
  update outbox.deliveries d set state = 'claimed', batch_id = p_batch where d.ctid = any (v_found);
  return outbox.park_rows(p_batch, (
    select jsonb_agg(jsonb_build_object('seq', seq, 'reason', 'paused', 'errorClass', 'destination-paused',
                                        'message', 'Parked by a person while its destination was paused'))
    from unnest(v_seqs) seq));
end $$;

-- Carries out { action, actor, reason, commandId, malformed } on a destination; answers { outcome: done | refused, message, events }.
-- `probe` and `park` are carried out by the activity, which notes them here with what came of it (p_outcome, p_message, p_events).
create function outbox.command_destination(
  p_destination text, p_command jsonb, p_via text, p_outcome text default null, p_message text default null, p_events integer default 0
) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_workflow text := outbox.workflow_prefix() || 'destination/' || p_destination;
  v_earlier  outbox.audit;
  v_standing jsonb;
  v_message  text := p_message;
  v_outcome  text := p_outcome;
begin
  -- Commands of one destination take turns.
  perform from outbox.destinations where name = p_destination for no key update;
  select * into v_earlier from outbox.audit where command_id = p_command ->> 'commandId';
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;
  v_standing := outbox.circuit_standing(p_destination);
  if p_command ? 'malformed' then
    v_outcome := 'refused';
    v_message := p_command ->> 'malformed';
  elsif v_standing is null then
    v_outcome := 'refused';
    v_message := format('there is no destination %s', p_destination);
  elsif v_outcome is null and p_command ->> 'action' = 'pause' then
    if outbox.pause_destination(p_destination, coalesce(nullif(trim(p_command ->> 'reason'), ''),
                                                        'by ' || coalesce(p_command ->> 'actor', 'somebody'))) then
      v_outcome := 'done';
      v_message := format('%s is paused: nothing is sent to it until it is resumed', p_destination);
    else
      v_outcome := 'refused';
      v_message := format('%s is paused already, since %s: %s', p_destination, to_char((v_standing ->> 'since')::timestamptz
        at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), coalesce(v_standing ->> 'reason', 'no reason given'));
    end if;
  elsif v_outcome is null and p_command ->> 'action' = 'resume' then
    if v_standing ->> 'state' = 'closed' and v_standing -> 'paused' = 'false' and v_standing ->> 'waitUntil' is null then
      v_outcome := 'refused';
      v_message := format('%s is neither paused nor is its circuit open', p_destination);
    else
      update outbox.destinations set paused_at = null, paused_reason = null, paused_by_refusals = false where name = p_destination;
      update outbox.circuits set wait_until = null where destination = p_destination;
      perform outbox.close_circuit(p_destination, 'resumed by ' || coalesce(p_command ->> 'actor', 'somebody'));
      perform outbox.set_clock(p_destination);
      v_outcome := 'done';
      v_message := format('%s is resumed', p_destination);
    end if;
  elsif v_outcome is null then
    return null; -- for the activity to carry out
  end if;
  return outbox.note_command(v_workflow, p_via, p_command, v_outcome, v_message, p_events, null, p_destination);
end $$;
