-- Who did it: beside what a sender says of itself (actor), how that is known, and what a command changed.
--
-- A workflow hears what a signal says, not who sent it. Temporal knows that where callers are authenticated, and PostgreSQL where a command
-- was announced in SQL before it was sent.

alter table outbox.audit
  -- proved: principal is whom Temporal authenticated. session_user: "session_user" is whom PostgreSQL let in. claimed: nobody proved it; the
  -- "session_user" is then the worker's. Null: written by an earlier version.
  add column known text collate "C",
  add column principal text collate "C",
  -- What the sender's client said of itself to Temporal.
  add column identity text,
  -- How what it is about stood; texts by their digest.
  add column before jsonb,
  add column after jsonb,
  add constraint audit_known_is_known check (known in ('proved', 'session_user', 'claimed'));
alter table outbox.audit alter column known set default 'session_user';

-- Commands that are about to be sent through Temporal, by whom PostgreSQL let in. The digest keeps an id from being used for anything else.
create table outbox.announced_commands (
  workflow_id text collate "C" not null,
  command_id  text collate "C" not null,
  digest      bytea not null,
  login       text collate "C" not null default session_user,
  at          timestamptz not null default now(),
  primary key (workflow_id, command_id)
);

-- Of what a command says; not of what was noted of its sender.
create function outbox.command_digest(p_command jsonb) returns bytea
language sql immutable set search_path = pg_catalog, outbox, pg_temp as $$
  select sha256(convert_to((jsonb_build_object('events', lower(p_command ->> 'events')) || (p_command - '{events,commandId,sender,origin}'::text[]))::text, 'UTF8'))
$$;

create function outbox.announce_command(p_workflow text, p_command jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  -- Those that were never carried out.
  delete from outbox.announced_commands where at < now() - interval '1 day';
  insert into outbox.announced_commands (workflow_id, command_id, digest)
  values (p_workflow, p_command ->> 'commandId', outbox.command_digest(p_command))
  on conflict do nothing;
end $$;

-- Who sent a command, and how that is known. p_command -> 'sender' is { principal, identity } as a worker read it from a workflow's history;
-- from anybody else it counts for nothing. An `update` has none: its event is written, and stamped, by the worker that accepts it.
create function outbox.sender_of(p_workflow text, p_via text, p_command jsonb, out known text, out principal text, out identity text, out login text)
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  login := session_user;
  if to_regrole('outbox_relay') is null or pg_has_role(session_user, 'outbox_relay', 'member') then
    principal := left(p_command -> 'sender' ->> 'principal', 400);
    identity := left(p_command -> 'sender' ->> 'identity', 400);
  end if;
  if principal is not null then
    known := 'proved';
  elsif p_via not in ('signal', 'update', 'workflow') then
    known := 'session_user';
  else
    select 'session_user', a.login into known, login from outbox.announced_commands a
    where a.workflow_id = p_workflow and a.command_id = p_command ->> 'commandId' and a.digest = outbox.command_digest(p_command);
    if not found then
      known := 'claimed';
      login := session_user;
    end if;
  end if;
end $$;

-- With its owner's rights, for the login of whoever announced the command.
drop function outbox.note_command(text, text, jsonb, text, text, integer, uuid, text);
create function outbox.note_command(
  p_workflow text, p_via text, p_command jsonb, p_outcome text, p_message text, p_events integer, p_event uuid, p_destination text,
  p_before jsonb default null, p_after jsonb default null
) returns jsonb
language plpgsql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_sender record := outbox.sender_of(p_workflow, p_via, p_command);
begin
  insert into outbox.audit (actor, via, workflow_id, action, event_id, destination, events, outcome, message, reason, command_id,
                            known, principal, identity, "session_user", before, after)
  values (left(p_command ->> 'actor', 200), p_via, p_workflow, left(p_command ->> 'action', 40), p_event, p_destination, p_events,
          p_outcome, p_message, left(p_command ->> 'reason', 1000), p_command ->> 'commandId',
          v_sender.known, v_sender.principal, v_sender.identity, v_sender.login, p_before, p_after)
  on conflict (coalesce(workflow_id, ''), command_id) where command_id is not null do nothing;
  delete from outbox.announced_commands where workflow_id = p_workflow and command_id = p_command ->> 'commandId';
  return jsonb_build_object('outcome', p_outcome, 'message', p_message, 'events', p_events);
end $$;

-- How deliveries stand, those of p_pairs [{ event, destination }], for the audit. p_gone: what is said of one without a row.
create function outbox.deliveries_for_audit(p_pairs jsonb, p_gone text) returns jsonb
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'event', p.event, 'destination', p.destination, 'state', coalesce(d.state, p_gone), 'revision', d.revision,
           'payload', 'sha256:' || encode(sha256(coalesce(s.payload_bytes, convert_to(s.payload::text, 'UTF8'))), 'hex'),
           'headers', case when s.headers <> '{}' then 'sha256:' || encode(sha256(convert_to(s.headers::text, 'UTF8')), 'hex') end)))
  from jsonb_to_recordset(p_pairs) as p(event uuid, destination text)
  left join outbox.deliveries d on d.event_id = p.event and d.destination = p.destination
  left join lateral (select n.payload, n.payload_bytes, n.headers from outbox.sent_now(p.event, p.destination) n where d.event_id is not null) s on true
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
  v_sender   record := outbox.sender_of(p_workflow, p_via, p_command);
  v_pairs    jsonb;
  v_before   jsonb;
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
  -- The first twenty: the audit says how many there were.
  select jsonb_agg(jsonb_build_object('event', t.event_id, 'destination', t.destination)) into v_pairs
  from (select d.event_id, d.destination from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
        where b.workflow_id = p_workflow and d.event_id = any (v_targets) and d.state = 'parked' order by d.seq limit 20) t;
  v_before := outbox.deliveries_for_audit(v_pairs, null);
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
  set resolved_at = now(), resolution = v_action, resolved_by = left(coalesce(v_sender.principal, p_command ->> 'actor'), 200),
      resolution_reason = left(p_command ->> 'reason', 1000), redirected_to = case when v_action = 'redirect' then p_command ->> 'to' end,
      command_id = p_command ->> 'commandId'
  where workflow_id = p_workflow and event_id = any (v_targets) and resolved_at is null;
  delete from outbox.batches b where b.workflow_id = p_workflow
    and not exists (select from outbox.deliveries d where d.batch_id = b.id);
  return outbox.note_command(p_workflow, p_via, p_command, 'done', v_message, cardinality(v_targets),
    case when cardinality(v_targets) = 1 then v_first.event_id end, v_first.destination, v_before,
    outbox.deliveries_for_audit(
      case when v_action = 'redirect' then (select jsonb_agg(p || jsonb_build_object('destination', p_command ->> 'to')) from jsonb_array_elements(v_pairs) p)
           else v_pairs end, case v_action when 'discard' then 'discarded' end));
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
  v_before   jsonb;
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
  v_before := (select jsonb_agg(jsonb_build_object('event', t.id, 'state', t.state)) from (select m.id, m.state from outbox.prepared_messages m where m.id = any (v_targets) order by m.id limit 20) t);
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
    cardinality(v_targets), case when cardinality(v_targets) = 1 then v_targets[1] end, null, v_before,
    (select jsonb_agg(jsonb_build_object('event', t.id, 'state', t.state)) from (select m.id, m.state from outbox.prepared_messages m where m.id = any (v_targets) order by m.id limit 20) t));
