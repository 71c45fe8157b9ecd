-- What was answered is written, however long that takes, and only a worker that died counts as lost.

-- Who opened the latest run: a process that opens a batch again did not die of it.
alter table outbox.batches add column opened_by uuid;

-- Opens the next run of the batch that this workflow owns. No row: nothing is left to do. p_by: the process that asks. `fruitless` counts
-- runs in a row that ended without any outcome and with their process: one that comes back to its batch was kept from writing.
drop function outbox.open_batch(text);
create function outbox.open_batch(p_workflow text, p_by uuid default null)
returns table (batch_id uuid, run integer, lane text, fruitless integer, config_revision integer, held boolean)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
begin
  return query
  update outbox.batches b
  set run = b.run + 1, fruitless = greatest(b.fruitless + case when b.opened_by = p_by then 0 else 1 end, 1), opened_by = p_by, checked_at = now()
  from outbox.settings s
  where b.workflow_id = p_workflow
  returning b.id, b.run, b.lane, b.fruitless - 1, s.config_revision, outbox.is_held(b.lane);
  -- Retries wait as the receiver asked, like claims.
  update outbox.deliveries d set due_at = c.wait_until
  from outbox.batches b join outbox.circuits c on c.destination = b.lane and c.wait_until > now()
  where b.workflow_id = p_workflow and d.batch_id = b.id and d.state = 'retry' and d.due_at <= now();
  perform outbox.ration_retries(b.id, d)
  from outbox.batches b join outbox.destinations d on d.name = b.lane and d.rate_per_second is not null
  where b.workflow_id = p_workflow;
end $$;

-- The run ended in order, though without an outcome: nobody was lost.
create function outbox.forgive_run(p_batch uuid, p_run integer) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.batches set fruitless = greatest(fruitless - 1, 0) where id = p_batch and run = p_run
$$;

-- One delivery whose outcome PostgreSQL does not take (a constraint, a trigger of somebody's): it stands alone and says why. Answers
-- false when fenced.
create function outbox.park_unwritten(p_batch uuid, p_run integer, p_seq bigint, p_message text) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.batches set open = case when active then greatest(open - 1, 0) else open end, fruitless = 0
  where id = p_batch and run = p_run;
  if not found then
    return false;
  end if;
  perform outbox.return_tails(p_batch, array[p_seq]);
  perform outbox.park_rows(p_batch, jsonb_build_array(jsonb_build_object(
    'seq', p_seq, 'reason', 'unwritten', 'errorClass', 'unwritten', 'message', left(p_message, 1000))));
  return true;
end $$;

-- What a worker has been answered and cannot write down yet, for other processes to see.
alter table outbox.workers add column unwritten integer not null default 0;
alter table outbox.workers add column unwritten_since timestamptz;
alter table outbox.workers add column unwritten_says text;

create function outbox.note_unwritten(p_worker uuid, p_count integer, p_age interval, p_says text) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  update outbox.workers
  set unwritten = p_count, unwritten_since = case when p_count > 0 then now() - p_age end,
      unwritten_says = case when p_count > 0 then left(p_says, 500) end
  where id = p_worker;
end $$;

-- Dates that no reader can show. Not valid, and not of outbox.events_kept: an old row must still be kept, or nothing ages behind it.
alter table outbox.events add constraint events_created_at_is_a_date
  check (created_at >= '0001-01-01 00:00:00+00' and created_at < '9999-12-31 00:00:00+00') not valid;

-- Seconds since; null for what is no moment.
create function outbox.seconds_since(p_at timestamptz) returns double precision
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select case when isfinite(p_at) then extract(epoch from now() - p_at)::double precision end
$$;

-- Days are printed and read back: in a style with names of zones, another day could come of it.
alter function outbox.make_partitions(integer, integer) set datestyle = 'ISO, YMD';
alter function outbox.make_partitions(integer, integer) set timezone = 'UTC';
