-- What is parked or fails gets a workflow of its own, and the one it came from goes on for a moment, longer on a busy machine. A command that reached
-- that one was refused with "all of it is settled", which it was not. It is sent on to where the rows are.

-- Deliveries that left a workflow's batch for workflows of their own, be it by way of others.
create function outbox.went_to(p_workflow text)
returns table (workflow_id text, event_id uuid, destination text, state text, seq bigint)
language sql stable set search_path = pg_catalog, outbox, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with recursive below as (
    select b.id, b.workflow_id from outbox.batches b
    where b.parent = case when p_workflow ~ '/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                           and p_workflow = outbox.workflow_prefix() || 'deliver/' || right(p_workflow, 36) then right(p_workflow, 36)::uuid end
    union
    select b.id, b.workflow_id from outbox.batches b join below on b.parent = below.id)
  select b.workflow_id, d.event_id, d.destination, d.state, d.seq from below b join outbox.deliveries d on d.batch_id = b.id
$$;

-- Who sent it goes with it: what PostgreSQL noted of a command to one workflow holds for the same command to those that have its rows now.
create function outbox.readdress_command(p_workflow text, p_command jsonb, p_to text, p_sent jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  -- A worker calls this. It must not turn what a person said of one thing to another.
  if p_sent - 'events' is distinct from p_command - 'events' or not exists (select from outbox.went_to(p_workflow) w where w.workflow_id = p_to)
     or (p_command -> 'events' <> 'null' and not p_command -> 'events' @> (p_sent -> 'events')) then
    return;
  end if;
  insert into outbox.announced_commands (workflow_id, command_id, digest, login, at, on_behalf)
  select p_to, a.command_id, outbox.command_digest(p_sent), a.login, a.at, a.on_behalf from outbox.announced_commands a
  where a.workflow_id = p_workflow and a.command_id = p_command ->> 'commandId' and a.digest = outbox.command_digest(p_command)
  on conflict do nothing;
end $$;

alter function outbox.resolve(text, jsonb, text) rename to resolve_here;

-- As `resolve_here`, on what the workflow has parked; where that is nothing, on what left it. Answers { outcome, message, events } and, of what was
-- sent on, `sentOn`: workflows that have to look at their rows again.
create function outbox.resolve(p_workflow text, p_command jsonb, p_via text) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_named   jsonb := case when jsonb_typeof(p_command -> 'events') = 'array' then lower(p_command ->> 'events')::jsonb end;
  v_targets uuid[];
  v_left    text;
  v_before  text;
  v_refusal text;
  v_to      record;
  v_sent    jsonb;
  v_answer  jsonb;
  v_answers jsonb[] := '{}';
  v_sent_on text[] := '{}';
begin
  -- A workflow's rows leave it under this lock.
  perform from outbox.batches where workflow_id = p_workflow for update;
  select outcome into v_before from outbox.audit where coalesce(workflow_id, '') = p_workflow and command_id = p_command ->> 'commandId';
  if v_before = 'done' then
    -- Whoever carried it out may have died before it told the others.
    return outbox.resolve_here(p_workflow, p_command, p_via) || jsonb_build_object('sentOn', (
      select coalesce(jsonb_agg(distinct w.workflow_id), '[]') from outbox.went_to(p_workflow) w where w.state <> 'parked'));
  end if;
  if p_command ? 'malformed' or v_before is not null
     or exists (select from outbox.batches b join outbox.deliveries d on d.batch_id = b.id where b.workflow_id = p_workflow and d.state = 'parked') then
    return outbox.resolve_here(p_workflow, p_command, p_via);
  end if;
  select array_agg(w.event_id order by w.seq) filter (where w.state = 'parked' and (v_named is null or v_named ? w.event_id::text)),
         string_agg(distinct w.workflow_id, ', ') into v_targets, v_left
  from outbox.went_to(p_workflow) w;
  if v_targets is null then
    if v_named is not null or v_left is null
       or exists (select from outbox.batches b join outbox.deliveries d on d.batch_id = b.id where b.workflow_id = p_workflow) then
      return outbox.resolve_here(p_workflow, p_command, p_via);
    end if;
    return outbox.note_command(p_workflow, p_via, p_command, 'refused',
      'nothing is parked here: what is left has workflows of its own, and is not parked there either: ' || left(v_left, 500), 0, null, null);
  end if;
  v_refusal := outbox.why_refused(p_workflow, case when v_named is null then p_command else jsonb_set(p_command, '{events}', v_named) end, v_targets);
  if v_refusal is not null then
    return outbox.note_command(p_workflow, p_via, p_command, 'refused', v_refusal, 0, null, null);
  end if;
  for v_to in
    select w.workflow_id, jsonb_agg(w.event_id order by w.seq) as events from outbox.went_to(p_workflow) w
    where w.state = 'parked' and w.event_id = any (v_targets) group by w.workflow_id order by min(w.seq)
  loop
    v_sent := case when v_named is null then p_command else jsonb_set(p_command, '{events}', v_to.events) end;
    perform outbox.readdress_command(p_workflow, p_command, v_to.workflow_id, v_sent);
    v_answer := outbox.resolve_here(v_to.workflow_id, v_sent, p_via);
    v_answers := v_answers || v_answer;
    v_sent_on := v_sent_on || v_to.workflow_id;
  end loop;
  -- The worst of the answers is the answer; how many rows it acted on stands where it acted.
  select a into v_answer from unnest(v_answers) a
  order by array_position(array['refused', 'waiting', 'done'], a ->> 'outcome') limit 1;
  return outbox.note_command(p_workflow, p_via, p_command, v_answer ->> 'outcome',
           format('sent on to %s: %s', case cardinality(v_sent_on) when 1 then v_sent_on[1] else cardinality(v_sent_on) || ' workflows' end,
                  v_answer ->> 'message'),
           0, case when cardinality(v_targets) = 1 then v_targets[1] end, null)
         || jsonb_build_object('events', (select sum((a ->> 'events')::integer) from unnest(v_answers) a), 'sentOn', to_jsonb(v_sent_on))
         || case when v_answer ? 'code' then jsonb_build_object('code', v_answer -> 'code') else '{}' end;
end $$;

alter function outbox.resolve_messages(text, jsonb, text) rename to resolve_messages_here;

-- The same of half messages, which leave their workflow as they are parked.
create function outbox.resolve_messages(p_workflow text, p_command jsonb, p_via text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_named   uuid[] := case when jsonb_typeof(p_command -> 'events') = 'array'
                      then array(select id::uuid from jsonb_array_elements_text(p_command -> 'events') id) end;
  v_targets uuid[];
  v_refusal text;
  v_sent_on text[];
  v_answer  jsonb;
begin
  if p_workflow is not null then
    perform from outbox.message_batches where workflow_id = p_workflow for update;
  end if;
  if p_workflow is null or p_command ? 'malformed'
     or exists (select from outbox.audit where coalesce(workflow_id, '') = p_workflow and command_id = p_command ->> 'commandId')
     or exists (select from outbox.prepared_messages m where m.workflow_id = p_workflow and m.state in ('prepared', 'parked')) then
    return outbox.resolve_messages_here(p_workflow, p_command, p_via);
  end if;
  select array_agg(m.id order by m.id), array_agg(distinct m.workflow_id) into v_targets, v_sent_on
  from outbox.message_batches b join outbox.prepared_messages m on m.workflow_id = b.workflow_id
  where b.parent = p_workflow and m.state in ('prepared', 'parked') and (v_named is null or m.id = any (v_named));
  if v_targets is null then
    return outbox.resolve_messages_here(p_workflow, p_command, p_via);
  end if;
  v_refusal := outbox.why_message_refused(p_command, v_named, v_targets, p_workflow);
  if v_refusal is not null then
    return outbox.note_command(p_workflow, p_via, p_command, 'refused', v_refusal, 0, v_named[1], null);
  end if;
  v_answer := outbox.resolve_messages_here(null, p_command || jsonb_build_object('events', to_jsonb(v_targets)), p_via);
  return outbox.note_command(p_workflow, p_via, p_command, v_answer ->> 'outcome',
           format('sent on to %s: %s', case cardinality(v_sent_on) when 1 then v_sent_on[1] else cardinality(v_sent_on) || ' workflows' end,
                  v_answer ->> 'message'),
           0, case when cardinality(v_targets) = 1 then v_targets[1] end, null)
         || jsonb_build_object('events', v_answer -> 'events', 'sentOn', to_jsonb(v_sent_on));
end $$;
