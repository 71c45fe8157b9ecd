-- Replay: events that no route took are routed later, and events of before are sent to a destination that did not get them. At a rate, over
-- a set that is frozen when it is previewed, each event at most once to a destination. The workflow `replay` keeps the time; what
-- is so stands here, and a portion is one transaction: whoever dies in between, the next one goes on behind the last event handled.

-- Numbers as deliveries get them, while the keys of the transaction are held: in which order events of one key were written. Null: of
-- before this was kept.
alter table outbox.unrouted add column seq bigint;
alter table outbox.unrouted alter column seq set default nextval('outbox.delivery_seq');

-- Before PostgreSQL 18 ids of one millisecond sorted either way. A replay relies on their order within a key: the 12 bits behind the
-- milliseconds are the fraction of one (RFC 9562, 6.2, method 3), as PostgreSQL's own uuidv7() has them.
do $$
begin
  if current_setting('server_version_num')::int < 180000 then
    execute $f$create or replace function outbox.uuid7() returns uuid language sql volatile parallel safe as '
      select encode(overlay(overlay(uuid_send(gen_random_uuid())
               placing substring(int8send(floor(ms)::bigint) from 3) from 1 for 6)
               placing int2send((28672 + floor((ms - floor(ms)) * 4096))::smallint) from 7 for 2), ''hex'')::uuid
      from (select extract(epoch from clock_timestamp()) * 1000 as ms offset 0) t' $f$;
  end if;
end $$;

create table outbox.replays (
  id           uuid primary key,
  workflow_id  text collate "C" not null,
  state        text not null default 'previewed',
  -- As it was asked for: { type, since, until, key }.
  filter       jsonb not null,
  -- The destination they are sent to. Null: those that the routes say when an event's turn comes.
  destination  text collate "C",
  -- Events a second.
  rate         double precision not null,
  -- What happens at a destination that keeps order to an event of which it already got a newer one of the same key.
  late         text not null default 'skip',
  -- What a person is shown before it begins.
  preview      jsonb not null default '{}',
  total        bigint not null default 0,
  -- The number of the last event handled.
  handled      bigint not null default 0,
  -- Events that got a delivery, and how many deliveries those are.
  done         bigint not null default 0,
  deliveries   bigint not null default 0,
  had_one      bigint not null default 0,
  came_late    bigint not null default 0,
  no_route     bigint not null default 0,
  gone         bigint not null default 0,
  -- Destinations that got some.
  fed          text[] collate "C" not null default '{}',
  -- Until when what the rate allows is used up.
  paced_at     timestamptz not null default now(),
  -- Until when it is known which keys a destination got newer events of.
  marked_at    timestamptz not null default '-infinity',
  -- Why it holds back by itself, or stopped; null when it does not.
  because      text,
  created_at   timestamptz not null default now(),
  created_by   text,
  started_at   timestamptz,
  ended_at     timestamptz,
  constraint replays_state_is_known check (state in ('previewed', 'running', 'paused', 'stopped', 'canceled', 'done')),
  constraint replays_late_is_known check (late in ('skip', 'send')),
  constraint replays_rate_is_sane check (rate between 0.01 and 10000),
  constraint replays_end_is_known check ((ended_at is not null) = (state in ('canceled', 'done')))
);
create index replays_newest on outbox.replays (created_at desc);

create table outbox.replay_members (
  replay_id uuid not null references outbox.replays (id) on delete cascade,
  -- In which order they are sent, from 1.
  n         bigint not null,
  event_id  uuid not null,
  key       text,
  -- Destinations that keep order and got a newer event of its key.
  late      text[] collate "C" not null default '{}',
  sent      boolean not null default false,
  primary key (replay_id, n)
);
create index replay_members_by_event on outbox.replay_members (event_id) where sent;
create index replay_members_by_key on outbox.replay_members (replay_id, key) where key is not null;

-- What was delivered lately, without reading the day: nearly free for rows that come in order of time.
create index delivered_lately on outbox.delivered using brin (delivered_at) with (pages_per_range = 16, autosummarize = on);

