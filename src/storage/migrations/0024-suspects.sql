-- A lost worker is charged only to what it had begun. A batch whose workers were lost twice in a row is a suspect: from then on it waits for
-- its turn, as one process attempts one suspect at a time, and a worker that is lost meanwhile is nothing to it.

-- Opens the next run of the batch that this workflow owns. No row: nothing is left to do. p_by: the process that asks. `fruitless` counts
-- runs in a row that ended without any outcome and with their process: one that comes back to its batch was kept from writing. Of a
-- suspect nothing counts before begin_alone, and nothing of it is to be loaded.
--
-- In the table `fruitless` is that count, and one more while a run is open that would count; opened_by says whose that is.
drop function outbox.open_batch(text, uuid);
create function outbox.open_batch(p_workflow text, p_by uuid default null)
returns table (batch_id uuid, run integer, lane text, fruitless integer, config_revision integer, held boolean, suspect boolean)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
declare
  c_suspect constant integer := 2;
begin
  return query
  update outbox.batches b
  set run = b.run + 1,
      fruitless = n.lost + case when n.lost < c_suspect then 1 else 0 end,
      opened_by = case when n.lost < c_suspect then p_by end,
      checked_at = now()
  from (
    select o.id, greatest(o.fruitless - case when o.opened_by = p_by then 1 else 0 end, 0) as lost
    from outbox.batches o where o.workflow_id = p_workflow for update
  ) n, outbox.settings s
  where b.id = n.id
  returning b.id, b.run, b.lane, n.lost, s.config_revision, outbox.is_held(b.lane), n.lost >= c_suspect;
  -- Retries wait as the receiver asked, like claims.
  update outbox.deliveries d set due_at = c.wait_until
  from outbox.batches b join outbox.circuits c on c.destination = b.lane and c.wait_until > now()
  where b.workflow_id = p_workflow and d.batch_id = b.id and d.state = 'retry' and d.due_at <= now();
  perform outbox.ration_retries(b.id, d)
  from outbox.batches b join outbox.destinations d on d.name = b.lane and d.rate_per_second is not null
  where b.workflow_id = p_workflow;
end $$;

-- A suspect has its turn in the process p_by, which may be lost over it. `held`: nothing may be sent to its destination now. No row when fenced.
create function outbox.begin_alone(p_batch uuid, p_run integer, p_by uuid) returns table (held boolean)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.batches b set fruitless = b.fruitless + 1, opened_by = p_by
  where b.id = p_batch and b.run = p_run
  returning outbox.is_held(b.lane)
$$;

-- The run ended in order, though without an outcome: nobody was lost. What waits for its turn has nothing to be forgiven; of a batch
-- that was opened with its claim nobody wrote down who did.
create or replace function outbox.forgive_run(p_batch uuid, p_run integer) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.batches set fruitless = greatest(fruitless - 1, 0), opened_by = null
  where id = p_batch and run = p_run and (opened_by is not null or fruitless = 1)
$$;

-- A batch whose executions keep dying without an outcome holds a row that kills them. It is broken into at most 32 parts, and
-- those again, until the row stands alone; then it is parked as poison. Its innocent neighbours are delivered on the way: each part is
-- a suspect from the beginning, so none is charged with what another one does.
create or replace function outbox.break_up(p_batch uuid, p_run integer) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch outbox.batches;
  v_rows  integer;
  v_seqs  bigint[];
  v_part  uuid;
begin
  select * into v_batch from outbox.batches where id = p_batch and run = p_run for update;
  if not found then
    return null;
  end if;
  perform outbox.return_tails(p_batch); -- parts run side by side: of each key one row may stay
  select * into v_batch from outbox.batches where id = p_batch;
  select count(*) into v_rows from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry');
  if v_rows <= 1 then
    perform outbox.park_rows(p_batch, (
      select jsonb_agg(jsonb_build_object('seq', seq, 'reason', 'poison', 'errorClass', 'worker-lost',
        'message', 'The worker was lost several times in a row while it attempted this event'))
      from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry')));
    return outbox.finish_attempt(p_batch, p_run, 200);
  end if;
  for v_seqs in
    select array_agg(t.seq order by t.seq)
    from (select seq, ntile(least(v_rows, 32)) over (order by seq) as part
          from outbox.deliveries where batch_id = p_batch and state in ('claimed', 'retry')) t
    group by t.part order by t.part
  loop
    v_part := gen_random_uuid();
    insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, parent, fruitless)
    values (v_part, v_batch.lane, outbox.workflow_prefix() || 'deliver/' || v_part, cardinality(v_seqs),
            case when v_batch.active then cardinality(v_seqs) else 0 end, v_batch.active, v_batch.epoch, p_batch, 2);
    update outbox.deliveries set batch_id = v_part where batch_id = p_batch and seq = any (v_seqs);
  end loop;
  update outbox.batches set active = false, open = 0, fruitless = 0 where id = p_batch;
  delete from outbox.batches b where b.id = p_batch and not exists (select from outbox.deliveries where batch_id = p_batch);
  return outbox.batch_summary(v_batch.workflow_id) || jsonb_build_object('singles', outbox.children_of(p_batch));
end $$;
