-- Rate limits. A lane's tokens lie on its row, on this server's clock: one bucket for all relays and workers. First attempts are paid for
-- when they are claimed, later ones when their batch is opened. A destination without a limit never comes here.

-- A quarter of a second's worth may be saved up: in any window of `per`, at most 1.25 times the limit goes out.
create function outbox.rate_burst(p_limit integer, p_per_second double precision) returns double precision
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select greatest(1, least(p_limit, p_per_second / 4)) where p_limit is not null
$$;

create function outbox.tokens_now(p_lane outbox.lanes, p_destination outbox.destinations) returns double precision
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select least(p_destination.rate_burst, coalesce(
    p_lane.tokens + greatest(extract(epoch from now() - p_lane.tokens_at), 0)::float8 * p_destination.rate_per_second,
    p_destination.rate_burst))
$$;

-- How many of p_count waiting rows may be claimed now. Each claim costs a workflow: with more waiting than may go, it waits until
-- half of what can be saved up is there, so 500 a second are 8 batches a second and not 200.
create function outbox.tokens_for(p_destination outbox.destinations, p_after bigint, p_count integer) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_allowed integer;
begin
  select floor(outbox.tokens_now(l, p_destination)) into v_allowed from outbox.lanes l where l.name = p_destination.name;
  if v_allowed < 1 or v_allowed >= least(p_count, p_destination.rate_burst / 2) then
    return least(greatest(v_allowed, 0), p_count);
  end if;
  perform from outbox.deliveries d where d.destination = p_destination.name and d.state = 'pending' and d.seq > p_after
  order by d.seq offset v_allowed limit 1;
  return case when found then 0 else v_allowed end;
end $$;

create function outbox.spend_tokens(p_destination outbox.destinations, p_count integer) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.lanes l set tokens = outbox.tokens_now(l, p_destination) - p_count, tokens_at = greatest(now(), l.tokens_at)
  where l.name = p_destination.name
$$;

-- Retries that are due take tokens, those that find none are put off until theirs will be there. A retry may overdraw by one, a claim
-- may not: else claims, which ask all the time, would leave retries none.
create function outbox.ration_retries(p_batch uuid, p_destination outbox.destinations) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_due     integer;
  v_tokens  double precision;
  v_allowed integer;
begin
  select count(*) into v_due from outbox.deliveries where batch_id = p_batch and state = 'retry' and due_at <= now();
  if v_due = 0 then
    return;
  end if;
  select outbox.tokens_now(l, p_destination) into v_tokens from outbox.lanes l where l.name = p_destination.name for no key update;
  if not found then
    return;
  end if;
  v_allowed := case when v_tokens < 0 then 0 else least(v_due, floor(v_tokens) + 1) end;
  perform outbox.spend_tokens(p_destination, v_allowed);
  v_tokens := v_tokens - v_allowed;
  -- In steps of a quarter second: each moment at which something is due wakes the workflow.
  update outbox.deliveries d
  set due_at = now() + ceil(greatest((r.n - v_allowed - v_tokens - 1) / p_destination.rate_per_second, 0.001) * 4) / 4 * interval '1 s'
  from (select seq, row_number() over (order by due_at, seq) as n from outbox.deliveries
        where batch_id = p_batch and state = 'retry' and due_at <= now()) r
  where d.batch_id = p_batch and d.seq = r.seq and r.n > v_allowed;
end $$;

-- Concurrency. Each worker process holds a share of a destination's concurrency, and begins no request beyond it. A process alone takes
-- the whole at its first request and asks no more; one that needs some of it says so here, and the others give what they do not
-- use, or what is above their even part, with their next heartbeat. A share lasts as long as its worker is heard of.

create table outbox.workers (
  id         uuid primary key,
  label      text not null,
  started_at timestamptz not null default now(),
  seen_at    timestamptz not null default now()
) with (fillfactor = 50);

