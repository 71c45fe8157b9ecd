-- A lane's lease was its own, and each heartbeat wrote all of them: with 10,000 destinations 10,000 rows every two seconds, while nothing
-- happened. Now a relay has one lease, in its own row, and a lane says whose it is. A heartbeat writes that one row, and looks at the lanes
-- only where something changed.
--
-- What fences is `owner`, read and locked by each claim, as ever: whoever takes a lane over changes it under the same lock, so a relay that was
-- stopped and wakes up claims nothing of it.

alter table outbox.relays
  add column lease_until timestamptz not null default '-infinity',
  -- How often it took lanes or gave some up, for others to see that there is something to look at.
  add column moves bigint not null default 0;
alter table outbox.relays set (fillfactor = 50);
update outbox.relays set lease_until = seen_at + interval '6 s';
update outbox.lanes set lease_until = 'infinity' where owner is not null and lease_until > now();

-- Heartbeat of a relay, and its fair share of the lanes, as before (0018). A lane is free without an owner, or with one whose lease is over. Processes
-- of before call this one at every heartbeat.
create or replace function outbox.hold_lanes(p_relay uuid, p_label text, p_ttl interval, p_unable text[] default '{}') returns setof text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_relays integer;
  v_lanes  integer;
  v_share  integer;
  v_held   integer;
  v_gone   uuid[];
  v_count  integer;
  v_moves  integer := 0;
begin
  insert into outbox.relays (id, label, unable, lease_until) values (p_relay, p_label, p_unable, now() + p_ttl)
  on conflict (id) do update set seen_at = now(), unable = p_unable, lease_until = now() + p_ttl;
  delete from outbox.relays r where r.id = any (array(
    select o.id from outbox.relays o where o.seen_at < now() - interval '1 hour' and o.lease_until <= now() for update skip locked));
  insert into outbox.lanes (name)
  select d.name from outbox.destinations d where not exists (select from outbox.lanes l where l.name = d.name) on conflict do nothing;

  select count(*) into v_relays from outbox.relays where lease_until > now();
  select count(*) into v_lanes from outbox.lanes;
  -- What others cannot send comes on top: somebody has to.
  v_share := ceil(v_lanes::numeric / greatest(v_relays, 1))
    + (select count(distinct u) from outbox.relays r cross join unnest(r.unable) u where r.lease_until > now() and r.id <> p_relay);

  -- Locked, so that one which wakes up at this moment either is seen to live or sees what became of its lanes.
  v_gone := array(select r.id from outbox.relays r where r.lease_until <= now() and r.id <> p_relay for update skip locked)
    || array(select distinct l.owner from outbox.lanes l
             where l.owner is not null and not exists (select from outbox.relays r where r.id = l.owner));

  if cardinality(p_unable) > 0 then
    update outbox.lanes set owner = null, lease_until = '-infinity' where owner = p_relay and name = any (p_unable);
    get diagnostics v_count = row_count;
    v_moves := v_moves + v_count;
  end if;
  update outbox.lanes set lease_until = 'infinity' where owner = p_relay and lease_until <> 'infinity';
  select count(*) into v_held from outbox.lanes where owner = p_relay;

  if v_held > v_share then
    update outbox.lanes set owner = null, lease_until = '-infinity'
    where owner = p_relay and name = any (array(select l.name from outbox.lanes l where l.owner = p_relay order by l.name offset v_share));
    get diagnostics v_count = row_count;
    v_moves := v_moves + v_count;
  elsif v_held < v_share then
    update outbox.lanes set owner = p_relay, lease_until = 'infinity'
    where name = any (array(
      select l.name from outbox.lanes l
      where (l.owner is null or l.owner = any (v_gone) or l.owner <> p_relay and l.lease_until <= now()) and l.name <> all (p_unable)
      order by l.name limit v_share - v_held for update skip locked));
    get diagnostics v_count = row_count;
    v_moves := v_moves + v_count;
  end if;
  if v_moves > 0 then
    update outbox.relays set moves = moves + 1 where id = p_relay;
  end if;

  return query select name::text from outbox.lanes where owner = p_relay;
end $$;

-- The same for a relay that knows its lanes as of p_known: where nothing changed that decides about them, its lease is renewed and `lanes` is null. What
-- decides is the configuration, which other relays live, what they cannot send, and whether lanes changed hands. `known` is null where the next heartbeat is to
-- look again: lanes moved just now, or some are free that were locked.
create function outbox.renew_lanes(p_relay uuid, p_label text, p_ttl interval, p_unable text[], p_known text)
returns table (known text, lanes text[])
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_known text;
  v_lanes text[];
  v_moves bigint;
  v_alive boolean;
begin
  update outbox.relays r set seen_at = now(), lease_until = now() + p_ttl where r.id = p_relay and r.unable = p_unable
  returning r.moves into v_moves;
  v_alive := found;
  -- Before anything is looked at: what changes after this is seen to have changed.
  select concat_ws(' ', s.config_revision, (
    select string_agg(concat(r.id, ':', r.moves, ':', r.unable), ' ' order by r.id)
    from outbox.relays r where r.lease_until > now() and r.id <> p_relay)) into v_known
  from outbox.settings s;
  if v_alive and v_known = p_known then
    return query select v_known, null::text[];
    return;
  end if;
  v_lanes := array(select h.name from outbox.hold_lanes(p_relay, p_label, p_ttl, p_unable) h(name));
  if (select r.moves from outbox.relays r where r.id = p_relay) is distinct from coalesce(v_moves, 0)
     or exists (select from outbox.lanes l left join outbox.relays r on r.id = l.owner
                where (r.id is null or r.lease_until <= now()) and l.name <> all (p_unable)) then
    v_known := null;
  end if;
  return query select v_known, v_lanes;
end $$;