-- What the rate allows now, given until when it is used up. What was not used within a second is not saved up.
create function outbox.pace_earned(p_paced_at timestamptz, p_rate double precision) returns double precision
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select least(extract(epoch from clock_timestamp() - p_paced_at)::float8 * p_rate, greatest(p_rate, 1))
$$;

create function outbox.pace_spent(p_earned double precision, p_spent double precision, p_rate double precision) returns timestamptz
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select clock_timestamp() - (p_earned - p_spent) / p_rate * interval '1 second'
$$;

create function outbox.replay_standing(p_id uuid) returns jsonb
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select jsonb_build_object('id', id, 'workflowId', workflow_id, 'state', state, 'filter', filter, 'to', destination, 'rate', rate, 'late', late,
    'total', total, 'handled', handled, 'done', done, 'deliveries', deliveries, 'skipped', had_one + came_late + no_route + gone,
    'skippedBecause', jsonb_build_object('hadOne', had_one, 'late', came_late, 'noRoute', no_route, 'gone', gone),
    'preview', preview, 'because', because, 'createdAt', created_at, 'createdBy', created_by, 'startedAt', started_at, 'endedAt', ended_at)
  from outbox.replays where id = p_id
$$;

-- Marks members that come too late for a destination that keeps order: it got a newer event of their key since the latest look. The ten
-- seconds before that are looked at twice, as an acknowledgement is dated by its beginning.
create function outbox.mark_late(p_id uuid) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_replay outbox.replays;
  v_name   text;
begin
  select * into v_replay from outbox.replays where id = p_id;
  for v_name in select name from outbox.destinations where ordering = 'key' and coalesce(v_replay.destination, name) = name loop
    update outbox.replay_members m set late = m.late || v_name
    from (select e.key, (array_agg(e.id order by e.id desc))[1] as newest
          from outbox.delivered v join outbox.events e on e.id = v.event_id
          where v.destination = v_name and v.delivered_at >= v_replay.marked_at - interval '10 seconds' and e.key is not null
            and not exists (select from outbox.replay_members o where o.replay_id = p_id and o.event_id = e.id and o.sent)
          group by e.key) x
    where m.replay_id = p_id and m.n > v_replay.handled and m.key = x.key and m.event_id < x.newest and v_name <> all (m.late);
  end loop;
  update outbox.replays set marked_at = now() where id = p_id;
end $$;

-- When a destination was first configured; '-infinity' where that was forgotten.
create function outbox.configured_since(p_destination text) returns timestamptz
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  with c as (
    select revision, applied_at, config -> 'destinations' @> jsonb_build_array(jsonb_build_object('name', p_destination)) as has
    from outbox.config_revisions
  )
  select case when (select has and revision > 1 from c order by revision limit 1) then '-infinity'
              else coalesce((select min(applied_at) from c where has), 'infinity') end::timestamptz
$$;

