-- Alerts out: what `alerts:` of the configuration asks for is looked at, and said as events (type outbox.alert) to destinations of ours. PostgreSQL
-- decides who looks: one process in each interval, however many ask.

create table outbox.alert_look (
  only_row  boolean primary key default true,
  looked_at timestamptz not null default '-infinity',
  constraint alert_look_has_one_row check (only_row)
);
insert into outbox.alert_look default values;

-- One row while it lasts, and for a week after it.
create table outbox.alerts (
  kind        text collate "C" not null,
  -- Of a destination its name; else what it is about.
  subject     text collate "C" not null,
  destination text collate "C",
  count       bigint not null,
  since       timestamptz,
  causes      jsonb not null default '[]',
  says        text not null,
  raised_at   timestamptz not null default now(),
  said_at     timestamptz not null default now(),
  seen_at     timestamptz not null default now(),
  resolved_at timestamptz,
  primary key (kind, subject)
);

-- Each time a circuit opened, for a day: circuits themselves remember the last.
create table outbox.circuit_openings (
  destination text collate "C" not null,
  opened_at   timestamptz not null,
  primary key (destination, opened_at)
);

-- What is the matter now, by the limits of the configuration. Alerts themselves count for nothing here: parked ones are no dead letters to alert about.
create function outbox.alert_conditions(p_alerts jsonb)
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

-- One event to one destination, past the routes: a route for everything must not carry it to a receiver of orders.
create function outbox.send_alert(p_to text, p_payload jsonb) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_id uuid := outbox.uuid7();
begin
  insert into outbox.events (id, type, payload) values (v_id, 'outbox.alert', p_payload);
  delete from outbox.deliveries where event_id = v_id;
  delete from outbox.unrouted where event_id = v_id;
  insert into outbox.deliveries (event_id, destination, seq, state) values (v_id, p_to, nextval('outbox.delivery_seq'), 'pending');
end $$;

-- Looks, if it is time to, and says what is new, still so after `repeat`, or over. Answers { waitMs, said: [text], untold: [text] }: after how long
-- to ask again, what was said, and what was not, as the only destinations for it are those that it is about. Null: no alerts are configured.
create function outbox.look_for_alerts() returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_alerts jsonb;
  v_name   text;
  v_every  interval;
  v_items  jsonb;
  v_mine   jsonb;
  v_text   text;
  v_to     text;
  v_slack  boolean;
  v_told   text[] := '{}';
begin
  select c.config -> 'alerts', s.name into v_alerts, v_name
  from outbox.settings s join outbox.config_revisions c on c.revision = s.config_revision;
  if v_alerts is null or jsonb_typeof(v_alerts) <> 'object' then
    return null;
  end if;
  v_every := (v_alerts ->> 'everyMs')::float8 * interval '1 ms';
  update outbox.alert_look set looked_at = clock_timestamp()
  where only_row and looked_at <= clock_timestamp() - v_every and ctid = (select ctid from outbox.alert_look for update skip locked);
  if not found then
    return jsonb_build_object('waitMs', v_alerts -> 'everyMs', 'said', '[]'::jsonb, 'untold', '[]'::jsonb);
  end if;
  insert into outbox.circuit_openings (destination, opened_at)
  select destination, opened_at from outbox.circuits where opened_at > now() - interval '1 hour' on conflict do nothing;
  delete from outbox.circuit_openings where opened_at < now() - interval '1 day';
  delete from outbox.alerts where resolved_at < now() - interval '7 days';

  with found as materialized (
    select * from outbox.alert_conditions(v_alerts)
  ), before as materialized (
    select a.* from outbox.alerts a
  ), noted as (
    insert into outbox.alerts as a (kind, subject, destination, count, since, causes, says)
    select kind, subject, destination, count, since, causes, says from found
    on conflict (kind, subject) do update
    set destination = excluded.destination, count = excluded.count, since = excluded.since, causes = excluded.causes, says = excluded.says,
        seen_at = now(), resolved_at = null,
        raised_at = case when a.resolved_at is null then a.raised_at else now() end,
        said_at = case when a.resolved_at is null and a.said_at > now() - (v_alerts ->> 'repeatMs')::float8 * interval '1 ms'
                       then a.said_at else now() end
    returning a.*
  ), over as (
    -- Not at the first look without it: what comes and goes is not said each time.
    update outbox.alerts a set resolved_at = now()
    where a.resolved_at is null and a.seen_at < now() - 2 * v_every
      and not exists (select from found f where f.kind = a.kind and f.subject = a.subject)
    returning a.*
  ), items as (
    select case when b.kind is null or b.resolved_at is not null then 'raised' else 'still' end as state, n.kind, n.subject, n.destination, n.count,
           n.since, n.causes, n.says, n.raised_at
    from noted n left join before b on b.kind = n.kind and b.subject = n.subject
    where n.said_at = now()
    union all
    select 'resolved', kind, subject, destination, count, since, '[]', says, raised_at from over
  )
  select jsonb_agg(jsonb_build_object('state', i.state, 'kind', i.kind, 'subject', i.subject, 'destination', i.destination, 'count', i.count,
           'since', i.since, 'causes', i.causes, 'raisedAt', i.raised_at, 'text', i.says,
           'link', replace(replace(v_alerts ->> 'link', '{kind}', i.kind), '{destination}', coalesce(i.destination, '')))
         order by i.state, i.kind, i.subject)
  into v_items from items i;

  for v_to, v_slack in
    select t.name, t.slack
    from (select jsonb_array_elements_text(v_alerts -> 'to') as name, false as slack
          union all select jsonb_array_elements_text(v_alerts -> 'slack'), true) t
    join outbox.destinations d on d.name = t.name
  loop
    -- Never about itself: it would add to what it tells of.
    select jsonb_agg(i order by n), string_agg(format('%s%s%s%s', '[' || v_name || '] ', i ->> 'state' || ': ', i ->> 'text',
                                                      coalesce(' ' || (i ->> 'link'), '')), e'\n' order by n)
    into v_mine, v_text
    from jsonb_array_elements(v_items) with ordinality x(i, n) where i ->> 'destination' is distinct from v_to;
    if v_mine is not null then
      perform outbox.send_alert(v_to, case when v_slack
        then jsonb_build_object('text', replace(replace(replace(v_text, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'))
        else jsonb_build_object('text', v_text, 'name', v_name, 'at', now(), 'alerts', v_mine) end);
      v_told := v_told || array(select i ->> 'kind' || ' ' || (i ->> 'subject') from jsonb_array_elements(v_mine) i);
    end if;
  end loop;
  return jsonb_build_object('waitMs', v_alerts -> 'everyMs',
    'said', (select coalesce(jsonb_agg(i ->> 'state' || ': ' || (i ->> 'text')), '[]') from jsonb_array_elements(v_items) i
             where i ->> 'kind' || ' ' || (i ->> 'subject') = any (v_told)),
    'untold', (select coalesce(jsonb_agg(i ->> 'state' || ': ' || (i ->> 'text')), '[]') from jsonb_array_elements(v_items) i
               where i ->> 'kind' || ' ' || (i ->> 'subject') <> all (v_told)));
end $$;
