-- What an answer means. A sign that the endpoint is gone (a redirect, 410) pauses a destination only when several different events got
-- it and none went through; probes go on with what they tried, and look at each event type.

alter table outbox.circuits
  -- Events that got a sign since the last one that went through.
  add column signs uuid[] not null default '{}',
  -- Those that paused it once: a person who resumed it knows of them.
  add column excused uuid[] not null default '{}',
  -- Its last probe met 5xx beside successes: until then 5xx are the events' own.
  add column forgiven_until timestamptz;

-- The event's type, wherever the event is kept.
create function outbox.type_of(p_event uuid) returns text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select type from (select type from outbox.events where id = p_event
                    union all select type from outbox.events_kept where id = p_event limit 1) e
$$;

-- How a destination stands, for its workflow and for people. At most 10,000 waiting ones are counted.
create or replace function outbox.circuit_standing(p_destination text) returns jsonb
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
      'signs', coalesce(cardinality(c.signs), 0),
      'forgivenMs', case when c.state = 'closed' and c.forgiven_until > now()
                         then ceil(extract(epoch from c.forgiven_until - now()) * 1000) end,
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

-- Adds what an attempt with failures came to. p_counts: { acknowledged, requests, sick, unreachable, answered, fault, faults, signs, wentThrough };
-- acknowledged counts all of this process since it last reported, requests and the rest this attempt; answered: whether anything in
-- it was; fault: the class of destination's fault that it ended with, faults times in a row; signs: the events that got a sign;
-- wentThrough: whether any event did. Answers the standing; null without the destination.
create or replace function outbox.count_outcomes(p_destination text, p_counts jsonb, p_window interval) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  c_signs constant integer := 100; -- a few tell several events from one
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
                             else n.faults end,
      signs = array(
        select s from (select unnest(n.signs) as s union select unnest(c.signs) where not coalesce(n."wentThrough", false)) t
        where s <> all (c.excused) limit c_signs)
  from jsonb_to_record(p_counts) as n(acknowledged integer, requests integer, sick integer, unreachable integer, answered boolean,
                                      fault text, faults integer, signs uuid[], "wentThrough" boolean),
       lateral (select c2.window_started_at < now() - p_window as over from outbox.circuits c2 where c2.destination = p_destination) w
  where c.destination = p_destination and c.state = 'closed';
  return outbox.circuit_standing(p_destination);
end $$;

-- Charges of the signs that now pause their destination: they were no fault of these events.
create function outbox.refund_signs(p_destination text) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  with refunded as (
    update outbox.attempts a set charged = false
    from outbox.circuits c
    where c.destination = p_destination and a.event_id = any (c.signs) and a.destination = p_destination and a.charged
      and (a.status between 300 and 399 or a.status = 410) and a.at <= now()
    returning a.event_id
  ), counted as (
    select event_id, count(*)::int as n from refunded group by event_id
  )
  update outbox.deliveries d set attempts = greatest(d.attempts - c.n, 0)
  from counted c where d.event_id = c.event_id and d.destination = p_destination and d.state in ('pending', 'scheduled', 'claimed', 'retry')
$$;

-- Answers false when it was paused before.
create or replace function outbox.pause_destination(p_destination text, p_reason text, p_by_refusals boolean default false) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform outbox.have_circuit(p_destination);
  update outbox.destinations set paused_at = now(), paused_reason = left(p_reason, 1000), paused_by_refusals = p_by_refusals
  where name = p_destination and paused_at is null;
  if not found then
    return false;
  end if;
  if p_by_refusals then
    perform outbox.refund_signs(p_destination);
  end if;
  update outbox.circuits
  set watched_at = null, fault_class = null, faults_in_a_row = 0, signs = '{}',
      excused = (array(select distinct e from unnest(signs || excused) e))[1 : 1000]
  where destination = p_destination;
  perform outbox.set_clock(p_destination);
  return true;
end $$;

-- p_unreachable: what is left of the count in a row. Closed for want of anything to probe with, the next failure is to open it again.
-- p_forgiven: for so long 5xx are the events' own.
drop function outbox.close_circuit(text, text, integer);
create function outbox.close_circuit(p_destination text, p_message text, p_unreachable integer default 0, p_forgiven interval default '0') returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.circuits
  set state = 'closed', since = now(), closed_at = now(), next_probe_at = null, reason = null, window_started_at = now(), requests = 0,
      failures = 0, unreachable_in_a_row = p_unreachable, fault_class = null, faults_in_a_row = 0,
      forgiven_until = now() + p_forgiven
  where destination = p_destination and state <> 'closed';
  if found then
    perform outbox.set_clock(p_destination);
    perform outbox.note_circuit(p_destination, 'close', p_message);
  end if;
end $$;

