-- Half messages: for producers whose data lives elsewhere. Prepared here first, committed or rolled back after the producer's own
-- transaction. Happy path: one insert, one statement that moves the message into outbox.events. Only silence needs a process:
-- what is still prepared after the grace time is owned by a `preparedMessage` workflow, which asks the producer.

-- What `config apply` wrote. `grace` is what SQL itself needs of `config`.
create table outbox.producers (
  name            text collate "C" primary key,
  config          jsonb not null,
  grace           interval not null,
  config_revision integer not null,
  constraint producers_name_is_plain check (name ~ '^[a-z][a-z0-9-]{0,62}$')
);

-- The same checks as events: what was prepared can always be committed. A settled row keeps no content (nothing for outbox.erase to
-- miss) but its digest, by which a repeated prepare is known, until outbox.forget_messages. An erased one loses that too.
create table outbox.prepared_messages (like outbox.events including defaults including constraints) with (
  -- As of deliveries: hot, and every row is updated once and deleted once.
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0
);
alter table outbox.prepared_messages rename column created_at to prepared_at;
alter table outbox.prepared_messages
  drop column dedup_key,
  drop column erased_at,
  alter column payload drop not null,
  alter column headers drop not null,
  add primary key (id),
  add column producer      text collate "C" not null,
  add column state         text collate "C" not null default 'prepared',
  -- Check-backs that were answered with "unknown", or not at all.
  add column checks        integer not null default 0,
  add column next_check_at timestamptz,
  -- What the latest check-back came to, for people.
  add column last_answer   text,
  -- The workflow that asks back or waits for a person; null before the first check-back and after the end.
  add column workflow_id   text collate "C",
  add column parked_at     timestamptz,
  add column settled_at    timestamptz,
  -- `producer`, `check-back`, or who resolved it.
  add column settled_by    text,
  -- The event it became: its own id, or a new one where that is older than a day (see outbox.settle_messages).
  add column event_id      uuid,
  add column digest        bigint,
  add constraint prepared_messages_state_is_known check (state in ('prepared', 'parked', 'committed', 'rolled-back')),
  add constraint prepared_messages_check_when_prepared check ((state = 'prepared') = (next_check_at is not null)),
  add constraint prepared_messages_parked_have_a_workflow check (state <> 'parked' or workflow_id is not null and parked_at is not null),
  add constraint prepared_messages_settled_whole check (
    (state in ('committed', 'rolled-back')) = (settled_at is not null)
    and (settled_at is null) = (payload is not null) and (settled_at is null) = (headers is not null)
    and (settled_at is not null or digest is null) and (settled_at is null or workflow_id is null)),
  add constraint prepared_messages_committed_have_an_event check ((state = 'committed') = (event_id is not null));
create index prepared_messages_to_check on outbox.prepared_messages (producer, next_check_at)
  where state = 'prepared' and workflow_id is null;
create index prepared_messages_of_workflow on outbox.prepared_messages (workflow_id) where workflow_id is not null;
create index prepared_messages_parked on outbox.prepared_messages (id) where state = 'parked';
create index prepared_messages_settled on outbox.prepared_messages (settled_at) where settled_at is not null;

-- The messages one `preparedMessage` workflow owns.
create table outbox.message_batches (
  workflow_id text collate "C" primary key,
  producer    text collate "C" not null,
  -- The fencing token, as in outbox.batches.
  run         integer not null default 0,
  -- One parked message with a workflow named after it, split off this parent.
  single      boolean not null default false,
  parent      text collate "C",
  claimed_at  timestamptz not null default now(),
  -- When the reconciler last saw its workflow alive.
  checked_at  timestamptz,
  -- Somebody outside changed its messages: its workflow is to look again.
  nudged_at   timestamptz
);
create index message_batches_by_parent on outbox.message_batches (parent) where parent is not null;
create index message_batches_nudged on outbox.message_batches (nudged_at) where nudged_at is not null;

-- By which a repeat is known once the content is gone. Equal content has equal digests; one in 2^64 of other content has too.
create function outbox.message_digest(
  p_producer text, p_type text, p_key text, p_payload jsonb, p_headers jsonb, p_source text, p_subject text, p_content_type text
) returns bigint
language sql immutable parallel safe as $$
  select hash_record_extended((p_producer, p_type, p_key, p_payload, p_headers, p_source, p_subject, p_content_type), 0)
