-- Least privilege. The five roles are groups without login: grant them to the users of your services. Roles are the cluster's: a member
-- is one in every outbox of that server.
--   outbox_producer  may insert events, and see of them what `returning id` and `on conflict (id)` need; never a payload
--   outbox_api       what the HTTP API calls: events and half messages, through functions; reads no table
--   outbox_relay     what relay and worker do
--   outbox_operator  reads everything, resolves dead letters, applies configuration
--   outbox_migrator  owns the schema, so that SECURITY DEFINER functions never run as a superuser
-- Where the migrating user may not create roles, the schema stays its own and granting is left to the administrator.
do $$
declare
  v_role text;
  v_name text;
  v_names text[];
  v_may_create boolean := (select rolsuper or rolcreaterole from pg_roles where rolname = current_user);
begin
  revoke all on all functions in schema outbox from public;
  foreach v_role in array array['outbox_producer', 'outbox_api', 'outbox_relay', 'outbox_operator', 'outbox_migrator'] loop
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

  -- From nothing, so that what an earlier version granted and nobody needs any more is gone. What is granted stands in
  -- test/storage/grants.ts too, by role.
  execute 'revoke all on all tables in schema outbox from outbox_producer, outbox_api, outbox_relay, outbox_operator';
  execute 'revoke all on all sequences in schema outbox from outbox_producer, outbox_api, outbox_relay, outbox_operator';
  execute 'revoke all on all functions in schema outbox from outbox_producer, outbox_api, outbox_relay, outbox_operator';
  grant usage on schema outbox to outbox_producer, outbox_api, outbox_relay, outbox_operator;
  grant insert (id, type, key, payload, payload_bytes, headers, deliver_at, source, subject, content_type, dedup_key) on outbox.events to outbox_producer;
  grant select (id, type, key, deliver_at) on outbox.events to outbox_producer;
  grant insert, select on outbox.outgoing_events to outbox_producer;
  grant select on outbox.migrations to outbox_api;

  -- Partitions are reached through their parents alone.
  for v_name in
    select c.relname from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
      and c.relname !~ '_[0-9]{8}$'
  loop
    execute format('grant select on outbox.%I to outbox_relay, outbox_operator', v_name);
  end loop;
  grant insert, update, delete on outbox.deliveries, outbox.batches, outbox.lanes, outbox.relays,
    outbox.workers, outbox.shares, outbox.prepared_messages, outbox.message_batches to outbox_relay;
  grant insert on outbox.delivered, outbox.attempts, outbox.dead_letters, outbox.causes, outbox.revisions to outbox_relay;
  -- All but the number, the time and the login.
  grant insert (actor, via, workflow_id, action, event_id, destination, events, outcome, message, reason, command_id) on outbox.audit
    to outbox_relay;
  grant update on outbox.dead_letters, outbox.housekeeping, outbox.replays to outbox_relay;
  grant delete on outbox.attempts to outbox_relay;
  grant insert, update on outbox.circuits to outbox_relay;
  grant update (paused_at, paused_reason, paused_by_refusals) on outbox.destinations to outbox_relay;
  -- An outage refunds what its failures were charged.
  grant update (charged) on outbox.attempts to outbox_relay;
  grant usage on sequence outbox.delivery_seq to outbox_relay;

  -- By name, as signatures change. Each list is what the role's own programs call, and what those functions call in turn with their
  -- caller's rights. Never a trigger function: whoever may execute one can attach it to a table of his own, and one with its owner's
  -- rights would then run his casts and operators with them.
  for v_role, v_names in values
    ('outbox_producer', array['uuid7', 'uuid7_time', 'enqueue', 'enqueue_all', 'enqueue_events', 'prepare_message', 'prepare_messages', 'commit_message',
      'commit_messages', 'rollback_message', 'rollback_messages', 'message_state']),
    ('outbox_api', array['enqueue_all', 'enqueue_events', 'prepare_message', 'prepare_messages', 'commit_message', 'commit_messages', 'rollback_message',
      'rollback_messages', 'message_state', 'api_settings']),
    ('outbox_operator', array['uuid7', 'uuid7_time', 'enqueue', 'enqueue_all', 'enqueue_events', 'resolve_messages', 'message_state', 'prepare_revision',
      'bind_temporal', 'adopt_temporal', 'bind_home', 'home', 'settle_restored', 'accept_home', 'make_mark', 'days_ahead',
      'oldest_transaction_seconds', 'workflow_prefix', 'filter_mode', 'partitions_past_retention', 'may_detach', 'erase', 'events_of_key',
      'sequences_behind', 'routing_known_since', 'retention_of', 'route_missed', 'apply_config', 'seconds_since', 'checked_paths', 'note_cause',
      'freeze_replay', 'replay_standing', 'note_look', 'make_token', 'revoke_token', 'announce_command',
      'freeze_redrive', 'redrive_sample', 'redrive_standing', 'redrive_now', 'command_redrive', 'waiting_for_second', 'keeps_many_days']),
    ('outbox_relay', array['uuid7_time', 'workflow_prefix', 'api_settings',
      -- relay
      'keeps_many_days', 'reach_of', 'thin_attempts', 'claim', 'claim_shared', 'claim_loaded', 'claim_shared_loaded', 'shared_lane', 'lanes_with_work', 'take_keyed', 'first_parked', 'tokens_for', 'tokens_now', 'spend_tokens', 'load_rows', 'load_these', 'load_claimed', 'extracted', 'checked_paths', 'clock_of', 'hold_lanes', 'renew_lanes', 'share_hot', 'leave_lanes', 'promote_due',
      'wake_stranded', 'release_keys', 'release_batch', 'batches_to_check', 'park_batch', 'park_rows', 'cause_text', 'cause_id', 'return_tails', 'circuits_to_watch',
      'claim_messages', 'look_for_alerts', 'note_lags', 'message_batches_to_check', 'take_nudges', 'drop_message_batch', 'note_paused', 'note_destination_paused',
      -- worker
      'part_off', 'hand_back', 'sort_out', 'sift_shared', 'know_mixed', 'open_batch', 'begin_alone', 'give_back', 'forgive_run', 'park_unwritten', 'note_unwritten', 'note_lacking', 'ration_retries', 'is_held', 'acknowledge', 'acknowledge_late', 'record_failures', 'finish_attempt', 'split_off',
      'children_of', 'batch_summary', 'break_up', 'give_share', 'take_share', 'renew_worker', 'leave_worker',
      'count_outcomes', 'circuit_standing', 'have_circuit', 'open_circuit', 'close_circuit', 'half_open', 'note_circuit', 'set_clock',
      'lift_pauses', 'refund', 'refund_signs', 'return_rows', 'return_lost_probe', 'pause_destination', 'claim_probe', 'type_of', 'finish_probe', 'note_failed_probe', 'park_pending',
      'open_messages', 'settle_checks', 'finish_checks',
      'freeze_replay', 'replay_standing', 'release_replay', 'command_replay',
      -- the dashboard, where `run` serves it
      'note_flow', 'note_look', 'note_cause', 'revoke_token', 'redrive_sample', 'announce_command',
      -- commands
      'freeze_redrive', 'redrive_standing', 'redrive_now', 'advance_redrive', 'command_redrive', 'end_redrive', 'silent_redrives', 'redrive_untold',
      'resolve', 'resolve_here', 'went_to', 'readdress_command', 'why_refused', 'note_command', 'sender_of', 'why_not_allowed', 'meaning_of', 'second_person', 'second_said', 'waiting_for_second', 'deliveries_for_audit', 'standing_for_audit', 'apply_retry', 'apply_edit', 'apply_redirect', 'apply_discard', 'take_turns', 'lock_keys',
      'key_of', 'prepare_revision', 'command_destination', 'resolve_messages', 'message_state',
      -- which database this is
      'bind_temporal', 'adopt_temporal', 'bind_home', 'home', 'settle_restored', 'accept_home', 'make_mark', 'latest_mark',
      'heal_sequences', 'sequences_behind', 'routing_known_since', 'retention_of',
      -- housekeeping, health and metrics
      'make_partitions', 'days_ahead', 'partitions_past_retention', 'may_detach', 'keep_unsettled', 'finish_detach', 'drop_detached',
      'drop_partition_briefly', 'purge', 'purge_replays', 'forget_messages', 'workflows_without_rows', 'oldest_transaction_seconds', 'filter_mode', 'seconds_since'])
  loop
    for v_name in
      select p.oid::regprocedure::text from pg_proc p
      where p.pronamespace = 'outbox'::regnamespace and p.proname = any (v_names) and p.prorettype <> 'trigger'::regtype
    loop
      execute format('grant execute on function %s to %I', v_name, v_role);
    end loop;
  end loop;

  -- What an operator writes goes through these and through signals to workflows; no table is open to changes by hand.
  alter function outbox.prepare_revision(uuid, text, text, text, text, text, bytea) security definer;
  alter function outbox.apply_config(jsonb, text, text, text) security definer;

  -- What somebody makes by hand as the owner is not open to everybody either. PostgreSQL has no such default for a schema alone. It takes
  -- the owner's rights, which a superuser has.
  if pg_has_role(current_user, 'outbox_migrator', 'usage') then
    alter default privileges for role outbox_migrator revoke execute on functions from public;
  end if;
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
    from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
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
