-- PostgreSQL is the truth, Temporal the progress. These bring the two together again.

-- Batches whose workflow should be looked at: claimed a while ago and not looked at since. Oldest look first.
create function outbox.batches_to_check(p_age interval, p_limit integer) returns table (batch_id uuid, workflow_id text, lane text, run integer)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.batches b set checked_at = now()
  where b.id = any (array(
    select id from outbox.batches
    where claimed_at < now() - p_age and (checked_at is null or checked_at < now() - p_age)
    order by checked_at nulls first limit p_limit for update skip locked))
  returning b.id, b.workflow_id, b.lane, b.run
$$;

-- A workflow was ended from outside (terminated, cancelled, failed). What it had not settled is parked with that reason, attempts
-- kept; raising run fences an activity that may still be sending. Answers how many rows the batch still holds: with any, its
-- workflow is to be started again to wait for a person. p_run: the run that was seen before the workflow was; when another has begun since
-- (two relays look at once), nothing is parked.
create function outbox.park_batch(p_workflow text, p_reason text, p_run integer default null) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch uuid;
  v_left  integer;
begin
  update outbox.batches set run = run + 1, active = false, open = 0, fruitless = 0
  where workflow_id = p_workflow and run = coalesce(p_run, run)
  returning id into v_batch;
  if not found then
    return 0;
  end if;
  perform outbox.park_rows(v_batch, t.rows)
  from (select jsonb_agg(jsonb_build_object('seq', seq, 'reason', p_reason)) as rows
        from outbox.deliveries where batch_id = v_batch and state in ('claimed', 'retry')) t
  where t.rows is not null;
  select count(*) into v_left from outbox.deliveries where batch_id = v_batch;
  if v_left = 0 then
    delete from outbox.batches where id = v_batch;
  end if;
  return v_left;
end $$;

-- Binds this database to a Temporal namespace. Answers the namespace it is bound to, which differs from p_namespace_id when it
-- was bound to another before.
create function outbox.bind_temporal(p_namespace_id text) returns text
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.settings set temporal_namespace_id = coalesce(temporal_namespace_id, p_namespace_id)
  returning temporal_namespace_id
$$;

-- Another Temporal store takes over (the old one is gone): claims of the old one return to pending, retrying and parked rows keep
-- their batch, whose workflow is made again. Answers how many deliveries were returned.
create function outbox.adopt_temporal(p_namespace_id text) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
begin
  update outbox.settings set temporal_namespace_id = p_namespace_id, temporal_epoch = temporal_epoch + 1
  where temporal_namespace_id is distinct from p_namespace_id;
  if not found then
    return 0;
  end if;
  update outbox.batches set run = run + 1, fruitless = 0, checked_at = null, epoch = (select temporal_epoch from outbox.settings);
  update outbox.deliveries set state = 'pending', batch_id = null where state = 'claimed';
  get diagnostics v_count = row_count;
  update outbox.batches set active = false, open = 0;
  delete from outbox.batches b where not exists (select from outbox.deliveries d where d.batch_id = b.id);
  return v_count;
end $$;