$$;

-- Prepares a message. The same id and content again changes nothing, whatever became of the message; with other content it is an error.
create function outbox.prepare_message(
  producer text, type text, payload jsonb, id uuid default null, key text default null, headers jsonb default '{}',
  deliver_at timestamptz default null, source text default null, subject text default null, content_type text default 'application/json'
) returns table (message_id uuid, state text, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_id  uuid := coalesce(prepare_message.id, outbox.uuid7());
  v_row outbox.prepared_messages;
begin
  insert into outbox.prepared_messages (id, producer, type, payload, key, headers, deliver_at, source, subject, content_type, next_check_at)
  select v_id, p.name, prepare_message.type, prepare_message.payload, prepare_message.key, coalesce(prepare_message.headers, '{}'),
         prepare_message.deliver_at, prepare_message.source, prepare_message.subject,
         coalesce(prepare_message.content_type, 'application/json'), now() + p.grace
  from outbox.producers p where p.name = prepare_message.producer
  on conflict (id) do nothing;
  if found then
    -- The event gets this id, so its day must have a partition; and a repeat that comes a week late must not begin anew.
    if outbox.uuid7_time(v_id) not between now() - interval '1 day' and now() + interval '1 day' then
      raise exception 'id: % was not made within the last day', v_id using errcode = 'OB003',
        hint = 'Make a UUIDv7 for each message when it is prepared, on a machine whose clock is right.';
    end if;
    return query values (v_id, 'prepared', true);
    return;
  end if;

  select * into v_row from outbox.prepared_messages m where m.id = v_id;
  if not found then
    raise exception 'there is no producer %', quote_literal(coalesce(prepare_message.producer, ''))
      using errcode = 'OB042', hint = 'Name it under producers: in outbox.yaml, with its check-back, and apply the file.';
  end if;
  if v_row.settled_at is null then
    v_row.digest := outbox.message_digest(v_row.producer, v_row.type, v_row.key, v_row.payload, v_row.headers, v_row.source, v_row.subject,
                                          v_row.content_type);
  end if;
  -- Of an erased one nothing is left to compare with: null.
  if v_row.digest <> outbox.message_digest(prepare_message.producer, prepare_message.type, prepare_message.key, prepare_message.payload,
                                           coalesce(prepare_message.headers, '{}'), prepare_message.source, prepare_message.subject,
                                           coalesce(prepare_message.content_type, 'application/json')) then
    raise exception 'half message % exists with other content', v_id
      using errcode = 'OB001', hint = 'An id names one message for ever; give the new content a new one.';
  end if;
  return query values (v_id, v_row.state, false);
end $$;

-- The same for several, arrays of one length with an entry for each; all or none. A row costs an eighth of what it costs alone. Nobody
-- waits long for another's lock: who is refused, with lock_not_available or otherwise, sends each message by itself.
create function outbox.prepare_messages(
  p_producers text[], p_types text[], p_payloads text[], p_ids uuid[], p_keys text[], p_headers text[], p_deliver_at timestamptz[],
  p_sources text[], p_subjects text[], p_content_types text[]
) returns table (message_id uuid, state text, inserted boolean)
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp set lock_timeout = '100ms' as $$
#variable_conflict use_column
declare
  v_new uuid[];
begin
  with written as (
    insert into outbox.prepared_messages (id, producer, type, payload, key, headers, deliver_at, source, subject, content_type, next_check_at)
    select g.id, p.name, g.type, g.payload::jsonb, g.key, coalesce(g.headers::jsonb, '{}'), g.deliver_at, g.source, g.subject,
           coalesce(g.content_type, 'application/json'), now() + p.grace
    from unnest(p_producers, p_types, p_payloads, p_ids, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types)
         as g(producer, type, payload, id, key, headers, deliver_at, source, subject, content_type)
    join outbox.producers p on p.name = g.producer
    where outbox.uuid7_time(g.id) between now() - interval '1 day' and now() + interval '1 day'
    order by g.id
    on conflict (id) do nothing
    returning id
  )
  select array_agg(id) into v_new from written;
  if cardinality(v_new) = cardinality(p_ids) then
    return query select g.id, 'prepared', true from unnest(p_ids) with ordinality as g(id, n) order by g.n;
    return;
  end if;
  -- Repeats, and what is refused for a reason that the single call gives.
  return query
  select r.message_id, r.state, r.inserted or row_number() over (partition by g.id order by g.n) = 1 and g.id = any (coalesce(v_new, '{}'))
  from unnest(p_producers, p_types, p_payloads, p_ids, p_keys, p_headers, p_deliver_at, p_sources, p_subjects, p_content_types)
       with ordinality as g(producer, type, payload, id, key, headers, deliver_at, source, subject, content_type, n)
  cross join lateral outbox.prepare_message(g.producer, g.type, g.payload::jsonb, g.id, g.key, g.headers::jsonb, g.deliver_at,
                                            g.source, g.subject, g.content_type) r
  order by g.n;
end $$;

-- Ends those of these messages that are open, and answers them. Committed ones become events, in one statement, so that the keys of
-- ordered destinations are locked in order.
--
-- A message older than a day becomes an event with a new id: the day of its own may have been dropped by now. Which one stands in
-- event_id.
--
-- One plan for all calls: left to itself the planner plans each call anew, which costs more than the rest. Such a plan must not depend on
-- statistics, which may be those of an empty table: with the other ways barred it can only use the primary key. All as one statement,
-- with CTEs, took a tenth more.
create function outbox.settle_messages(p_ids uuid[], p_state text, p_by text) returns table (id uuid, event_id uuid)
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  v_ids       uuid[];
  v_events    uuid[];
  v_workflows text[];
begin
  select array_agg(t.id), array_agg(t.workflow_id) filter (where t.workflow_id is not null) into v_ids, v_workflows
  from (select m.id, m.workflow_id from outbox.prepared_messages m
        where m.id = any (p_ids) and m.state in ('prepared', 'parked') order by m.id for update) t;
  if v_ids is null then
    return;
  end if;
  if p_state = 'committed' then
    v_events := array(select case when outbox.uuid7_time(u.id) > now() - interval '1 day' then u.id else outbox.uuid7() end
                      from unnest(v_ids) with ordinality u(id, n) order by u.n);
    insert into outbox.events (id, type, key, payload, headers, deliver_at, source, subject, content_type)
    select u.event_id, m.type, m.key, m.payload, m.headers, m.deliver_at, m.source, m.subject, m.content_type
    from unnest(v_ids, v_events) u(id, event_id) join outbox.prepared_messages m on m.id = u.id;
  end if;
  if v_workflows is not null then
    update outbox.message_batches set nudged_at = now() where workflow_id = any (v_workflows);
  end if;
  return query
  update outbox.prepared_messages m
  set state = p_state, event_id = u.event_id, settled_at = now(), settled_by = p_by,
      digest = outbox.message_digest(m.producer, m.type, m.key, m.payload, m.headers, m.source, m.subject, m.content_type),
      payload = null, headers = null, key = null, source = null, subject = null, next_check_at = null, workflow_id = null
  from unnest(v_ids, v_events) u(id, event_id) where m.id = u.id
  returning m.id, m.event_id;
end $$;

-- One message, by the producer's own word. Repeating it changes nothing; the opposite of what was decided is an error.
create function outbox.decide_message(p_id uuid, p_state text) returns table (message_id uuid, state text, event_id uuid, changed boolean)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_row outbox.prepared_messages;
begin
  return query select s.id, p_state, s.event_id, true from outbox.settle_messages(array[p_id], p_state, 'producer') s;
  if found then
    return;
  end if;
  select * into v_row from outbox.prepared_messages m where m.id = p_id;
  if not found then
    raise exception 'there is no half message %', p_id using errcode = 'OB043',
      hint = 'It was never prepared, or was settled more than a week ago.';
  elsif v_row.state <> p_state then
    raise exception 'half message % was % by % before', p_id,
      case v_row.state when 'committed' then 'committed' else 'rolled back' end, v_row.settled_by
      using errcode = 'OB041', hint = 'What was decided first stands.';
  end if;
  return query values (p_id, v_row.state, v_row.event_id, false);
end $$;

-- The same for several, each named once; all or none. As with prepare_messages, nobody waits long for another's lock.
create function outbox.decide_messages(p_ids uuid[], p_state text) returns table (message_id uuid, state text, event_id uuid, changed boolean)
language plpgsql set search_path = pg_catalog, outbox, pg_temp set lock_timeout = '100ms' as $$
#variable_conflict use_column
declare
  v_ids    uuid[];
  v_events uuid[];
begin
  select array_agg(s.id), array_agg(s.event_id) into v_ids, v_events from outbox.settle_messages(p_ids, p_state, 'producer') s;
  return query select u.id, p_state, u.event_id, true from unnest(v_ids, v_events) as u(id, event_id);
  if cardinality(v_ids) = cardinality(p_ids) then
    return;
  end if;
  return query
  select d.* from unnest(p_ids) as u(id) cross join lateral outbox.decide_message(u.id, p_state) d where u.id <> all (coalesce(v_ids, '{}'));
end $$;

create function outbox.commit_message(id uuid) returns table (message_id uuid, state text, event_id uuid, changed boolean)
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$ select * from outbox.decide_message($1, 'committed') $$;

create function outbox.rollback_message(id uuid) returns table (message_id uuid, state text, event_id uuid, changed boolean)
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$ select * from outbox.decide_message($1, 'rolled-back') $$;

create function outbox.commit_messages(ids uuid[]) returns table (message_id uuid, state text, event_id uuid, changed boolean)
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$ select * from outbox.decide_messages($1, 'committed') $$;

create function outbox.rollback_messages(ids uuid[]) returns table (message_id uuid, state text, event_id uuid, changed boolean)
language sql volatile security definer set search_path = pg_catalog, outbox, pg_temp as $$ select * from outbox.decide_messages($1, 'rolled-back') $$;

-- How a message stands; no row when there is none. Without its content, so that producers may ask.
create function outbox.message_state(id uuid) returns table (
  message_id uuid, producer text, type text, state text, event_id uuid, checks integer, last_answer text,
  prepared_at timestamptz, next_check_at timestamptz, parked_at timestamptz, settled_at timestamptz, settled_by text, workflow_id text)
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select m.id, m.producer, m.type, m.state, m.event_id, m.checks, m.last_answer, m.prepared_at, m.next_check_at, m.parked_at,
         m.settled_at, m.settled_by, m.workflow_id
  from outbox.prepared_messages m where m.id = $1
$$;

-- Claims what is still prepared after its grace time: at most one batch for each producer.
create function outbox.claim_messages(p_limit integer) returns table (workflow_id text, producer text, size integer)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
declare
  v_producer text;
  v_found    uuid[];
  v_workflow text;
begin
  for v_producer in select p.name from outbox.producers p order by p.name loop
    select array_agg(t.id) into v_found
    from (select m.id from outbox.prepared_messages m
          where m.producer = v_producer and m.state = 'prepared' and m.workflow_id is null and m.next_check_at <= now()
          order by m.next_check_at limit p_limit for update skip locked) t;
    continue when v_found is null;
    v_workflow := outbox.workflow_prefix() || 'preparedMessage/' || gen_random_uuid();
    insert into outbox.message_batches (workflow_id, producer) values (v_workflow, v_producer);
    update outbox.prepared_messages m set workflow_id = v_workflow where m.id = any (v_found);
    return query select v_workflow, v_producer, cardinality(v_found);
  end loop;
end $$;

-- Opens the next run of what this workflow owns. No row: nothing is left.
create function outbox.open_messages(p_workflow text) returns table (run integer, producer text, config_revision integer)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.message_batches b set run = b.run + 1, checked_at = now()
  from outbox.settings s where b.workflow_id = p_workflow
  returning b.run, b.producer, s.config_revision
$$;

-- Writes what check-backs came to: p_answers is an array of { id, checks, answer: committed | rolled-back | unknown, detail, delayMs };
-- delayMs null parks what is unknown. `checks` is what the row had when it was loaded: a repeated write finds more and counts nothing
-- twice. Answers false when a later run owns the messages.
create function outbox.settle_checks(p_workflow text, p_run integer, p_answers jsonb) returns boolean
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch outbox.message_batches;
  v_ids   uuid[];
  v_id    uuid;
begin
  -- One order of locks for everybody: messages by id, then their batch. What was settled meanwhile is left alone.
  perform from outbox.prepared_messages m
  where m.workflow_id = p_workflow and m.id in (select (a ->> 'id')::uuid from jsonb_array_elements(p_answers) a)
  order by m.id for update;
  select * into v_batch from outbox.message_batches where workflow_id = p_workflow and run = p_run for no key update;
  if not found then
    return false;
  end if;

  select array_agg(m.id order by m.id) into v_ids
  from jsonb_to_recordset(p_answers) as a(id uuid, answer text)
  join outbox.prepared_messages m on m.id = a.id and m.workflow_id = p_workflow where a.answer = 'committed';
  if v_ids is not null then
    begin
      perform outbox.settle_messages(v_ids, 'committed', 'check-back');
    exception when integrity_constraint_violation or data_exception then
      -- One of them cannot become an event; it must not hold up the others.
      foreach v_id in array v_ids loop
        begin
          perform outbox.settle_messages(array[v_id], 'committed', 'check-back');
        exception when integrity_constraint_violation or data_exception then
          perform outbox.park_message(v_batch, v_id, 'committed, but it cannot become an event: ' || sqlerrm);
        end;
      end loop;
    end;
  end if;

  select array_agg(m.id order by m.id) into v_ids
  from jsonb_to_recordset(p_answers) as a(id uuid, answer text)
  join outbox.prepared_messages m on m.id = a.id and m.workflow_id = p_workflow where a.answer = 'rolled-back';
  if v_ids is not null then
    perform outbox.settle_messages(v_ids, 'rolled-back', 'check-back');
  end if;

  update outbox.prepared_messages m
  set checks = m.checks + 1, last_answer = left(a.detail, 500),
      next_check_at = now() + coalesce(a."delayMs", 0) * interval '1 ms'
  from jsonb_to_recordset(p_answers) as a(id uuid, answer text, checks integer, detail text, "delayMs" double precision)
  where m.id = a.id and m.workflow_id = p_workflow and m.state = 'prepared' and m.checks = a.checks and a.answer = 'unknown';
  perform outbox.park_message(v_batch, m.id, m.last_answer)
  from jsonb_to_recordset(p_answers) as a(id uuid, answer text, "delayMs" double precision)
  join outbox.prepared_messages m on m.id = a.id and m.workflow_id = p_workflow and m.state = 'prepared'
  where a.answer = 'unknown' and a."delayMs" is null;
  -- The workflow that wrote this looks by itself.
  update outbox.message_batches set nudged_at = null where workflow_id = p_workflow and nudged_at is not null;
  return true;
end $$;

-- A parked message gets a workflow of its own, named after it.
create function outbox.park_message(p_batch outbox.message_batches, p_id uuid, p_answer text) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_workflow text := outbox.workflow_prefix() || 'preparedMessage/' || p_id;
begin
  insert into outbox.message_batches (workflow_id, producer, single, parent)
  values (v_workflow, p_batch.producer, true, p_batch.workflow_id)
  on conflict (workflow_id) do nothing;
  update outbox.prepared_messages
  set state = 'parked', parked_at = now(), next_check_at = null, last_answer = left(p_answer, 500), workflow_id = v_workflow
  where id = p_id;
end $$;

-- What is left of a workflow's messages, for its next step and for its page in the Temporal UI; a workflow without any loses its row.
-- `singles`: workflows split off it that have not begun.
create function outbox.finish_checks(p_workflow text) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_summary jsonb;
begin
  select jsonb_build_object(
    'left', count(*), 'parked', count(*) filter (where m.state = 'parked'),
    'nextCheckMs', ceil(extract(epoch from min(m.next_check_at) - now()) * 1000),
    'rows', coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'type', m.type, 'producer', m.producer, 'state', m.state, 'checks', m.checks,
              'preparedAt', m.prepared_at, 'parkedAt', m.parked_at, 'nextCheckAt', m.next_check_at) order by m.n) filter (where m.n <= 20), '[]'))
  into v_summary
  from (select *, row_number() over (order by id) as n from outbox.prepared_messages where workflow_id = p_workflow) m;
  if v_summary -> 'left' = '0' then
    delete from outbox.message_batches b where b.workflow_id = p_workflow
      and not exists (select from outbox.prepared_messages m where m.workflow_id = p_workflow);
  end if;
  return v_summary || jsonb_build_object('singles', (
    select coalesce(jsonb_agg(jsonb_build_object('workflowId', c.workflow_id, 'producer', c.producer) order by c.workflow_id), '[]')
    from outbox.message_batches c where c.parent = p_workflow and c.run = 0));
