-- Who may do what: what a command was asked by, what a process may know, and what a function is attached to.

-- `actor` is what the sender says of itself; this is whom PostgreSQL let in. Through Temporal that is the worker's own login. Rows written
-- before have none.
alter table outbox.audit add column "session_user" text collate "C";
alter table outbox.audit alter column "session_user" set default session_user;

-- A command acts once in the workflow it is meant for: its id may be anything a sender likes, and must not swallow another workflow's.
alter table outbox.audit drop constraint audit_one_line_per_command;
create unique index audit_one_line_per_command on outbox.audit (coalesce(workflow_id, ''), command_id) where command_id is not null;

create or replace function outbox.note_command(
  p_workflow text, p_via text, p_command jsonb, p_outcome text, p_message text, p_events integer, p_event uuid, p_destination text
) returns jsonb
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  insert into outbox.audit (actor, via, workflow_id, action, event_id, destination, events, outcome, message, reason, command_id)
  values (left(p_command ->> 'actor', 200), p_via, p_workflow, left(p_command ->> 'action', 40), p_event, p_destination, p_events,
          p_outcome, p_message, left(p_command ->> 'reason', 1000), p_command ->> 'commandId')
  on conflict (coalesce(workflow_id, ''), command_id) where command_id is not null do nothing;
  select jsonb_build_object('outcome', p_outcome, 'message', p_message, 'events', p_events);
$$;

create or replace function outbox.resolve(p_workflow text, p_command jsonb, p_via text) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_action   text := p_command ->> 'action';
  v_refusal  text;
  v_earlier  outbox.audit;
  v_targets  uuid[];
  v_first    outbox.deliveries;
  v_message  text;
begin
  -- As PostgreSQL prints ids, however they were typed.
  if jsonb_typeof(p_command -> 'events') = 'array' then
    p_command := jsonb_set(p_command, '{events}', lower(p_command ->> 'events')::jsonb);
  end if;
  -- Commands of one workflow take turns; the batch row is what every writer of its rows locks first.
  perform from outbox.batches where workflow_id = p_workflow for update;
  select * into v_earlier from outbox.audit
  where coalesce(workflow_id, '') = p_workflow and command_id = p_command ->> 'commandId';
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;

  select array_agg(d.event_id order by d.seq) into v_targets
  from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
  where b.workflow_id = p_workflow and d.state = 'parked'
    and (p_command -> 'events' is null or p_command -> 'events' = 'null' or p_command -> 'events' ? d.event_id::text);
  v_refusal := outbox.why_refused(p_workflow, p_command, v_targets);
  if v_refusal is not null then
    return outbox.note_command(p_workflow, p_via, p_command, 'refused', v_refusal, 0, null, null);
  end if;

  select d.* into v_first from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
  where b.workflow_id = p_workflow and d.event_id = v_targets[1] and d.state = 'parked';
  begin
    v_message := case v_action
      when 'retry' then outbox.apply_retry(p_workflow, v_targets)
      when 'edit' then outbox.apply_edit(p_workflow, v_targets, p_command)
      when 'redirect' then outbox.apply_redirect(p_workflow, v_targets, p_command ->> 'to')
      when 'discard' then outbox.apply_discard(p_workflow, v_targets) end;
  exception
    when check_violation then
      return outbox.note_command(p_workflow, p_via, p_command, 'refused',
        'the edited payload or headers do not fit: payload at most 1 MiB, headers an object of strings of at most 16 KiB', 0, null, null);
    when raise_exception then
      return outbox.note_command(p_workflow, p_via, p_command, 'refused', sqlerrm, 0, null, null);
  end;
  update outbox.dead_letters
  set resolved_at = now(), resolution = v_action, resolved_by = left(p_command ->> 'actor', 200),
      resolution_reason = left(p_command ->> 'reason', 1000), redirected_to = case when v_action = 'redirect' then p_command ->> 'to' end,
      command_id = p_command ->> 'commandId'
  where workflow_id = p_workflow and event_id = any (v_targets) and resolved_at is null;
  delete from outbox.batches b where b.workflow_id = p_workflow
    and not exists (select from outbox.deliveries d where d.batch_id = b.id);
  return outbox.note_command(p_workflow, p_via, p_command, 'done', v_message, cardinality(v_targets),
    case when cardinality(v_targets) = 1 then v_first.event_id end, v_first.destination);
end $$;

