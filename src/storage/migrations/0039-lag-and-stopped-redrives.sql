-- How late each destination was in the last hour, for the dashboard; and an alert for a redrive that stopped by itself.

-- The worst of what relays saw within a minute; no row: nothing waited, or no relay looked.
create table outbox.lags (
  destination text collate "C" not null,
  minute      timestamptz not null,
  seconds     real not null,
  primary key (destination, minute)
);

-- p_rows is an array of { destination, lagSeconds }.
create function outbox.note_lags(p_rows jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  insert into outbox.lags (destination, minute, seconds)
  select r.destination, date_trunc('minute', now()), r."lagSeconds"
  from jsonb_to_recordset(p_rows) as r(destination text, "lagSeconds" float8)
  on conflict (destination, minute) do update set seconds = excluded.seconds where lags.seconds < excluded.seconds;
  delete from outbox.lags where minute < now() - interval '2 hours';
end $$;

-- As before (0032), and redrives. What is the matter now, by the limits of the configuration. Alerts themselves count for nothing here: parked ones are no dead letters to alert about.
create or replace function outbox.alert_conditions(p_alerts jsonb)
returns table (kind text, subject text, destination text, count bigint, since timestamptz, causes jsonb, says text)
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  with off as (select p_alerts -> 'off' as kinds),
  parked as (
    select l.destination, count(*) as n, min(l.parked_at) as first from outbox.dead_letters l
    where l.resolved_at is null and l.event_type <> 'outbox.alert' group by l.destination
    having count(*) > (p_alerts ->> 'parked')::bigint
  )
  select 'parked', p.destination, p.destination, p.n, p.first, c.causes,
         format('%s dead letter%s at %s%s', p.n, case when p.n = 1 then '' else 's' end, p.destination, coalesce(': ' || c.says, ''))
  from parked p
  cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'error', t.error, 'status', t.status, 'count', t.n) order by t.n desc), '[]') as causes,
           string_agg(format('%s × %s', t.n, left(t.error, 120)), '; ' order by t.n desc) as says
    from (select c.id, c.error, c.status, count(*) as n
          from outbox.dead_letters l join outbox.causes c on c.id = l.cause
          where l.destination = p.destination and l.resolved_at is null and l.event_type <> 'outbox.alert'
          group by c.id, c.error, c.status order by 4 desc limit 3) t) c
  where not (select kinds from off) ? 'parked'
  union all
  select 'circuit-open', c.destination, c.destination, c.failed_probes, c.opened_at, '[]',
         format('the circuit of %s is %s: %s', c.destination, c.state, coalesce(left(c.reason, 200), 'it does not answer'))
  from outbox.circuits c
  where c.state <> 'closed' and c.opened_at < now() - (p_alerts ->> 'circuitOpenMs')::float8 * interval '1 ms'
    and not (select kinds from off) ? 'circuit-open'
  union all
  select 'refused', d.name, d.name, 1, d.paused_at, '[]',
         format('%s refused everything alike and is paused: %s', d.name, coalesce(left(d.paused_reason, 200), 'no reason given'))
  from outbox.destinations d where d.paused_at is not null and d.paused_by_refusals and not (select kinds from off) ? 'refused'
  union all
  select 'circuit-flapping', o.destination, o.destination, count(*), min(o.opened_at), '[]',
         format('the circuit of %s opened %s times within an hour', o.destination, count(*))
  from outbox.circuit_openings o
  where o.opened_at > now() - interval '1 hour' and not (select kinds from off) ? 'circuit-flapping'
  group by o.destination having count(*) >= (p_alerts ->> 'circuitFlaps')::bigint
  union all
  select 'lag', d.name, d.name, floor(extract(epoch from now() - w.at))::bigint, w.at, '[]',
         format('events for %s have waited since %s UTC', d.name, to_char(w.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
  from outbox.destinations d left join outbox.circuits c on c.destination = d.name
  cross join lateral (
    -- What a replay sends is old, and has not waited.
    select greatest(outbox.uuid7_time(p.event_id), e.deliver_at) as at
    from (select v.event_id, v.seq from outbox.deliveries v where v.destination = d.name and v.state = 'pending' order by v.seq limit 100) p
    left join outbox.events e on e.id = p.event_id
    where e.type is distinct from 'outbox.alert'
      and not exists (select from outbox.replay_members m where m.event_id = p.event_id and m.sent)
    order by p.seq limit 1) w
  where d.paused_at is null and coalesce(c.state, 'closed') = 'closed' and not (select kinds from off) ? 'lag'
    and w.at < now() - (p_alerts ->> 'lagMs')::float8 * interval '1 ms'
  union all
  select 'half-messages', m.producer, null, count(*), min(m.parked_at), '[]',
         format('%s half messages of %s wait for a person', count(*), m.producer)
  from outbox.prepared_messages m where m.state = 'parked' and not (select kinds from off) ? 'half-messages'
  group by m.producer
  union all
  select 'stopped', 'replay ' || r.id, r.destination, r.total - r.handled, coalesce(r.started_at, r.created_at), '[]',
         format('replay %s has stopped: %s', r.id, coalesce(r.because, 'no reason given'))
  from outbox.replays r where r.state = 'stopped' and not (select kinds from off) ? 'stopped'
  union all
  -- By itself, and its letters still wait. Once they did not, it is over: nobody has to be told of it again.
  select 'stopped', 'redrive ' || r.id, case when cardinality(r.destinations) = 1 then r.destinations[1] end, r.total - r.done - r.skipped,
         r.ended_at, '[]', format('redrive %s has stopped: %s', r.id, coalesce(left(r.why, 300), 'no reason given'))
  from outbox.redrives r
  where r.state = 'stopped' and r.started_at is not null and coalesce(r.why, '') not like 'cancelled by %'
    and r.ended_at > now() - interval '7 days' and not (select kinds from off) ? 'stopped'
    and not exists (select from outbox.alerts a where a.kind = 'stopped' and a.subject = 'redrive ' || r.id and a.resolved_at is not null)
    and exists (select from outbox.redrive_members m
                join outbox.dead_letters l on l.event_id = m.event_id and l.destination = m.destination and l.resolved_at is null
                where m.redrive_id = r.id and m.state in ('left', 'failed'))
  union all
  select 'housekeeping', 'housekeeping', null, 1, h.ended_at, '[]',
         format('no pass of housekeeping has come to its end since %s UTC', to_char(h.ended_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
  from outbox.housekeeping h
  where h.ended_at < now() - (p_alerts ->> 'housekeepingMs')::float8 * interval '1 ms' and not (select kinds from off) ? 'housekeeping'
  union all
  select 'unwritten', 'outcomes', null, sum(w.unwritten), min(w.unwritten_since), '[]',
         format('%s outcomes of deliveries cannot be written: %s', sum(w.unwritten), coalesce(left(min(w.unwritten_says), 200), 'no reason given'))
  from outbox.workers w
  where w.unwritten > 0 and w.seen_at > now() - interval '15 seconds'
    and w.unwritten_since < now() - (p_alerts ->> 'unwrittenMs')::float8 * interval '1 ms' and not (select kinds from off) ? 'unwritten'
  having count(*) > 0
$$;