end $$;

-- Carries out { action: commit | rollback | check, events: [id] | null, all, actor, reason, commandId } on open messages: those of one
-- workflow, or (p_workflow null) the ones named. One transaction, one line in outbox.audit, whatever comes of it; a command acts once.
-- Answers { outcome: done | refused, message, events }.
create function outbox.resolve_messages(p_workflow text, p_command jsonb, p_via text) returns jsonb
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
  select * into v_earlier from outbox.audit where command_id = p_command ->> 'commandId';
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

create function outbox.why_message_refused(p_command jsonb, p_named uuid[], p_targets uuid[], p_workflow text) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_missing text;
begin
  if p_command ? 'malformed' then
    return p_command ->> 'malformed';
  end if;
  if p_command ->> 'action' not in ('commit', 'rollback', 'check') then
    return format('unknown action %L; send commit, rollback or check', p_command ->> 'action');
  end if;
  select string_agg(id || coalesce(' (' || (select case when m.state in ('prepared', 'parked') then 'of another workflow'
                                                   else replace(m.state, '-', ' ') || ' by ' || m.settled_by end
                                            from outbox.prepared_messages m where m.id = t.id), ' (unknown)'), ', ')
  into v_missing
  from (select id from unnest(p_named) id where not id = any (coalesce(p_targets, '{}')) limit 3) t;
  if v_missing is not null then
    return format('not open here: %s; nothing was changed', v_missing);
  end if;
  if p_targets is null then
    return 'nothing is open here: all of it is settled';
  end if;
  if cardinality(p_targets) > 1 and p_named is null and p_command -> 'all' is distinct from 'true' then
    return format('%s messages are open here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}', cardinality(p_targets));
  end if;
  return null;
