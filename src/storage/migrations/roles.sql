-- Least privilege. The four roles are groups without login: grant them to the users of your services.
--   outbox_producer  may insert events, and see of them what `returning id` and `on conflict (id)` need; never a payload
--   outbox_relay     what relay and worker do
--   outbox_operator  reads everything, resolves dead letters, applies configuration
--   outbox_migrator  owns the schema, so that SECURITY DEFINER functions never run as a superuser
-- Where the migrating user may not create roles, the schema stays its own and granting is left to the administrator.
do $$
declare
  v_role text;
  v_may_create boolean := (select rolsuper or rolcreaterole from pg_roles where rolname = current_user);
begin
  revoke all on all functions in schema outbox from public;
  foreach v_role in array array['outbox_producer', 'outbox_relay', 'outbox_operator', 'outbox_migrator'] loop
    if not exists (select from pg_roles where rolname = v_role) then
      if not v_may_create then
        raise notice 'role % does not exist and % may not create it: roles are skipped', v_role, current_user;
        return;
      end if;
      begin
        execute format('create role %I nologin', v_role);
      exception when duplicate_object or unique_violation then null; -- a migration of another database was quicker
      end;
    end if;
  end loop;

  grant usage on schema outbox to outbox_producer, outbox_relay, outbox_operator;
  grant insert (id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key) on outbox.events to outbox_producer;
  grant select (id, type, key, deliver_at) on outbox.events to outbox_producer;
  grant execute on function outbox.uuid7(), outbox.uuid7_time(uuid) to outbox_producer, outbox_relay, outbox_operator;
  grant execute on function outbox.enqueue(text, jsonb, text, jsonb, timestamptz, uuid, text, text, text, text),
    outbox.enqueue_all(uuid[], text[], text[], text[], text[], timestamptz[], text[], text[], text[], text[]) to outbox_producer, outbox_operator;
  -- Half messages: all through functions, no table is open.
  grant execute on function outbox.prepare_message(text, text, jsonb, uuid, text, jsonb, timestamptz, text, text, text),
    outbox.prepare_messages(text[], text[], text[], uuid[], text[], text[], timestamptz[], text[], text[], text[]),
    outbox.commit_message(uuid), outbox.rollback_message(uuid), outbox.commit_messages(uuid[]), outbox.rollback_messages(uuid[]),
    outbox.message_state(uuid) to outbox_producer;
  grant execute on function outbox.resolve_messages(text, jsonb, text), outbox.message_state(uuid) to outbox_operator;

  grant select on all tables in schema outbox to outbox_relay, outbox_operator;
  grant insert, update, delete on outbox.deliveries, outbox.batches, outbox.lanes, outbox.relays,
    outbox.workers, outbox.shares, outbox.prepared_messages, outbox.message_batches to outbox_relay;
  grant insert on outbox.delivered, outbox.attempts, outbox.dead_letters, outbox.audit, outbox.revisions to outbox_relay;
  grant update on outbox.dead_letters, outbox.settings, outbox.housekeeping to outbox_relay;
  grant delete on outbox.attempts to outbox_relay;
  grant insert, update on outbox.circuits to outbox_relay;
  grant update (paused_at, paused_reason, paused_by_refusals) on outbox.destinations to outbox_relay;
  -- An outage refunds what its failures were charged.
  grant update (charged) on outbox.attempts to outbox_relay;
  grant usage on sequence outbox.delivery_seq to outbox_relay;
  grant execute on all functions in schema outbox to outbox_relay;
  revoke execute on function outbox.apply_config(jsonb, text, text, text), outbox.erase(uuid[], text, text, text),
    outbox.events_of_key(text) from outbox_relay;

  -- What an operator writes goes through these three, and through signals to workflows; no table is open to changes by hand.
  alter function outbox.prepare_revision(uuid, text, text, text, text, text) security definer;
  grant execute on function outbox.prepare_revision(uuid, text, text, text, text, text), outbox.sent_now(uuid, text),
    outbox.batch_summary(text), outbox.bind_temporal(text), outbox.adopt_temporal(text),
    outbox.bind_home(), outbox.home(), outbox.settle_restored(), outbox.accept_home(), outbox.make_mark(), outbox.days_ahead(), outbox.oldest_transaction_seconds(), outbox.workflow_prefix(), outbox.filter_mode(jsonpath),
    outbox.partitions_past_retention(), outbox.day_of(text), outbox.retention_of(text), outbox.may_detach() to outbox_operator;
  grant execute on function outbox.erase(uuid[], text, text, text), outbox.events_of_key(text) to outbox_operator;
  alter function outbox.apply_config(jsonb, text, text, text) security definer;
  grant execute on function outbox.apply_config(jsonb, text, text, text) to outbox_operator;
end $$;

-- Hand the schema over from a superuser, who must not own SECURITY DEFINER functions.
do $$
declare
  v_object record;
begin
  if not (select rolsuper from pg_roles where rolname = current_user)
     or not exists (select from pg_roles where rolname = 'outbox_migrator') then
    return;
  end if;
  -- For outbox.oldest_transaction_seconds alone; without it one metric is missing, and nothing else.
  grant pg_read_all_stats to outbox_migrator;
  for v_object in
    select format('alter %s outbox.%I owner to outbox_migrator', case c.relkind when 'S' then 'sequence' else 'table' end, c.relname) as ddl
    from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p', 'S')
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('i', 'a') and c.relkind = 'S')
    union all
    select format('alter function %s owner to outbox_migrator', p.oid::regprocedure)
    from pg_proc p where p.pronamespace = 'outbox'::regnamespace
    union all
    select 'alter schema outbox owner to outbox_migrator'
  loop
    execute v_object.ddl;
  end loop;
end $$;
