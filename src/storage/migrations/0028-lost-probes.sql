-- A row that kills its worker does so as a probe, too. It was charged with nothing, could be the next probe again, and kept its destination's
-- circuit open for ever.
alter table outbox.deliveries add column lost_probes smallint not null default 0;

-- What a probe left whose worker was lost goes back to the line, uncharged; a worker that was only slow is fenced. Answers how many
-- probes. One at a time is made for a destination, by its workflow, so whoever begins one may take it that the earlier is over. Until
-- then a key that was in it stands still.
create or replace function outbox.return_lost_probe(p_destination text) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_lost  outbox.batches;
  v_count integer := 0;
  c_poison constant integer := 5; -- as of batches; the first loss may have been another's, in the same probe
begin
  -- Nothing but a probe is kept from the reconciler. Parked by it and not handed over: the reconciler finds the workflow missing.
  for v_lost in
    update outbox.batches b set run = b.run + 1, checked_at = null
    where b.lane = p_destination and b.checked_at > now() returning b.*
  loop
    update outbox.deliveries d set lost_probes = least(d.lost_probes + 1, c_poison)
    where d.batch_id = v_lost.id and d.state in ('claimed', 'retry');
    perform outbox.park_rows(v_lost.id, (
      select jsonb_agg(jsonb_build_object('seq', d.seq, 'reason', 'poison', 'errorClass', 'worker-lost',
        'message', 'The worker was lost several times in a row while it sent this event as a probe'))
      from outbox.deliveries d
      where d.batch_id = v_lost.id and d.state in ('claimed', 'retry') and d.lost_probes >= c_poison and v_lost.size = 1));
    perform outbox.return_rows(v_lost.id, v_lost.run, '[]', null);
    v_count := v_count + 1;
  end loop;
  return v_count;
end $$;

-- As before (0018), and with lost probes in mind.
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
    (select d.seq, d.tries, d.key, d.event_id, d.lost_probes from outbox.deliveries d
     where d.destination = p_destination and d.state = 'pending' order by d.seq limit p_limit + 150)
    union
    (select d.seq, d.tries, d.key, d.event_id, d.lost_probes from outbox.deliveries d
     where d.destination = p_destination and d.state = 'pending' order by d.seq desc limit 50)
  ), heads as materialized (
    select s.seq, s.tries, s.event_id, s.lost_probes from sample s
    where s.key is null or not exists (
      select from outbox.deliveries e
      where e.destination = p_destination and e.key = s.key
        and (e.state in ('claimed', 'retry', 'parked') or e.state in ('pending', 'blocked') and e.seq < s.seq))
  ), free as materialized (
    -- Who was in a probe that was lost goes when nobody else is there, and alone: what becomes of it is then its own.
    select h.seq, h.tries, outbox.type_of(h.event_id) as type from heads h
    where h.lost_probes = 0
       or h.seq = (select a.seq from heads a order by a.lost_probes, a.seq limit 1)
          and not exists (select from heads a where a.lost_probes = 0)
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