-- Finds the events, freezes them in their order, and answers what a person is to see before they are sent: the replay's standing, or
-- { refused }. Nothing is sent. p_filter: { type (as the routes' patterns), like (that pattern for LIKE), since, until, key }. p_to null: events that no
-- route took. Called again with the same id it answers what the first call made.
--
-- To a destination go those that surely had no delivery to it. Where what was delivered is kept for less long than the events, that is not
-- known of all of them: the rest is left out, and counted as `unknown`.
create function outbox.freeze_replay(
  p_id uuid, p_workflow text, p_filter jsonb, p_to text, p_rate double precision, p_late text, p_actor text
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_since   timestamptz := coalesce((p_filter ->> 'since')::timestamptz, '-infinity');
  v_until   timestamptz := least(coalesce((p_filter ->> 'until')::timestamptz, 'infinity'), clock_timestamp());
  -- An id may be older or younger than its row: a producer makes it.
  v_first   uuid := outbox.uuid7_floor(greatest(v_since - interval '1 day', timestamptz '2020-01-01 00:00+00'));
  v_last    uuid := outbox.uuid7_floor(v_until + interval '1 day');
  v_known   timestamptz;
  v_new     timestamptz;
  v_out     jsonb;
  v_oldest  uuid;
  v_newest  uuid;
begin
  if p_to is not null and not exists (select from outbox.destinations where name = p_to) then
    return jsonb_build_object('refused', format('there is no destination %s', p_to));
  end if;
  insert into outbox.replays (id, workflow_id, filter, destination, rate, late, created_by)
  values (p_id, p_workflow, p_filter - 'like', p_to, p_rate, p_late, left(p_actor, 200)) on conflict (id) do nothing;
  if not found then
    return outbox.replay_standing(p_id);
  end if;

  if p_to is null then
    insert into outbox.replay_members (replay_id, n, event_id, key)
    select p_id, row_number() over (order by u.seq nulls first, e.id), e.id, e.key
    from outbox.unrouted u join outbox.events e on e.id = u.event_id
    where (p_filter ->> 'like' is null or u.type like p_filter ->> 'like') and (p_filter ->> 'key' is null or e.key = p_filter ->> 'key')
      and e.id >= v_first and e.id < v_last and e.created_at >= v_since and e.created_at <= v_until and e.erased_at is null;
    v_out := '{}';
  else
    v_known := outbox.routing_known_since();
    v_new := outbox.configured_since(p_to);
    with found as materialized (
      select e.id, e.key,
             case when exists (select from outbox.deliveries d where d.event_id = e.id and d.destination = p_to)
                    or exists (select from outbox.delivered d where d.event_id = e.id and d.destination = p_to)
                    or exists (select from outbox.dead_letters d where d.event_id = e.id and d.destination = p_to) then 'hadOne'
                  when e.created_at < v_known and e.created_at >= v_new then 'unknown' end as left_out
      from outbox.events e
      where (p_filter ->> 'like' is null or e.type like p_filter ->> 'like') and (p_filter ->> 'key' is null or e.key = p_filter ->> 'key')
        and e.id >= v_first and e.id < v_last and e.created_at >= v_since and e.created_at <= v_until and e.erased_at is null
    ), members as (
      insert into outbox.replay_members (replay_id, n, event_id, key)
      select p_id, row_number() over (order by id), id, key from found where left_out is null
    )
    select coalesce(jsonb_object_agg(left_out, n), '{}') into v_out
    from (select left_out, count(*) as n from found where left_out is not null group by 1) o;
  end if;

  update outbox.replays set total = (select count(*) from outbox.replay_members where replay_id = p_id) where id = p_id;
  select m.event_id into v_oldest from outbox.replay_members m where m.replay_id = p_id order by m.event_id limit 1;
  select m.event_id into v_newest from outbox.replay_members m where m.replay_id = p_id order by m.event_id desc limit 1;
  update outbox.replays set marked_at = outbox.uuid7_time(v_oldest) where id = p_id and v_oldest is not null;
  perform outbox.mark_late(p_id) where v_oldest is not null;
  update outbox.replays set preview = jsonb_build_object(
    'leftOut', v_out,
    'oldestAt', outbox.uuid7_time(v_oldest), 'newestAt', outbox.uuid7_time(v_newest),
    -- Events of days before are gone.
    'keptSince', (select min(outbox.day_of(c.relname::text)) from pg_inherits i join pg_class c on c.oid = i.inhrelid
                  where i.inhparent = 'outbox.events'::regclass and c.relname ~ '_[0-9]{8}$'),
    'late', (select count(*) from outbox.replay_members where replay_id = p_id and late <> '{}'),
    'keepsOrder', exists (select from outbox.destinations where ordering = 'key' and coalesce(p_to, name) = name),
    'byType', (select coalesce(jsonb_agg(jsonb_build_object('type', t.type, 'events', t.n) order by t.n desc, t.type), '[]')
               from (select e.type, count(*) as n from outbox.replay_members m join outbox.events e on e.id = m.event_id
                     where m.replay_id = p_id group by e.type order by 2 desc, 1 limit 20) t),
    'noRoute', case when p_to is null then (
      select count(*) from outbox.replay_members m join outbox.events e on e.id = m.event_id
      where m.replay_id = p_id and not exists (select from outbox.routes_of(e.type, e.payload))) else 0 end)
  where id = p_id;
  return outbox.replay_standing(p_id);
end $$;

-- The destinations that the routes of now say for an event, as the trigger finds them.
create function outbox.routes_of(p_type text, p_payload jsonb) returns setof text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select distinct r.destination from outbox.routes r
  where p_type like r.type_like
    and case case when r.filter_may_fail then 'guarded' else r.filter_mode end
             when 'guarded' then outbox.filter_holds(p_payload, r.filter, r.filter_mode)
             when 'predicate' then p_payload @@ r.filter
             when 'items' then p_payload @? r.filter
             else true end
$$;

-- Why a replay that feeds these destinations holds back; null when one of them takes more. What a person paused takes it all: it waits there, in
-- its order.
create function outbox.replay_waits(p_destinations text[], p_rate double precision) returns text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select case when bool_and(s.why is not null) then min(s.why) end
  from (
    select case when d.paused_at is not null and d.paused_by_refusals then format('%s refuses everything and is paused', d.name)
                when d.paused_at is not null then null
                when c.state in ('open', 'half-open') then format('the circuit of %s is %s', d.name, c.state)
                when (select count(*) from (select from outbox.deliveries v where v.destination = d.name and v.state = 'pending'
                                            limit m.most + 1) w) > m.most
                  then format('more than %s events wait for %s', m.most, d.name) end as why
    from outbox.destinations d left join outbox.circuits c on c.destination = d.name
    cross join lateral (select greatest(1000, ceil(10 * p_rate))::integer as most) m
    where d.name = any (p_destinations)) s
$$;

-- The next events of a running replay, as many as its rate allows, at most p_most; answers its standing and `waitMs`: after how long to ask again.
--
-- Order per key, at destinations that keep it. Producers of these keys wait until this commits, and get higher numbers. Newer events
-- of a key that wait unsent are numbered anew, behind. One that is being sent, was tried, is parked or delivered cannot be overtaken any more: the member
-- is late, and left out unless the replay says `send`.
create function outbox.release_replay(p_id uuid, p_most integer) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  -- So many newer events are numbered anew at a time; a replay waits while there are more.
  c_newer constant integer := 5000;
  v_replay outbox.replays;
  v_wait   text;
  v_earned double precision;
  v_ids    uuid[];
  v_last   bigint;
  v_keyed  text[];
  v_newer  tid[];
  v        record;
begin
  perform pg_advisory_xact_lock(1869968482, 2000002); -- as outbox.route_missed: two would both find the same event without a delivery
  select * into v_replay from outbox.replays where id = p_id for no key update;
  if v_replay.state is distinct from 'running' then
    return outbox.replay_standing(p_id) || '{"waitMs": 0}';
  end if;
  if v_replay.destination is not null and not exists (select from outbox.destinations where name = v_replay.destination) then
    update outbox.replays set state = 'stopped', because = format('there is no destination %s any more', destination) where id = p_id;
    return outbox.replay_standing(p_id) || '{"waitMs": 0}';
  end if;
  v_wait := outbox.replay_waits(case when v_replay.destination is null then v_replay.fed else array[v_replay.destination] end, v_replay.rate);
  if v_wait is not null and v_replay.handled < v_replay.total then
    update outbox.replays set because = v_wait where id = p_id and because is distinct from v_wait;
    return outbox.replay_standing(p_id) || '{"waitMs": 1000}';
  end if;
  v_earned := outbox.pace_earned(v_replay.paced_at, v_replay.rate);
  select array_agg(m.event_id), max(m.n) into v_ids, v_last
  from (select event_id, n from outbox.replay_members where replay_id = p_id and n > v_replay.handled
        order by n limit least(p_most, floor(v_earned)::integer)) m;
  if v_ids is null and v_replay.handled < v_replay.total then
    return outbox.replay_standing(p_id) || jsonb_build_object('waitMs', ceil((1 - v_earned) / v_replay.rate * 1000));
  end if;

  if v_ids is not null then
    v_keyed := array(select name from outbox.destinations where ordering = 'key' and coalesce(v_replay.destination, name) = name);
    if v_keyed <> '{}' then
      perform outbox.lock_keys(array(select distinct m.key from outbox.replay_members m
                                     where m.replay_id = p_id and m.n > v_replay.handled and m.n <= v_last and m.key is not null));
      begin
        select array_agg(w.at) into v_newer from (
          select d.ctid as at
          from (select m.key, (array_agg(m.event_id order by m.event_id))[1] as oldest from outbox.replay_members m
                where m.replay_id = p_id and m.n > v_replay.handled and m.n <= v_last and m.key is not null group by m.key) k
          join outbox.deliveries d on d.destination = any (v_keyed) and d.key = k.key and d.state in ('pending', 'blocked')
          where d.event_id > k.oldest and d.tries = 0
            and not exists (select from outbox.replay_members o where o.replay_id = p_id and o.event_id = d.event_id and o.sent)
          limit c_newer + 1 for update of d nowait) w;
      exception when lock_not_available then
        return outbox.replay_standing(p_id) || '{"waitMs": 20}'; -- a claim or an acknowledgement is about to settle one of them
      end;
      if cardinality(v_newer) > c_newer then
        update outbox.replays set because = format('more than %s newer events of the same keys wait', c_newer) where id = p_id;
        return outbox.replay_standing(p_id) || '{"waitMs": 1000}';
      end if;
      if v_replay.late = 'skip' then
        perform outbox.mark_late(p_id);
      end if;
    end if;

    with members as materialized (
      select m.n, e.id, e.type, e.key, e.payload, e.deliver_at, m.late
      from outbox.replay_members m join outbox.events e on e.id = m.event_id
      where m.replay_id = p_id and m.n > v_replay.handled and m.n <= v_last and e.id = any (v_ids) and e.erased_at is null
    ), wanted as materialized (
      select m.n, m.id, m.key, m.deliver_at, m.late, d.name as destination, d.ordering
      from members m
      cross join lateral (select v_replay.destination as name where v_replay.destination is not null
                          union all select outbox.routes_of(m.type, m.payload) where v_replay.destination is null) r
      join outbox.destinations d on d.name = r.name
    ), judged as materialized (
      select w.*,
             case when exists (select from outbox.deliveries d where d.event_id = w.id and d.destination = w.destination)
                    or exists (select from outbox.delivered d where d.event_id = w.id and d.destination = w.destination)
                    or exists (select from outbox.dead_letters d where d.event_id = w.id and d.destination = w.destination)
                    or exists (select from outbox.replay_members o join outbox.replays r on r.id = o.replay_id
                               where o.event_id = w.id and o.sent and r.destination = w.destination) then 'had one'
                  when v_replay.late = 'skip' and w.ordering = 'key' and w.key is not null
                    and (w.destination = any (w.late)
                      or exists (select from (
                                   select d.event_id from outbox.deliveries d where d.destination = w.destination and d.key = w.key
                                     and d.state in ('claimed', 'retry', 'parked')
                                   union all
                                   select d.event_id from outbox.deliveries d where d.destination = w.destination and d.key = w.key
                                     and d.state in ('pending', 'blocked') and d.tries > 0) n
                                 where n.event_id > w.id and not exists (
                                   select from outbox.replay_members o where o.replay_id = p_id and o.event_id = n.event_id and o.sent)))
                    then 'late' end as why
      from wanted w
    ), made as (
      insert into outbox.deliveries (event_id, destination, seq, state, due_at, key)
      select o.id, o.destination, nextval('outbox.delivery_seq'),
             case when o.deliver_at > now() then 'scheduled' else 'pending' end,
             case when o.deliver_at > now() then o.deliver_at end,
             case when o.destination = any (v_keyed) then o.key end
      from (select * from judged where why is null order by n, destination) o
      on conflict (event_id, destination) do nothing
      returning event_id, destination
    ), sent as (
      update outbox.replay_members m set sent = true
      where m.replay_id = p_id and m.n > v_replay.handled and m.n <= v_last and m.event_id in (select event_id from made)
    ), taken as (
      delete from outbox.unrouted where v_replay.destination is null and event_id in (select event_id from made)
    ), events as (
      select m.id, x.event_id is not null as sent, count(j.id) as wanted, coalesce(bool_or(j.why = 'late'), false) as late
      from members m left join judged j on j.id = m.id left join (select distinct event_id from made) x on x.event_id = m.id
      group by m.id, x.event_id
    )
    select count(*) as found, count(*) filter (where sent) as sent, count(*) filter (where wanted = 0) as no_route,
           count(*) filter (where not sent and late) as late, count(*) filter (where not sent and not late and wanted > 0) as had_one,
           (select count(*) from made) as deliveries, (select array_agg(distinct destination) from made) as fed
    into v from events;

    update outbox.deliveries d set seq = o.seq
    from (select q.at, nextval('outbox.delivery_seq') as seq
          from (select ctid as at from outbox.deliveries where ctid = any (v_newer) order by seq) q) o
    where d.ctid = o.at;

    update outbox.replays set handled = v_last, done = done + v.sent, deliveries = deliveries + v.deliveries, no_route = no_route + v.no_route,
      came_late = came_late + v.late, had_one = had_one + v.had_one, gone = gone + cardinality(v_ids) - v.found,
      fed = array(select distinct name from unnest(fed || v.fed) name where name is not null), because = null,
      paced_at = outbox.pace_spent(v_earned, cardinality(v_ids), rate)
    where id = p_id returning * into v_replay;
  end if;

  if v_replay.handled >= v_replay.total then
    update outbox.replays set state = 'done', ended_at = now(), because = null where id = p_id;
    insert into outbox.audit (actor, via, workflow_id, action, destination, events, outcome, message)
    values (v_replay.created_by, 'workflow', v_replay.workflow_id, 'replay', v_replay.destination, v_replay.done, 'done',
            format('%s of %s events replayed: %s deliveries', v_replay.done, v_replay.total, v_replay.deliveries));
  end if;
  -- A quarter of a second's worth at a time, at most p_most.
  return outbox.replay_standing(p_id) || jsonb_build_object('waitMs', ceil(greatest(least(p_most, v_replay.rate / 4), 1) / v_replay.rate * 1000));
end $$;

-- `pause`, `resume` (which begins a previewed one, too) and `cancel`. Every outcome is a line in outbox.audit; a command acts once.
create function outbox.command_replay(p_id uuid, p_workflow text, p_command jsonb, p_via text) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_replay  outbox.replays;
  v_earlier outbox.audit;
  v_action  text := p_command ->> 'action';
  v_refusal text;
  v_message text;
begin
  select * into v_replay from outbox.replays where id = p_id for no key update;
  select * into v_earlier from outbox.audit where coalesce(workflow_id, '') = p_workflow and command_id = p_command ->> 'commandId';
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;
  v_refusal := case
    when p_command ? 'malformed' then p_command ->> 'malformed'
    when v_replay.id is null then 'there is no such replay'
    when v_replay.ended_at is not null then format('it is %s', v_replay.state)
    when v_action = 'pause' and v_replay.state <> 'running' then format('it is not running, but %s', v_replay.state)
    when v_action = 'resume' and v_replay.state = 'running' then 'it is running already' end;
  if v_refusal is not null then
    return outbox.note_command(p_workflow, p_via, p_command, 'refused', v_refusal, 0, null, v_replay.destination);
  end if;
  update outbox.replays
  set state = case v_action when 'pause' then 'paused' when 'resume' then 'running' else 'canceled' end,
      started_at = case when v_action = 'resume' then coalesce(started_at, now()) else started_at end,
      paced_at = case when v_action = 'resume' then clock_timestamp() else paced_at end,
      ended_at = case when v_action = 'cancel' then now() end, because = null
  where id = p_id;
  v_message := format('%s, after %s of %s events', case v_action when 'pause' then 'paused' when 'cancel' then 'cancelled'
                      else case when v_replay.state = 'previewed' then 'begun' else 'resumed' end end, v_replay.handled, v_replay.total);
  return outbox.note_command(p_workflow, p_via, p_command, 'done', v_message, 0, null, v_replay.destination);
end $$;

-- Those that are over, and previews that nobody began, once none of their events can be there any more. Members first, at most p_limit.
create function outbox.purge_replays(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_before timestamptz := now() - outbox.retention_of('events') - interval '2 days';
  v_count  integer;
begin
  delete from outbox.replay_members where ctid = any (array(
    select m.ctid from outbox.replays r join outbox.replay_members m on m.replay_id = r.id
    where (r.ended_at is not null or r.state = 'previewed') and r.created_at < v_before limit p_limit));
  get diagnostics v_count = row_count;
  if v_count < p_limit then
    delete from outbox.replays where (ended_at is not null or state = 'previewed') and created_at < v_before;
  end if;
  return v_count;
end $$;