create or replace function outbox.resolve_messages(p_workflow text, p_command jsonb, p_via text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_action   text := p_command ->> 'action';
  v_named    uuid[] := case when jsonb_typeof(p_command -> 'events') = 'array'
                       then array(select id::uuid from jsonb_array_elements_text(p_command -> 'events') id) end;
  v_earlier  outbox.audit;
  v_targets  uuid[];
  v_refusal  text;
  v_workflow text;
  v_what     text;
begin
  select * into v_earlier from outbox.audit a
  where a.command_id = p_command ->> 'commandId'
    and case when p_workflow is null
             then a.workflow_id is null or a.event_id = any (v_named)
                  or a.workflow_id in (select workflow_id from outbox.prepared_messages where id = any (v_named))
             else a.workflow_id = p_workflow end
  limit 1;
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;
  perform from outbox.prepared_messages m
  where case when p_workflow is null then m.id = any (v_named) else m.workflow_id = p_workflow and (v_named is null or m.id = any (v_named)) end
  order by m.id for update;
  select array_agg(m.id order by m.id) into v_targets
  from outbox.prepared_messages m
  where m.state in ('prepared', 'parked')
    and case when p_workflow is null then m.id = any (v_named) else m.workflow_id = p_workflow and (v_named is null or m.id = any (v_named)) end;
  v_workflow := coalesce(p_workflow, (select workflow_id from outbox.prepared_messages where id = v_targets[1]));
  v_refusal := outbox.why_message_refused(p_command, v_named, v_targets, p_workflow);
  if v_refusal is null then
    begin
      if v_action = 'check' then
        update outbox.prepared_messages set state = 'prepared', checks = 0, next_check_at = now(), parked_at = null where id = any (v_targets);
        update outbox.message_batches b set nudged_at = now()
        where b.workflow_id in (select workflow_id from outbox.prepared_messages where id = any (v_targets));
      else
        perform outbox.settle_messages(v_targets, case v_action when 'commit' then 'committed' else 'rolled-back' end,
                                       coalesce(left(p_command ->> 'actor', 200), 'somebody'));
      end if;
    exception when unique_violation then
      v_refusal := 'an event has this id already: ' || sqlerrm;
    end;
  end if;
  if v_refusal is not null then
    return outbox.note_command(v_workflow, p_via, p_command, 'refused', v_refusal, 0, v_named[1], null);
  end if;
  update outbox.message_batches set nudged_at = null where workflow_id = p_workflow and nudged_at is not null;
  v_what := case v_action when 'commit' then 'committed' when 'rollback' then 'rolled back' else 'asked back again' end;
  return outbox.note_command(v_workflow, p_via, p_command, 'done',
    format('%s %s', case when cardinality(v_targets) = 1 then 'message ' || v_targets[1] else cardinality(v_targets) || ' messages' end, v_what),
    cardinality(v_targets), case when cardinality(v_targets) = 1 then v_targets[1] end, null);
end $$;

create or replace function outbox.command_destination(
  p_destination text, p_command jsonb, p_via text, p_outcome text default null, p_message text default null, p_events integer default 0
) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_workflow text := outbox.workflow_prefix() || 'destination/' || p_destination;
  v_earlier  outbox.audit;
  v_standing jsonb;
  v_message  text := p_message;
  v_outcome  text := p_outcome;
begin
  -- Commands of one destination take turns.
  perform from outbox.destinations where name = p_destination for no key update;
  select * into v_earlier from outbox.audit
  where coalesce(workflow_id, '') = v_workflow and command_id = p_command ->> 'commandId';
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;
  v_standing := outbox.circuit_standing(p_destination);
  if p_command ? 'malformed' then
    v_outcome := 'refused';
    v_message := p_command ->> 'malformed';
  elsif v_standing is null then
    v_outcome := 'refused';
    v_message := format('there is no destination %s', p_destination);
  elsif v_outcome is null and p_command ->> 'action' = 'pause' then
    if outbox.pause_destination(p_destination, coalesce(nullif(trim(p_command ->> 'reason'), ''),
                                                        'by ' || coalesce(p_command ->> 'actor', 'somebody'))) then
      v_outcome := 'done';
      v_message := format('%s is paused: nothing is sent to it until it is resumed', p_destination);
    else
      v_outcome := 'refused';
      v_message := format('%s is paused already, since %s: %s', p_destination, to_char((v_standing ->> 'since')::timestamptz
        at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), coalesce(v_standing ->> 'reason', 'no reason given'));
    end if;
  elsif v_outcome is null and p_command ->> 'action' = 'resume' then
    if v_standing ->> 'state' = 'closed' and v_standing -> 'paused' = 'false' and v_standing ->> 'waitUntil' is null then
      v_outcome := 'refused';
      v_message := format('%s is neither paused nor is its circuit open', p_destination);
    else
      update outbox.destinations set paused_at = null, paused_reason = null, paused_by_refusals = false where name = p_destination;
      update outbox.circuits set wait_until = null where destination = p_destination;
      perform outbox.close_circuit(p_destination, 'resumed by ' || coalesce(p_command ->> 'actor', 'somebody'));
      perform outbox.set_clock(p_destination);
      v_outcome := 'done';
      v_message := format('%s is resumed', p_destination);
    end if;
  elsif v_outcome is null then
    return null; -- for the activity to carry out
  end if;
  return outbox.note_command(v_workflow, p_via, p_command, v_outcome, v_message, p_events, null, p_destination);
end $$;

create or replace function outbox.route_new_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_taken text;
  v_keyed boolean;
begin
  -- It acts with its owner's rights: on a table of somebody else's, a column's type would bring casts and operators of theirs into
  -- the statements below. Nobody may execute it, so nobody can attach it; this holds where somebody granted that by hand.
  if tg_table_schema <> 'outbox' or tg_table_name <> 'events' then
    raise exception 'outbox.route_new_events belongs to outbox.events alone' using errcode = 'insufficient_privilege';
  end if;
  if exists (select from new_events where dedup_key is not null) then
    -- In order, so that two statements with the same keys wait for each other one way round. outbox.enqueue has been here before.
    insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
    select dedup_key, id, outbox.event_digest(type, payload, headers, key, source, subject, content_type)
    from new_events where dedup_key is not null order by dedup_key
    on conflict (dedup_key) do nothing;
    select n.dedup_key into v_taken
    from new_events n join outbox.event_dedup_keys k on k.dedup_key = n.dedup_key where k.event_id <> n.id limit 1;
    if found then
      raise exception 'dedup key % names another event', quote_literal(v_taken)
        using errcode = 'unique_violation', constraint = 'event_dedup_keys_are_unique', schema = 'outbox', table = 'event_dedup_keys',
              hint = 'It names one event. outbox.enqueue(…) answers a repeat with the event it names.';
    end if;
  end if;

  -- Producers of one key take turns until commit, so that seq follows commit order per key. Locked in sorted order
  -- (no deadlock within a statement), in 1024 slots (a million keys do not fill the lock table), and before seq is given:
  -- an identity column would have been evaluated earlier.
  v_keyed := exists (select from outbox.destinations where ordering = 'key');
  if v_keyed then
    perform outbox.lock_keys(array(select key from new_events where key is not null));
  end if;

  -- One pass over the new rows, each looking its routes up: joining two CTEs here was a nested loop over estimates, and made
  -- 100,000 rows in one statement take four minutes in place of seconds.
  with routed as materialized (
    select n.ordinal, n.id, n.type, n.key, n.deliver_at, r.destination
    from (select row_number() over () as ordinal, id, type, key, payload, deliver_at from new_events) n
    left join lateral (
      select distinct r.destination from outbox.routes r
      where n.type like r.type_like
        and case case when r.filter_may_fail then 'guarded' else r.filter_mode end
                               when 'guarded' then outbox.filter_holds(n.payload, r.filter, r.filter_mode)
                               when 'predicate' then n.payload @@ r.filter
                               when 'items' then n.payload @? r.filter
                               else true end) r on true
  ), unmatched as (
    insert into outbox.unrouted (event_id, type) select id, type from routed where destination is null
  )
  insert into outbox.deliveries (event_id, destination, seq, state, due_at, key)
  select o.id, o.destination, nextval('outbox.delivery_seq'),
         case when o.deliver_at > now() then 'scheduled' else 'pending' end,
         case when o.deliver_at > now() then o.deliver_at end,
         -- A destination that became keyed since the look above: its key was not locked, so this event is in no order yet.
         case when v_keyed and o.ordering = 'key' then o.key end
  from (select r.*, d.ordering from routed r join outbox.destinations d on d.name = r.destination
        order by r.ordinal, r.destination) o;
  return null;
end $$;

-- What the HTTP API must know of the configuration, for a role that reads no table: addresses and tokens of others are in it too.
create function outbox.api_settings() returns jsonb
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select jsonb_build_object('api', c.config -> 'api', 'metricsListen', c.config #> '{metrics,listen}')
  from outbox.settings s join outbox.config_revisions c on c.revision = s.config_revision
$$;

-- Which of these marks, signalled to Temporal, is to be remembered there in place of p_present; null: none. Only the latest that this
-- database made, and only if it was made after p_present: anybody who may send signals can send any text, an old mark too. A p_present
-- that is unknown here stays; it tells of a future that a restore took away.
create function outbox.latest_mark(p_marks uuid[], p_present uuid) returns uuid
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select mark from outbox.marks
  where mark = any (p_marks)
    and (p_present is null or made_at > (select made_at from outbox.marks where mark = p_present))
  order by made_at desc limit 1
$$;