end $$;

-- Workflows whose messages were changed from outside; each is answered once.
create function outbox.take_nudges(p_limit integer) returns setof text
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.message_batches b set nudged_at = null
  where b.workflow_id = any (array(
    select workflow_id from outbox.message_batches where nudged_at is not null order by nudged_at limit p_limit for update skip locked))
  returning b.workflow_id
$$;

-- Batches whose workflow should be looked at, oldest look first; marks them as looked at. `size`: messages it still has.
create function outbox.message_batches_to_check(p_age interval, p_limit integer)
returns table (workflow_id text, producer text, single boolean, size integer)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  update outbox.message_batches b set checked_at = now()
  where b.workflow_id = any (array(
    select workflow_id from outbox.message_batches
    where claimed_at < now() - p_age and (checked_at is null or checked_at < now() - p_age)
    order by checked_at nulls first limit p_limit for update skip locked))
  returning b.workflow_id, b.producer, b.single, (select count(*)::int from outbox.prepared_messages m where m.workflow_id = b.workflow_id)
$$;

-- A batch whose workflow is gone and that has no messages any more.
create function outbox.drop_message_batch(p_workflow text) returns void
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  delete from outbox.message_batches b where b.workflow_id = p_workflow
    and not exists (select from outbox.prepared_messages m where m.workflow_id = p_workflow)
$$;

-- Settled messages are known for p_age, so that a repeat is recognised; then they go, a few at a time.
create function outbox.forget_messages(p_age interval, p_limit integer) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
begin
  delete from outbox.prepared_messages m where m.id = any (array(
    select id from outbox.prepared_messages where settled_at < now() - p_age order by settled_at limit p_limit for update skip locked));
  get diagnostics v_count = row_count;
  return v_count;
end $$;
