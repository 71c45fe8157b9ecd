-- Resolutions of parked deliveries. One function, one transaction, one line in outbox.audit, whatever comes of it.
--
-- A command acts once: by its id (a signal that Temporal re-applies after a reset carries the id it had), and by park episode:
-- a dead letter is resolved by exactly one command. Nothing is half-applied: one bad id refuses the whole command.

-- Stores an edited text under the next revision, to be named by an `edit` command; the payload then never enters a history.
create function outbox.prepare_revision(p_event uuid, p_destination text, p_payload text, p_headers text, p_actor text, p_reason text)
returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_revision integer;
begin
  -- Two edits at once get two revisions: the delivery is locked first, and looked at by a second statement, which sees what the
  -- one before it wrote.
  perform from outbox.deliveries d where d.event_id = p_event and d.destination = p_destination for update;
  select greatest(d.revision, coalesce((select max(r.revision) from outbox.revisions r
                                        where r.event_id = p_event and r.destination = p_destination), 1)) + 1
  into v_revision
  from outbox.deliveries d where d.event_id = p_event and d.destination = p_destination;
  if v_revision is null then
    return null;
  end if;
  insert into outbox.revisions (event_id, destination, revision, payload, headers, made_by, reason)
  select p_event, p_destination, v_revision,
         coalesce(p_payload::jsonb, now_sent.payload), coalesce(p_headers::jsonb, now_sent.headers), p_actor, p_reason
  from outbox.sent_now(p_event, p_destination) now_sent;
  return case when found then v_revision end; -- null: the event is gone from the database
end $$;

-- The payload and headers that the next attempt would send.
create function outbox.sent_now(p_event uuid, p_destination text) returns table (payload jsonb, headers jsonb)
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce(r.payload, e.payload), coalesce(r.headers, e.headers)
  from (select payload, headers from outbox.events where id = p_event
        union all select payload, headers from outbox.events_kept where id = p_event limit 1) e
  left join outbox.deliveries d on d.event_id = p_event and d.destination = p_destination
  left join outbox.revisions r on r.event_id = p_event and r.destination = p_destination and r.revision = d.revision
$$;

create function outbox.note_command(
  p_workflow text, p_via text, p_command jsonb, p_outcome text, p_message text, p_events integer, p_event uuid, p_destination text
) returns jsonb
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  insert into outbox.audit (actor, via, workflow_id, action, event_id, destination, events, outcome, message, reason, command_id)
  values (left(p_command ->> 'actor', 200), p_via, p_workflow, left(p_command ->> 'action', 40), p_event, p_destination, p_events,
          p_outcome, p_message, left(p_command ->> 'reason', 1000), p_command ->> 'commandId')
  on conflict (command_id) do nothing;
  select jsonb_build_object('outcome', p_outcome, 'message', p_message, 'events', p_events);
$$;

-- Carries out { action, events: [id] | null, all, actor, reason, commandId, payload, headers, revision, to } on what the workflow
-- has parked. Answers { outcome: done | refused, message, events }.
create function outbox.resolve(p_workflow text, p_command jsonb, p_via text) returns jsonb
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
  select * into v_earlier from outbox.audit where command_id = p_command ->> 'commandId';
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

-- Why a command cannot be carried out, or null. p_targets: the parked events it would act on.
create function outbox.why_refused(p_workflow text, p_command jsonb, p_targets uuid[]) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_action  text := p_command ->> 'action';
  v_named   integer := case when jsonb_typeof(p_command -> 'events') = 'array' then jsonb_array_length(p_command -> 'events') end;
  v_unknown text;
begin
  if p_command ? 'malformed' then
    return p_command ->> 'malformed';
  end if;
  if v_action not in ('retry', 'edit', 'redirect', 'discard') then
    return format('unknown action %L; send retry, edit, redirect or discard', v_action);
  end if;
  if v_named is not null then
    if v_named = 0 or v_named > 1000 then
      return format('event names %s ids; name 1 to 1000', v_named);
    end if;
    select string_agg(id, ', ') into v_unknown
    from (select id from jsonb_array_elements_text(p_command -> 'events') id
          where not id = any (coalesce(p_targets, '{}')::text[]) limit 3) u;
    if v_unknown is not null then
      return format('not parked in this workflow: %s; nothing was changed', v_unknown);
    end if;
  end if;
  if p_targets is null then
    return 'nothing is parked here: ' || coalesce((
      select string_agg(format('%s %s', n, case state when 'retry' then 'retrying' else state end), ', ')
      from (select d.state, count(*) as n from outbox.batches b join outbox.deliveries d on d.batch_id = b.id
            where b.workflow_id = p_workflow group by d.state) s), 'all of it is settled');
  end if;
  if cardinality(p_targets) > 1 and v_named is null and v_action <> 'retry' and p_command -> 'all' is distinct from 'true' then
    return format('%s deliveries are parked here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}', cardinality(p_targets));
  end if;
  if v_action = 'discard' and cardinality(p_targets) > 1 and coalesce(trim(p_command ->> 'reason'), '') = '' then
    return 'to discard more than one, say why: {"reason": "…"}';
  end if;
  if v_action = 'redirect' and coalesce(p_command ->> 'to', '') = '' then
    return 'say where to: {"to": "<destination>"}';
  end if;
  if v_action = 'edit' and p_command -> 'revision' is not null and cardinality(p_targets) > 1 then
    return 'a prepared revision belongs to one delivery; name it: {"event": "<id>"}';
  end if;
  if v_action = 'edit' and p_command -> 'revision' is not null
     and (p_command -> 'payload' is not null or p_command -> 'headers' is not null) then
    return 'send either a prepared revision or the new payload and headers, not both';
  end if;
  if v_action = 'edit' and p_command -> 'payload' is null and p_command -> 'headers' is null and p_command -> 'revision' is null then
    return 'say what to change: {"payload": …} and/or {"headers": {…}}';
  end if;
  return null;