end $$;

-- Of a destination, what commands change.
create function outbox.standing_for_audit(p_standing jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, outbox, pg_temp as $$
  select jsonb_build_object('circuit', p_standing -> 'state', 'paused', p_standing -> 'paused') where p_standing is not null
$$;

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
  return outbox.note_command(v_workflow, p_via, p_command, v_outcome, v_message, p_events, null, p_destination,
    outbox.standing_for_audit(v_standing), case when v_outcome = 'done' then outbox.standing_for_audit(outbox.circuit_standing(p_destination)) end);
end $$;

create or replace function outbox.command_replay(p_id uuid, p_workflow text, p_command jsonb, p_via text) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_replay  outbox.replays;
  v_earlier outbox.audit;
  v_action  text := p_command ->> 'action';
  v_refusal text;
  v_message text;
begin
  select * into v_replay from outbox.replays where id = p_id for no key update;
  select * into v_earlier from outbox.audit where coalesce(workflow_id, '') = p_workflow and command_id = p_command ->> 'commandId';
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;
  v_refusal := case
    when p_command ? 'malformed' then p_command ->> 'malformed'
    when v_replay.id is null then 'there is no such replay'
    when v_replay.ended_at is not null then format('it is %s', v_replay.state)
    when v_action = 'pause' and v_replay.state <> 'running' then format('it is not running, but %s', v_replay.state)
    when v_action = 'resume' and v_replay.state = 'running' then 'it is running already' end;
  if v_refusal is not null then
    return outbox.note_command(p_workflow, p_via, p_command, 'refused', v_refusal, 0, null, v_replay.destination);
  end if;
  update outbox.replays
  set state = case v_action when 'pause' then 'paused' when 'resume' then 'running' else 'canceled' end,
      started_at = case when v_action = 'resume' then coalesce(started_at, now()) else started_at end,
      paced_at = case when v_action = 'resume' then clock_timestamp() else paced_at end,
      ended_at = case when v_action = 'cancel' then now() end, because = null
  where id = p_id;
  v_message := format('%s, after %s of %s events', case v_action when 'pause' then 'paused' when 'cancel' then 'cancelled'
                      else case when v_replay.state = 'previewed' then 'begun' else 'resumed' end end, v_replay.handled, v_replay.total);
  return outbox.note_command(p_workflow, p_via, p_command, 'done', v_message, 0, null, v_replay.destination,
    jsonb_build_object('state', v_replay.state, 'handled', v_replay.handled),
    (select jsonb_build_object('state', state, 'handled', handled) from outbox.replays where id = p_id));
end $$;

create or replace function outbox.command_redrive(p_id bigint, p_command jsonb, p_via text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_workflow text := outbox.workflow_prefix() || 'redrive/' || p_id;
  v_action   text := p_command ->> 'action';
  v_who      text := coalesce(left(coalesce((outbox.sender_of(v_workflow, p_via, p_command)).principal, p_command ->> 'actor'), 200), 'somebody');
  v_earlier  outbox.audit;
  r          outbox.redrives;
  v_refusal  text;
  v_message  text;
  v_count    integer := 0;
  v_before   jsonb;
begin
  if v_action = 'start' then
    perform pg_advisory_xact_lock(1869968482, 4000000); -- of two that start at once the second one sees what the first one took
  end if;
  select * into r from outbox.redrives where id = p_id for update;
  if not found then
    return outbox.note_command(v_workflow, p_via, p_command, 'refused', format('there is no redrive %s', p_id), 0, null, null);
  end if;
  select * into v_earlier from outbox.audit where coalesce(workflow_id, '') = v_workflow and command_id = p_command ->> 'commandId';
  if found then
    return jsonb_build_object('outcome', v_earlier.outcome, 'events', v_earlier.events, 'repeated', true,
                              'message', v_earlier.message || ' (this command was carried out before, nothing was repeated)');
  end if;
  v_refusal := case
    when p_command ? 'malformed' then p_command ->> 'malformed'
    when v_action not in ('start', 'pause', 'resume', 'cancel') then format('unknown action %L; send pause, resume or cancel', v_action)
    when r.ended_at is not null then format('redrive %s is over: %s', p_id, r.state || coalesce(', ' || r.why, ''))
    when v_action = 'start' and r.state <> 'previewed' then format('redrive %s was started before, by %s', p_id, coalesce(r.started_by, 'somebody'))
    when v_action = 'start' and r.total = 0 then 'no open dead letter matches: there is nothing to redrive'
    when v_action = 'start' and r.action = 'discard' and coalesce(trim(p_command ->> 'reason'), trim(r.reason), '') = ''
      then 'to discard more than one, say why: a reason'
    when v_action in ('pause', 'resume') and r.state = 'previewed' then format('redrive %s was not started', p_id)
    when v_action = 'pause' and r.paused_at is not null then format('redrive %s is paused already, by %s', p_id, coalesce(r.paused_by, 'somebody'))
    when v_action = 'resume' and r.paused_at is null then format('redrive %s is not paused', p_id) end;
  if v_refusal is not null then
    return outbox.note_command(v_workflow, p_via, p_command, 'refused', v_refusal, 0, null, null);
  end if;
  v_before := jsonb_build_object('state', r.state, 'paused', r.paused_at is not null, 'acted', r.acted);
  case v_action
    when 'start' then
      update outbox.redrive_members m set state = 'waiting'
      where m.redrive_id = p_id and m.state = 'frozen'
        and not exists (select from outbox.redrive_members o where o.letter_id = m.letter_id and o.state = 'waiting');
      update outbox.redrive_members m
      set state = 'skipped', why = 'in redrive ' || (select o.redrive_id from outbox.redrive_members o where o.letter_id = m.letter_id and o.state = 'waiting')
      where m.redrive_id = p_id and m.state = 'frozen';
      get diagnostics v_count = row_count;
      update outbox.redrives
      set state = 'canary', started_at = now(), started_by = v_who, skipped = v_count, reason = coalesce(left(p_command ->> 'reason', 1000), reason),
          workflow_id = coalesce(p_command ->> 'workflowId', v_workflow), seen_at = now()
      where id = p_id returning * into r;
      v_count := r.total;
      v_message := format('redrive %s started: %s of %s%s, filter %s', p_id, r.action,
        case r.total when 1 then '1 dead letter' else r.total || ' dead letters' end, coalesce(' to ' || r.redirect_to, ''), r.filter);
    when 'pause' then
      update outbox.redrives set paused_at = now(), paused_by = v_who where id = p_id;
      v_message := format('redrive %s is paused after %s of %s letters', p_id, r.acted, r.total);
    when 'resume' then
      update outbox.redrives set paused_at = null, paused_by = null, tokens = 0, tokens_at = now() where id = p_id;
      v_message := format('redrive %s goes on', p_id);
    when 'cancel' then
      perform outbox.end_redrive(p_id, 'stopped', 'cancelled by ' || v_who || coalesce(': ' || nullif(left(p_command ->> 'reason', 1000), ''), ''));
      v_message := format('redrive %s is cancelled after %s of %s letters; the others stay parked', p_id, r.acted, r.total);
  end case;
  return outbox.note_command(v_workflow, p_via, p_command, 'done', left(v_message, 1000), v_count, null, null, v_before,
    (select jsonb_build_object('state', state, 'paused', paused_at is not null, 'acted', acted) from outbox.redrives where id = p_id));
end $$;