-- A batch of its own for a probe: up to p_limit pending deliveries, of each event type some, of one key only the first. Two of five are
-- those tried most, up to six times: a receiver that takes an event at its third try would never show it by others. The rest are those tried
-- least, so that an event which is itself the trouble does not stand for its destination for ever. Looks at both ends of the line, not at all of it.
-- The batch has the name of a `deliver` workflow that nobody started, and is kept from the reconciler for p_hold; what a lost probe leaves
-- is returned by the next one. `others`: whether more are waiting.
create or replace function outbox.claim_probe(p_destination text, p_limit integer, p_hold interval)
returns table (batch_id uuid, run integer, lane text, fruitless integer, config_revision integer, held boolean, size integer, others boolean)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_destination outbox.destinations;
  v_batch uuid := gen_random_uuid();
  v_seqs  bigint[];
  v_count integer;
  v_failed integer;
  v_again integer;
  c_tries constant integer := 6; -- who failed more often is no help any more
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
  select c.failed_probes into v_failed from outbox.circuits c where c.destination = p_destination;
  -- Of five two; where only one may go, every other time.
  v_again := case when p_limit = 1 then coalesce(v_failed, 0) % 2 else p_limit * 2 / 5 end;
  with sample as materialized (
    (select d.seq, d.tries, d.key, d.event_id from outbox.deliveries d
     where d.destination = p_destination and d.state = 'pending' order by d.seq limit p_limit + 150)
    union
    (select d.seq, d.tries, d.key, d.event_id from outbox.deliveries d
     where d.destination = p_destination and d.state = 'pending' order by d.seq desc limit 50)
  ), free as materialized (
    select s.seq, s.tries, outbox.type_of(s.event_id) as type from sample s
    where s.key is null or not exists (
      select from outbox.deliveries e
      where e.destination = p_destination and e.key = s.key
        and (e.state in ('claimed', 'retry', 'parked') or e.state in ('pending', 'blocked') and e.seq < s.seq))
  ), again as materialized (
    select a.seq from (
      select f.seq, f.tries, row_number() over (partition by f.type order by f.tries desc, f.seq) as nth
      from free f where f.tries between 1 and c_tries) a
    order by a.nth, a.tries desc, a.seq limit v_again
  )
  select array_agg(t.seq) into v_seqs
  from (select a.seq from again a
        union all
        (select r.seq from (
           select f.seq, f.tries, row_number() over (partition by f.type order by f.tries, f.seq) as nth
           from free f where f.seq not in (select a.seq from again a)) r
         order by r.nth, r.tries, r.seq limit p_limit - (select count(*) from again))) t;
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

-- p_unable: lanes that this relay's process cannot send, for want of a secret or variable. Others take them.
alter table outbox.relays add column unable text[] not null default '{}';
drop function outbox.hold_lanes(uuid, text, interval);
create function outbox.hold_lanes(p_relay uuid, p_label text, p_ttl interval, p_unable text[] default '{}') returns setof text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_relays integer;
  v_lanes  integer;
  v_share  integer;
begin
  insert into outbox.relays (id, label, unable) values (p_relay, p_label, p_unable)
  on conflict (id) do update set seen_at = now(), unable = p_unable;
  delete from outbox.relays where seen_at < now() - interval '1 hour';
  insert into outbox.lanes (name) select name from outbox.destinations on conflict do nothing;

  select count(*) into v_relays from outbox.relays where seen_at > now() - p_ttl;
  select count(*) into v_lanes from outbox.lanes;
  -- What others cannot send comes on top: somebody has to.
  v_share := ceil(v_lanes::numeric / greatest(v_relays, 1))
    + (select count(distinct u) from outbox.relays r cross join unnest(r.unable) u where r.seen_at > now() - p_ttl and r.id <> p_relay);

  update outbox.lanes set owner = null, lease_until = '-infinity' where owner = p_relay and name = any (p_unable);

  update outbox.lanes l
  set owner = case when k.rank <= v_share then p_relay end,
      lease_until = case when k.rank <= v_share then now() + p_ttl else '-infinity' end
  from (select name, row_number() over (order by lease_until > now() and owner = p_relay desc, name) as rank
        from outbox.lanes where owner = p_relay) k
  where l.name = k.name and l.owner = p_relay;

  update outbox.lanes l set owner = p_relay, lease_until = now() + p_ttl
  where l.name = any (array(
    select name from outbox.lanes
    where (owner is null or lease_until <= now()) and name <> all (p_unable)
    order by name
    limit greatest(v_share - (select count(*) from outbox.lanes where owner = p_relay), 0)
    for update skip locked));

  return query select name::text from outbox.lanes where owner = p_relay and lease_until > now();
end $$;

-- A process that can send to these destinations began. Those that were paused because one could not go on; answers which.
create function outbox.lift_pauses(p_destinations text[]) returns setof text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_name text;
begin
  for v_name in
    update outbox.destinations d set paused_at = null, paused_reason = null, paused_by_refusals = false
    from outbox.circuits c
    where c.destination = d.name and d.name = any (p_destinations) and d.paused_at is not null and d.paused_by_refusals
      and c.last_error_class = 'bad-configuration'
    returning d.name
  loop
    perform outbox.set_clock(v_name);
    perform outbox.note_circuit(v_name, 'resume', 'a process that can send to it began');
    return next v_name;
  end loop;
end $$;
