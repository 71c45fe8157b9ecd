-- The two-person rule: `resolutions.twoPersons` in outbox.yaml. What it is asked for waits, in here, until somebody else says the same.
--
-- Counted are persons who are proved, and no claims. It is checked where commands act, so that no way leads around it: signals, updates, SQL
-- and redrives.

-- waiting: said by one person, for another to say it, too.
alter table outbox.audit drop constraint audit_outcome_is_known,
  add constraint audit_outcome_is_known check (outcome in ('done', 'refused', 'waiting'));

-- What one person said and another has to say, too, until then.
create table outbox.first_words (
  -- Of what is asked for, whoever asks: another person's is the same.
  digest      bytea primary key,
  action      text collate "C" not null,
  workflow_id text collate "C" not null,
  -- The open letters that it is about; a redrive has its own.
  letters     bigint[] not null default '{}',
  redrive_id  bigint references outbox.redrives (id) on delete cascade,
  -- How it is known who said it, as in outbox.audit, and who that is: a principal, or a database user.
  known       text collate "C" not null,
  person      text not null,
  actor       text,
  reason      text,
  at          timestamptz not null default now(),
  until       timestamptz not null
);

-- A program that sends what people ask it for, such as the dashboard, says so: its login is nobody's word.
alter table outbox.announced_commands add column on_behalf boolean not null default false;

create or replace function outbox.command_digest(p_command jsonb) returns bytea
language sql immutable set search_path = pg_catalog, outbox, pg_temp as $$
  select sha256(convert_to((jsonb_build_object('events', lower(p_command ->> 'events')) || (p_command - '{events,commandId,sender,origin,onBehalf}'::text[]))::text, 'UTF8'))
$$;

