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
  perform outbox.return_tails(v_batch); -- behind a parked head they wait for it, they are not parked with it
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

-- No workflow that was started so far counts any more: claims return to pending; retrying and parked rows keep their batch, whose workflow is
-- looked for soon and made again where it is missing. Answers how many deliveries were returned.
-- `run` leaps, not steps: executions of a future that a restore took away may still name the runs that come next.
create function outbox.void_workflows() returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
begin
  update outbox.settings set temporal_epoch = temporal_epoch + 1;
  update outbox.batches set run = run + 1000 + (random() * 1000000)::int, fruitless = 0, checked_at = null,
    epoch = (select temporal_epoch from outbox.settings), active = false, open = 0;
  update outbox.deliveries set state = 'pending', batch_id = null where state = 'claimed';
  get diagnostics v_count = row_count;
  delete from outbox.batches b where not exists (select from outbox.deliveries d where d.batch_id = b.id);
  return v_count;
end $$;

-- Another Temporal store takes over, the old one is gone. Answers how many deliveries were returned.
create function outbox.adopt_temporal(p_namespace_id text) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.settings set temporal_namespace_id = p_namespace_id
  where temporal_namespace_id is distinct from p_namespace_id;
  if not found then
    return 0;
  end if;
  return outbox.void_workflows();
end $$;

-- Which server and database this is. A dump that was restored, or a copy beside the first, has another one; a copy of a whole server has the
-- same, for which there are the marks below.
create function outbox.home() returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_server text;
begin
  begin
    select system_identifier::text into v_server from pg_control_system();
  exception when insufficient_privilege then
    v_server := 'unknown'; -- somebody revoked it; the database's own number has to do
  end;
  return v_server || '/' || (select oid from pg_database where datname = current_database());
end $$;

-- Answers whether work may go on here: false for a copy that nobody has confirmed.
create function outbox.bind_home() returns boolean
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.settings set home = outbox.home() where home is null;
  select home = outbox.home() from outbox.settings
$$;

-- Every process that starts writes a new mark here and then into Temporal. The one found there is always among these, unless this database was
-- set back to before it was written, or is a copy made before: a clone of a whole server, too.
create table outbox.marks (
  mark    uuid primary key,
  made_at timestamptz not null default now()
);

create function outbox.make_mark() returns uuid
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
  delete from outbox.marks where made_at < now() - interval '1 year';
  insert into outbox.marks (mark) values (gen_random_uuid()) returning mark;
$$;

-- After a restore, before anything runs: no workflow counts any more, and numbers that the lost future gave out are not given again. Receivers
-- compare outbox-sequence, and people may still hold the number of a dead letter. Answers how many deliveries were returned to pending.
create function outbox.settle_restored() returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform setval('outbox.delivery_seq', last_value + 1000000000) from outbox.delivery_seq;
  perform setval('outbox.dead_letters_id_seq', last_value + 10000) from outbox.dead_letters_id_seq;
  update outbox.lanes set owner = null, lease_until = '-infinity';
  delete from outbox.relays;
  return outbox.void_workflows();
end $$;

-- The last step of a restore: from now on this database is the one.
create function outbox.accept_home() returns void
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.settings set home = outbox.home()
$$;