create table outbox.shares (
  destination text collate "C" not null,
  worker      uuid not null references outbox.workers (id) on delete cascade,
  slots       integer not null,
  -- What it could use, and when it said so: old wishes count for nothing.
  wanted      integer not null,
  wanted_at   timestamptz not null default now(),
  primary key (destination, worker),
  constraint shares_are_counts check (slots >= 0 and wanted >= 0)
) with (fillfactor = 50);
create index shares_wanting on outbox.shares (destination) where wanted > slots;

-- Heartbeat of a worker. Answers { lost, wishes: [{ destination, concurrency, needed, claimants }] }: whether it was silent for so long that its
-- shares are gone, and what others need of destinations that it holds a share of. `claimants` includes itself.
create function outbox.renew_worker(p_worker uuid, p_label text, p_ttl interval) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_alive boolean;
begin
  perform set_config('synchronous_commit', 'off', true);
  select seen_at > now() - p_ttl into v_alive from outbox.workers where id = p_worker for update;
  insert into outbox.workers (id, label) values (p_worker, p_label) on conflict (id) do update set seen_at = now();
  if v_alive is not true then
    delete from outbox.shares where worker = p_worker;
    delete from outbox.workers where seen_at < now() - interval '1 hour';
  end if;
  return jsonb_build_object('lost', v_alive is not true, 'wishes', (
    select coalesce(jsonb_agg(to_jsonb(n)), '[]') from (
      select s.destination, (d.config ->> 'concurrency')::integer as concurrency, sum(s.wanted - s.slots) as needed,
             (select count(*) from outbox.shares o join outbox.workers v on v.id = o.worker
              where o.destination = s.destination and v.seen_at > now() - p_ttl
                and (o.slots > 0 or o.wanted_at > now() - interval '3 s')) as claimants
      from outbox.shares s
      join outbox.workers w on w.id = s.worker and w.seen_at > now() - p_ttl
      join outbox.shares mine on mine.destination = s.destination and mine.worker = p_worker and mine.slots > 0
      join outbox.destinations d on d.name = s.destination
      where s.worker <> p_worker and s.wanted > s.slots and s.wanted_at > now() - interval '3 s'
      group by s.destination, d.name) n));
end $$;

-- Asks for p_wanted slots in all; answers how many the worker holds now. Where nobody else holds or wants any it gets the whole.
create function outbox.take_share(p_worker uuid, p_destination text, p_wanted integer, p_ttl interval) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_limit  integer;
  v_taken  integer;
  v_others boolean;
  v_slots  integer;
begin
  perform pg_advisory_xact_lock(1869968483, hashtext(p_destination));
  select (config ->> 'concurrency')::integer into v_limit from outbox.destinations where name = p_destination;
  select coalesce(sum(s.slots), 0), coalesce(bool_or(s.slots > 0 or s.wanted_at > now() - interval '3 s'), false) into v_taken, v_others
  from outbox.shares s join outbox.workers w on w.id = s.worker
  where s.destination = p_destination and s.worker <> p_worker and w.seen_at > now() - p_ttl;
  v_slots := greatest(least(case when v_others then p_wanted else v_limit end, v_limit - v_taken), 0);
  insert into outbox.shares as mine (destination, worker, slots, wanted)
  select p_destination, id, v_slots, least(p_wanted, v_limit) from outbox.workers where id = p_worker and seen_at > now() - p_ttl
  on conflict (destination, worker) do update
  set slots = greatest(mine.slots, excluded.slots), wanted = excluded.wanted, wanted_at = now()
  returning slots into v_slots;
  return coalesce(v_slots, 0);
end $$;

create function outbox.give_share(p_worker uuid, p_destination text, p_slots integer) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.shares set slots = p_slots where destination = p_destination and worker = p_worker and slots > p_slots
$$;

create function outbox.leave_worker(p_worker uuid) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  delete from outbox.workers where id = p_worker
$$;