create or replace function outbox.announce_command(p_workflow text, p_command jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  -- Those that were never carried out.
  delete from outbox.announced_commands where at < now() - interval '1 day';
  insert into outbox.announced_commands (workflow_id, command_id, digest, on_behalf)
  values (p_workflow, p_command ->> 'commandId', outbox.command_digest(p_command), coalesce(p_command -> 'onBehalf' = 'true', false))
  on conflict do nothing;
end $$;

-- As before (0040), and whom the two-person rule counts; null for nobody. A login that may do what a worker may is no person's: it is a
-- program's, and could name any principal. Without roles any login could.
drop function outbox.sender_of(text, text, jsonb);
create function outbox.sender_of(p_workflow text, p_via text, p_command jsonb,
                                 out known text, out principal text, out identity text, out login text, out person text)
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_on_behalf boolean := coalesce(p_command -> 'onBehalf' = 'true', false);
begin
  login := session_user;
  if to_regrole('outbox_relay') is null or pg_has_role(session_user, 'outbox_relay', 'member') then
    principal := left(p_command -> 'sender' ->> 'principal', 400);
    identity := left(p_command -> 'sender' ->> 'identity', 400);
  end if;
  if principal is not null then
    known := 'proved';
    person := principal;
    return;
  elsif p_via not in ('signal', 'update', 'workflow') then
    known := 'session_user';
  else
    select 'session_user', a.login, a.on_behalf into known, login, v_on_behalf from outbox.announced_commands a
    where a.workflow_id = p_workflow and a.command_id = p_command ->> 'commandId' and a.digest = outbox.command_digest(p_command);
    if not found then
      known := 'claimed';
      login := session_user;
      return;
    end if;
  end if;
  if not v_on_behalf and to_regrole('outbox_relay') is not null and to_regrole(quote_ident(login)) is not null
     and not pg_has_role(login, 'outbox_relay', 'member') then
    person := login;
  end if;
end $$;

-- What a command to parked deliveries asks for, however it is written: an edit by its text, whether that came along or was stored before.
create function outbox.meaning_of(p_workflow text, p_command jsonb, p_targets uuid[], out digest bytea, out letters bigint[])
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_destination text;
  v_now         record;
  v_payload     jsonb := p_command -> 'payload';
  v_bytes       text := p_command ->> 'payloadBase64';
  v_headers     jsonb := p_command -> 'headers';
begin
  letters := array(select l.id from outbox.dead_letters l
                   where l.workflow_id = p_workflow and l.event_id = any (p_targets) and l.resolved_at is null order by l.id);
  if p_command ->> 'action' = 'edit' and cardinality(p_targets) = 1 then
    select d.destination into v_destination from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
    where b.workflow_id = p_workflow and d.event_id = p_targets[1] and d.state = 'parked';
    if p_command -> 'revision' is not null then
      select r.payload, encode(r.payload_bytes, 'base64'), r.headers into v_payload, v_bytes, v_headers from outbox.revisions r
      where r.event_id = p_targets[1] and r.destination = v_destination and r.revision::text = p_command ->> 'revision';
    else
      select n.payload, encode(n.payload_bytes, 'base64') as bytes, n.headers into v_now from outbox.sent_now(p_targets[1], v_destination) n;
      v_bytes := case when v_payload is null then coalesce(encode(decode(v_bytes, 'base64'), 'base64'), v_now.bytes) end;
      v_payload := case when v_bytes is null then coalesce(v_payload, v_now.payload) end;
      v_headers := coalesce(v_headers, v_now.headers);
    end if;
  end if;
  digest := sha256(convert_to(jsonb_build_object('action', p_command -> 'action', 'letters', to_jsonb(letters), 'to', p_command -> 'to',
                                                 'payload', v_payload, 'bytes', v_bytes, 'headers', v_headers)::text, 'UTF8'));
end $$;

-- Whether another person has to say so, too. Null: it may go on, at once or because another one has said so; outbox.second_said is to be
-- called once it is done. Else { outcome: waiting | refused, message }. p_counts: letters by destination; p_what: for the message.
create function outbox.second_person(
  p_workflow text, p_via text, p_command jsonb, p_action text, p_counts jsonb, p_digest bytea, p_letters bigint[], p_redrive bigint, p_what text
) returns jsonb
language plpgsql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_rule   record;
  v_sender record;
  v_first  outbox.first_words;
  v_until  timestamptz;
  v_why    text;
begin
  select string_agg(d.name, ', ' order by d.name) as names, min((d.config #>> '{resolutions,twoPersons,withinMs}')::float8) as within_ms into v_rule
  from jsonb_each_text(p_counts) c(name, letters) join outbox.destinations d on d.name = c.name
  where d.config #> '{resolutions,twoPersons,for}' ? p_action
     or c.letters::integer > (d.config #>> '{resolutions,twoPersons,lettersAbove}')::integer;
  if v_rule.names is null then
    return null;
  end if;
  v_sender := outbox.sender_of(p_workflow, p_via, p_command);
  select * into v_first from outbox.first_words where digest = p_digest and until > now() for update;
  v_why := case
    when v_sender.person is null then
      'proved persons alone count: a signal whose sender Temporal authenticated, or a command by a database user of one’s own who is no member of outbox_relay; a claim, the dashboard and a worker’s login do not'
    when v_first.person is null then null
    when v_first.known <> v_sender.known then
      format('%s said so first, and nobody can tell whether %s is somebody else: %s has to', v_first.person, v_sender.person,
             case v_first.known when 'proved' then 'another whom Temporal authenticates' else 'another database user' end)
    when v_first.person = v_sender.person then
      format('%s said so first: it has to be somebody else, until %s UTC', v_first.person, to_char(v_first.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')) end;
  if v_why is not null then
    return jsonb_build_object('outcome', 'refused', 'message',
      format('%s takes two persons at %s: %s', p_what, v_rule.names, v_why));
  end if;
  if v_first.person is not null then
    return null;
  end if;
  delete from outbox.first_words where until <= now();
  v_until := now() + v_rule.within_ms * interval '1 ms';
  insert into outbox.first_words (digest, action, workflow_id, letters, redrive_id, known, person, actor, reason, until)
  values (p_digest, p_action, p_workflow, coalesce(p_letters, '{}'), p_redrive, v_sender.known, v_sender.person,
          left(p_command ->> 'actor', 200), left(p_command ->> 'reason', 1000), v_until);
  return jsonb_build_object('outcome', 'waiting', 'message',
    format('%s takes two persons at %s: it waits until %s UTC for another one to say the same',
           p_what, v_rule.names, to_char(v_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')));
end $$;

-- It is done: forgets who said it first, and answers that for the audit; empty where one person was enough.
create function outbox.second_said(p_digest bytea) returns text
language plpgsql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_person text;
begin
  delete from outbox.first_words where digest = p_digest and until > now() returning person into v_person;
  return coalesce('; ' || v_person || ' had said so first', '');
end $$;

-- What waits for a second person, of letters or of a redrive.
create function outbox.waiting_for_second(p_letters bigint[], p_redrive bigint) returns jsonb
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('action', f.action, 'letters', coalesce(cardinality(nullif(f.letters, '{}')), r.total), 'person', f.person,
                                               'known', f.known, 'actor', f.actor, 'reason', f.reason, 'at', f.at, 'until', f.until) order by f.at), '[]')
  from outbox.first_words f left join outbox.redrives r on r.id = f.redrive_id
  where f.until > now()
    and (f.letters && p_letters and exists (select from outbox.dead_letters l where l.id = any (f.letters) and l.resolved_at is null)
         or f.redrive_id = p_redrive and r.state = 'previewed')
$$;

-- As before (0041), and the two-person rule.
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
  v_meaning  record;
  v_second   jsonb;
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

  v_meaning := outbox.meaning_of(p_workflow, p_command, v_targets);
  v_second := outbox.second_person(p_workflow, p_via, p_command, v_action,
    (select jsonb_object_agg(t.destination, t.n) from (
       select d.destination, count(*) as n from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
       where b.workflow_id = p_workflow and d.event_id = any (v_targets) and d.state = 'parked' group by 1) t),
    v_meaning.digest, v_meaning.letters, null,
    v_action || case when cardinality(v_targets) = 1 then ' of event ' || v_targets[1] else ' of ' || cardinality(v_targets) || ' events' end);
  if v_second is not null then
    return outbox.note_command(p_workflow, p_via, p_command, v_second ->> 'outcome', v_second ->> 'message', 0,
                               case when cardinality(v_targets) = 1 then v_targets[1] end, null) || '{"code": "OUTBOX_SECOND_PERSON_NEEDED"}';
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
  v_message := v_message || outbox.second_said(v_meaning.digest);
  return outbox.note_command(p_workflow, p_via, p_command, 'done', v_message, cardinality(v_targets),
    case when cardinality(v_targets) = 1 then v_first.event_id end, v_first.destination, v_before,
    outbox.deliveries_for_audit(
      case when v_action = 'redirect' then (select jsonb_agg(p || jsonb_build_object('destination', p_command ->> 'to')) from jsonb_array_elements(v_pairs) p)
           else v_pairs end, case v_action when 'discard' then 'discarded' end));
end $$;

-- The same.
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
  v_second   jsonb;
  v_digest   bytea := sha256(convert_to('redrive ' || p_id, 'UTF8'));
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
    if exists (select from outbox.destinations d where d.config #> '{resolutions,twoPersons}' is not null) then
      v_second := outbox.second_person(v_workflow, p_via, p_command, r.action,
        (select jsonb_object_agg(m.destination, m.n) from (
           select destination, count(*) as n from outbox.redrive_members where redrive_id = p_id group by 1) m),
        v_digest, null, p_id, format('redrive %s, %s of %s,', p_id, r.action, case r.total when 1 then '1 letter' else r.total || ' letters' end));
      if v_second is not null then
        return outbox.note_command(v_workflow, p_via, p_command, v_second ->> 'outcome', v_second ->> 'message', 0, null, null)
               || '{"code": "OUTBOX_SECOND_PERSON_NEEDED"}';
      end if;
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
        case r.total when 1 then '1 dead letter' else r.total || ' dead letters' end, coalesce(' to ' || r.redirect_to, ''), r.filter) || outbox.second_said(v_digest);
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
