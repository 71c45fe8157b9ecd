-- Which resolutions a destination takes, and from whom: `resolutions` in outbox.yaml. Checked where commands act, so that no way leads around
-- it: signals, updates, SQL and redrives.

-- Why a destination does not take it, or null. p_known: how it is known who asks, as in outbox.audit.
create function outbox.why_not_allowed(p_destination text, p_action text, p_to text, p_known text) returns text
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select case
      when r ->> p_action = 'nobody' then format('%s takes no %s: resolutions says nobody (OUTBOX_RESOLUTION_DENIED)', p_destination, p_action)
      when r ->> p_action = 'cli' and p_known <> 'session_user' then
        format('%s takes %s only from the command line, the dashboard or SQL, where a database user answers for it, and from no signal (OUTBOX_RESOLUTION_DENIED)',
               p_destination, p_action)
      when p_action = 'redirect' and jsonb_typeof(r -> 'redirectTo') = 'array' and not r -> 'redirectTo' ? p_to then
        format('%s is redirected to %s alone, not to %s: redirectTo (OUTBOX_RESOLUTION_DENIED)', p_destination,
               (select string_agg(name, ', ') from jsonb_array_elements_text(r -> 'redirectTo') name), p_to) end
  from (select config -> 'resolutions' as r from outbox.destinations where name = p_destination) d
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
  select outbox.why_not_allowed(t.destination, v_action, p_command ->> 'to', v_sender.known) into v_refusal
  from (select distinct d.destination from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
        where b.workflow_id = p_workflow and d.event_id = any (v_targets) and d.state = 'parked') t
  order by 1 nulls last limit 1;
  if v_refusal is not null then
    return outbox.note_command(p_workflow, p_via, p_command, 'refused', v_refusal, 0, case when cardinality(v_targets) = 1 then v_targets[1] end, null)
           || '{"code": "OUTBOX_RESOLUTION_DENIED"}';
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
  if v_action = 'start' then
    -- A start by SQL is one's own; the workflow that keeps its time starts nothing that was started.
    select outbox.why_not_allowed(d.name, r.action, r.redirect_to, (outbox.sender_of(v_workflow, p_via, p_command)).known) into v_refusal
    from outbox.destinations d
    where d.config ? 'resolutions' and exists (select from outbox.redrive_members m where m.redrive_id = p_id and m.destination = d.name)
    order by 1 nulls last limit 1;
    if v_refusal is not null then
      return outbox.note_command(v_workflow, p_via, p_command, 'refused', v_refusal, 0, null, null) || '{"code": "OUTBOX_RESOLUTION_DENIED"}';
    end if;
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