end $$;

-- The policy starts afresh, with the same key.
create function outbox.apply_retry(p_workflow text, p_events uuid[]) returns text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.deliveries d set state = 'retry', due_at = now(), attempts = 0, unreachable = 0, first_attempt_at = null
  from outbox.batches b
  where b.workflow_id = p_workflow and d.batch_id = b.id and d.state = 'parked' and d.event_id = any (p_events);
  perform outbox.take_turns(p_workflow, p_events);
  return format('%s sent again', case when cardinality(p_events) = 1 then 'event ' || p_events[1] else cardinality(p_events) || ' events' end);
end $$;

create function outbox.apply_edit(p_workflow text, p_events uuid[], p_command jsonb) returns text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_row      outbox.deliveries;
  v_revision integer;
begin
  for v_row in
    select d.* from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
    where b.workflow_id = p_workflow and d.event_id = any (p_events) and d.state = 'parked' order by d.seq
  loop
    if p_command -> 'revision' is not null then
      select revision into v_revision from outbox.revisions
      where event_id = v_row.event_id and destination = v_row.destination
        and revision::text = p_command ->> 'revision' and revision > v_row.revision;
      if not found then
        raise exception 'revision % of this delivery does not exist or was applied before', p_command ->> 'revision';
      end if;
    else
      v_revision := outbox.prepare_revision(v_row.event_id, v_row.destination, (p_command -> 'payload')::text,
                                            (p_command -> 'headers')::text, p_command ->> 'actor', p_command ->> 'reason');
      if v_revision is null then
        raise exception 'event % is no longer in the database', v_row.event_id;
      end if;
    end if;
    update outbox.deliveries set state = 'retry', due_at = now(), attempts = 0, unreachable = 0, first_attempt_at = null, revision = v_revision
    where event_id = v_row.event_id and destination = v_row.destination;
  end loop;
  perform outbox.take_turns(p_workflow, p_events);
  return format('%s edited and sent under a new key',
    case when cardinality(p_events) = 1 then 'event ' || p_events[1] || ' revision ' || v_revision else cardinality(p_events) || ' events' end);
end $$;

create function outbox.apply_redirect(p_workflow text, p_events uuid[], p_to text) returns text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_row outbox.deliveries;
  v_keyed boolean := (select ordering = 'key' from outbox.destinations where name = p_to);
begin
  if not exists (select from outbox.destinations where name = p_to) then
    raise exception 'there is no destination %; there are: %', quote_literal(p_to),
      (select string_agg(name, ', ' order by name) from outbox.destinations);
  end if;
  if v_keyed then
    perform outbox.lock_keys(array(select outbox.key_of(id) from unnest(p_events) id)); -- they go to the tail there
  end if;
  for v_row in
    select d.* from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
    where b.workflow_id = p_workflow and d.event_id = any (p_events) and d.state = 'parked' order by d.seq
  loop
    -- The other destination would get the same event under the same key twice; one that it was taken from (redirected,
    -- discarded) has its park episodes and revisions there.
    if v_row.destination = p_to
       or exists (select from outbox.deliveries where event_id = v_row.event_id and destination = p_to)
       or exists (select from outbox.delivered where event_id = v_row.event_id and destination = p_to)
       or exists (select from outbox.dead_letters where event_id = v_row.event_id and destination = p_to) then
      raise exception 'event % has, or had, a delivery to % already', v_row.event_id, p_to;
    end if;
    insert into outbox.revisions (event_id, destination, revision, payload, headers, made_by, reason)
    select event_id, p_to, revision, payload, headers, made_by, 'redirected from ' || destination from outbox.revisions
    where event_id = v_row.event_id and destination = v_row.destination and revision = v_row.revision
    on conflict do nothing;
    delete from outbox.deliveries where event_id = v_row.event_id and destination = v_row.destination;
    if v_row.key is not null then
      perform outbox.release_keys(v_row.destination, array[v_row.key]);
    end if;
    insert into outbox.deliveries (event_id, destination, seq, state, revision, key)
    values (v_row.event_id, p_to, nextval('outbox.delivery_seq'), 'pending', v_row.revision,
            case when v_keyed then outbox.key_of(v_row.event_id) end);
  end loop;
  return format('%s redirected to %s',
    case when cardinality(p_events) = 1 then 'event ' || p_events[1] else cardinality(p_events) || ' events' end, p_to);
end $$;

create function outbox.apply_discard(p_workflow text, p_events uuid[]) returns text
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_lane text;
  v_keys text[];
begin
  with gone as (
    delete from outbox.deliveries d using outbox.batches b
    where b.workflow_id = p_workflow and d.batch_id = b.id and d.state = 'parked' and d.event_id = any (p_events)
    returning b.lane, d.key
  )
  select lane, array_agg(key) into v_lane, v_keys from gone where key is not null group by lane;
  if found then
    perform outbox.release_keys(v_lane, v_keys);
  end if;
  return format('%s discarded', case when cardinality(p_events) = 1 then 'event ' || p_events[1] else cardinality(p_events) || ' events' end);
end $$;
