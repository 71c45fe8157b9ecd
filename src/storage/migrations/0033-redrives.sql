-- Redrives: dead letters let go together, at a pace, and stopped when they fail again. What is so stands here; the workflow `redrive` keeps
-- the time.
--
-- Letters are acted on here, not by commands to the workflows that wait with them: a step of any size is one transaction, which a lost
-- answer cannot repeat, and its rows go back to their lane, where healthy batches take them. The waiting workflows are told afterwards
-- (redrive_workflows), slowly.

create table outbox.redrives (
  id           bigint generated always as identity primary key,
  state        text collate "C" not null default 'previewed',
  -- Why it stopped.
  why          text,
  action       text collate "C" not null,
  filter       jsonb not null,
  patch        jsonb,
  redirect_to  text collate "C",
  -- Sizes of the first steps; the last one repeats where there is no rate.
  steps        integer[] not null,
  -- Letters a second, at most.
  rate         double precision,
  -- Share of what was answered, 0 to 1.
  max_failures double precision not null,
  -- Members as frozen, and those of the filter's letters that are none, by why.
  total        integer not null default 0,
  left_out     jsonb not null default '{}',
  -- Where its members go.
  destinations text[] collate "C" not null default '{}',
  -- Of the members: acted on, delivered (discarded, redirected and delivered), parked again, tried in vain and still retrying, passed over.
  acted        integer not null default 0,
  done         integer not null default 0,
  failed       integer not null default 0,
  failing      integer not null default 0,
  skipped      integer not null default 0,
  -- The step that is under way, and what is left of its size.
  step         integer not null default 0,
  step_left    integer not null default 0,
  -- The last ordinal that was taken in hand, and the one before the step.
  reached      integer not null default 0,
  step_after   integer not null default 0,
  tokens       double precision not null default 0,
  tokens_at    timestamptz,
  workflow_id  text collate "C",
  request_id   text,
  reason       text,
  made_at      timestamptz not null default now(),
  made_by      text,
  started_at   timestamptz,
  started_by   text,
  paused_at    timestamptz,
  paused_by    text,
  ended_at     timestamptz,
  -- When its workflow last went on with it.
  seen_at      timestamptz,
  constraint redrives_state_is_known check (state in ('previewed', 'canary', 'running', 'stopped', 'done')),
  constraint redrives_action_is_known check (action in ('retry', 'edit', 'redirect', 'discard')),
  constraint redrives_steps_are_sizes check (cardinality(steps) between 1 and 100 and 0 < all (steps)),
  constraint redrives_rate_is_above_zero check (rate > 0),
  constraint redrives_share_is_one check (max_failures between 0 and 1),
  constraint redrives_ended_when_over check ((state in ('stopped', 'done')) = (ended_at is not null))
);
create unique index redrives_one_per_request on outbox.redrives (request_id) where request_id is not null;
create index redrives_live on outbox.redrives (id) where state in ('canary', 'running');
create index redrives_ended on outbox.redrives (ended_at) where ended_at is not null;

-- Frozen membership, in the order in which it is let go: that of the deliveries, and so of each key.
create table outbox.redrive_members (
  redrive_id  bigint not null references outbox.redrives (id) on delete cascade,
  ordinal     integer not null,
  letter_id   bigint not null,
  event_id    uuid not null,
  destination text collate "C" not null,
  park_no     integer not null,
  -- frozen: seen by a preview; waiting: taken by a redrive that was started; sent: acted on, no final outcome yet; left: not acted on, the
  -- redrive ended before.
  state       text collate "C" not null default 'frozen',
  why         text,
  -- While sent: tried in vain since, and still retrying.
  failing     boolean not null default false,
  step        integer,
  sent_at     timestamptz,
  -- Tries of the delivery before.
  tries       integer,
  primary key (redrive_id, ordinal),
  constraint redrive_members_state_is_known check (state in ('frozen', 'waiting', 'sent', 'done', 'failed', 'skipped', 'left'))
);
-- Two redrives never take the same letter.
create unique index redrive_members_one_at_a_time on outbox.redrive_members (letter_id) where state = 'waiting';
create index redrive_members_waiting on outbox.redrive_members (redrive_id, ordinal) where state = 'waiting';
create index redrive_members_sent on outbox.redrive_members (redrive_id, ordinal) where state = 'sent';

-- Workflows that held members, and do not know yet that they went.
create table outbox.redrive_workflows (
  redrive_id  bigint not null references outbox.redrives (id) on delete cascade,
  workflow_id text collate "C" not null,
  primary key (redrive_id, workflow_id)
);

-- The filter's most used field after the cause.
create index dead_letters_open_by_destination on outbox.dead_letters (destination, id) where resolved_at is null;
create index dead_letters_open_by_event on outbox.dead_letters (event_id) where resolved_at is null;

-- JSON Patch (RFC 6902) in PostgreSQL: numbers beyond 2^53 stay what they are. -----------------------------------------------------------

-- A JSON Pointer as a path.
create function outbox.json_pointer(p_pointer text) returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_pointer is null or p_pointer <> '' and left(p_pointer, 1) <> '/' or p_pointer ~ '~([^01]|$)' then
    raise exception '% is no JSON Pointer; one begins with /, as in /customer/id', coalesce(quote_literal(p_pointer), 'nothing');
  end if;
  return case when p_pointer = '' then '{}'
              else (select array_agg(replace(replace(part, '~1', '/'), '~0', '~') order by n)
                    from unnest(string_to_array(substr(p_pointer, 2), '/')) with ordinality p(part, n)) end;
end $$;

-- Where a path leads: null where nothing is. Never from the end of an array, as PostgreSQL's own negative numbers do.
create function outbox.json_at(p_doc jsonb, p_path text[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_part text;
begin
  foreach v_part in array p_path loop
    if jsonb_typeof(p_doc) = 'array' and v_part !~ '^(0|[1-9][0-9]{0,8})$' then
      return null;
    end if;
    p_doc := p_doc #> array[v_part];
  end loop;
  return p_doc;
end $$;

create function outbox.json_add(p_doc jsonb, p_path text[], p_value jsonb, p_pointer text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_parent jsonb := outbox.json_at(p_doc, p_path[:cardinality(p_path) - 1]);
  v_last   text := p_path[cardinality(p_path)];
begin
  if p_path = '{}' then
    return p_value;
  elsif jsonb_typeof(v_parent) = 'object' then
    return jsonb_set(p_doc, p_path, p_value, true);
  elsif jsonb_typeof(v_parent) = 'array' then
    if v_last = '-' or v_last = jsonb_array_length(v_parent)::text then
      return jsonb_insert(p_doc, p_path[:cardinality(p_path) - 1] || case when v_parent = '[]' then '0' else '-1' end, p_value, true);
    elsif outbox.json_at(v_parent, array[v_last]) is not null then
      return jsonb_insert(p_doc, p_path, p_value);
    end if;
  end if;
  raise exception 'there is no place for %', p_pointer;
end $$;

-- Applies a patch. Raises where an operation does not fit, and changes nothing then.
create function outbox.json_patch(p_doc jsonb, p_patch jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_op    jsonb;
  v_path  text[];
  v_from  text[];
  v_moved jsonb;
begin
  perform outbox.check_patch(p_patch);
  for v_op in select jsonb_array_elements(p_patch) loop
    v_path := outbox.json_pointer(v_op ->> 'path');
    if v_op ->> 'op' in ('replace', 'remove') and outbox.json_at(p_doc, v_path) is null then
      raise exception 'there is nothing at %', v_op ->> 'path';
    end if;
    case v_op ->> 'op'
      when 'test' then
        if outbox.json_at(p_doc, v_path) is distinct from v_op -> 'value' then
          raise exception 'the test of % fails', v_op ->> 'path';
        end if;
      when 'add' then p_doc := outbox.json_add(p_doc, v_path, v_op -> 'value', v_op ->> 'path');
      when 'replace' then p_doc := case when v_path = '{}' then v_op -> 'value' else jsonb_set(p_doc, v_path, v_op -> 'value', false) end;
      when 'remove' then p_doc := case when v_path = '{}' then 'null' else p_doc #- v_path end;
      when 'move', 'copy' then
        v_from := outbox.json_pointer(v_op ->> 'from');
        v_moved := outbox.json_at(p_doc, v_from);
        if v_moved is null then
          raise exception 'there is nothing at %', v_op ->> 'from';
        elsif v_op ->> 'op' = 'move' and v_path <> v_from and v_path[:cardinality(v_from)] = v_from then
          raise exception '% cannot move into itself', v_op ->> 'from';
        elsif v_op ->> 'op' = 'move' then
          p_doc := case when v_from = '{}' then 'null' else p_doc #- v_from end;
        end if;
        p_doc := outbox.json_add(p_doc, v_path, v_moved, v_op ->> 'path');
    end case;
  end loop;
  return p_doc;
end $$;

-- Refuses what is no patch, whatever it is applied to.
create function outbox.check_patch(p_patch jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_op jsonb;
begin
  if jsonb_typeof(p_patch) is distinct from 'array' or p_patch = '[]' then
    raise exception 'a JSON Patch is a list of operations: [{"op": "replace", "path": "/total", "value": 1}]';
  end if;
  for v_op in select jsonb_array_elements(p_patch) loop
    if jsonb_typeof(v_op) <> 'object' then
      raise exception 'an operation of a JSON Patch is an object, not %', left(v_op::text, 100);
    elsif coalesce(v_op ->> 'op', '') not in ('add', 'remove', 'replace', 'move', 'copy', 'test') then
      raise exception 'a JSON Patch knows add, remove, replace, move, copy and test, not %', coalesce(quote_literal(v_op ->> 'op'), 'nothing');
    elsif v_op ->> 'op' in ('add', 'replace', 'test') and not v_op ? 'value' then
      raise exception '% needs a value', v_op ->> 'op';
    end if;
    perform outbox.json_pointer(v_op ->> 'path');
    if v_op ->> 'op' in ('move', 'copy') then
      perform outbox.json_pointer(v_op ->> 'from');
    end if;
  end loop;
end $$;

-- Preview ---------------------------------------------------------------------------------------------------------------------------

-- A filter as a condition on outbox.dead_letters l. Only what is asked for becomes SQL, as literals, so that the plan fits what is asked.
create function outbox.redrive_condition(p_filter jsonb) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_like text := '%' || replace(replace(replace(p_filter ->> 'text', '\', '\\'), '%', '\%'), '_', '\_') || '%';
begin
  return concat_ws(' and ', 'l.resolved_at is null',
    'l.destination = ' || quote_literal(p_filter ->> 'destination'),
    'l.cause = ' || quote_literal(p_filter ->> 'cause'),
    'l.reason = ' || quote_literal(p_filter ->> 'parkedFor'),
    'l.event_type like ' || quote_literal(p_filter ->> 'typeLike'),
    'l.last_status = ' || (p_filter ->> 'status')::integer,
    'l.parked_at >= ' || quote_literal((p_filter ->> 'since')::timestamptz),
    'l.parked_at < ' || quote_literal((p_filter ->> 'until')::timestamptz),
    case when p_filter ? 'letters' then
      'l.id = any (' || quote_literal(array(select id::bigint from jsonb_array_elements_text(p_filter -> 'letters') id)) || '::bigint[])' end,
    'l.event_id in (select outbox.events_of_key(' || quote_literal(p_filter ->> 'key') || '))',
    '(l.last_error ilike ' || quote_literal(v_like) || ' or l.cause in (select c.id from outbox.causes c where c.error ilike ' || quote_literal(v_like) || '))',
    '(select outbox.filter_holds(s.payload, ' || quote_literal((p_filter ->> 'payload')::jsonpath) || '::jsonpath, '
      || quote_literal(outbox.filter_mode((p_filter ->> 'payload')::jsonpath)) || ') from outbox.sent_now(l.event_id, l.destination) s)');
end $$;

-- Freezes which letters match. p_request: { action, filter, to, steps, rate, maxFailures, reason }. p_patch: text, as JavaScript would break
-- its large numbers. A request with the same id (a repeated activity) answers what the first one made. Takes nothing yet: a preview that
-- somebody forgets holds up nobody.
create function outbox.freeze_redrive(p_request jsonb, p_patch text, p_actor text, p_request_id text default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_id    bigint;
  v_to    text := p_request ->> 'to';
  v_count integer;
  v_left  jsonb;
begin
  select id into v_id from outbox.redrives where request_id = p_request_id;
  if found then
    return v_id;
  end if;
  if p_request ->> 'action' = 'redirect' and not exists (select from outbox.destinations where name = v_to) then
    raise exception 'there is no destination %; there are: %', quote_literal(v_to),
      (select string_agg(name, ', ' order by name) from outbox.destinations);
  end if;
  if p_patch is not null then
    perform outbox.check_patch(p_patch::jsonb);
  end if;
  begin
    perform outbox.filter_mode((p_request #>> '{filter,payload}')::jsonpath);
  exception when syntax_error then
    raise exception '"payload" is no jsonpath: %', sqlerrm using hint = 'As in $.total > 100, or $.items[*] ? (@.sku == "x").';
  end;
  insert into outbox.redrives (action, filter, patch, redirect_to, steps, rate, max_failures, reason, made_by, request_id)
  select p_request ->> 'action', p_request -> 'filter', p_patch::jsonb, v_to,
         array(select jsonb_array_elements_text(p_request -> 'steps')::integer), (p_request ->> 'rate')::double precision,
         (p_request ->> 'maxFailures')::double precision, left(p_request ->> 'reason', 1000), left(p_actor, 200), p_request_id
  returning id into v_id;
  execute format($sql$
    with found as materialized (
      select l.id, l.event_id, l.destination, l.park_no, d.seq,
             case when d.event_id is null then 'not parked any more'
                  when w.redrive_id is not null then 'in redrive ' || w.redrive_id
                  when $2 is not null then outbox.why_not_redirected(l.event_id, l.destination, $2) end as why
      from outbox.dead_letters l
      left join outbox.deliveries d
        on d.event_id = l.event_id and d.destination = l.destination and d.state = 'parked' and d.park_no = l.park_no
      left join outbox.redrive_members w on w.letter_id = l.id and w.state = 'waiting'
      where %s
    ), taken as (
      insert into outbox.redrive_members (redrive_id, ordinal, letter_id, event_id, destination, park_no)
      select $1, row_number() over (order by f.seq), f.id, f.event_id, f.destination, f.park_no from found f where f.why is null
    )
    select count(*) filter (where why is null),
           (select coalesce(jsonb_object_agg(why, n), '{}') from (select why, count(*) as n from found where why is not null group by why) w)
    from found $sql$, outbox.redrive_condition(p_request -> 'filter'))
  into v_count, v_left using v_id, v_to;
  update outbox.redrives r
  set total = v_count, left_out = v_left,
      destinations = coalesce(case when v_to is not null then array[v_to] end,
        array(select distinct m.destination from outbox.redrive_members m where m.redrive_id = v_id order by 1))
  where r.id = v_id;
  return v_id;
end $$;

-- The other destination would get the same event under the same key twice.
create function outbox.why_not_redirected(p_event uuid, p_destination text, p_to text) returns text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select 'has, or had, a delivery to ' || p_to || ' already'
  where p_destination = p_to
     or exists (select from outbox.deliveries where event_id = p_event and destination = p_to)
     or exists (select from outbox.delivered where event_id = p_event and destination = p_to)
     or exists (select from outbox.dead_letters where event_id = p_event and destination = p_to)
$$;

-- Some members, with what an edit makes of them; for eyes that may see payloads. Texts, digit for digit.
create function outbox.redrive_sample(p_id bigint, p_limit integer)
returns table (letter_id bigint, event_id uuid, event_type text, destination text, cause text, last_status integer, last_error text,
               parked_at timestamptz, before text, after text, problem text)
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_patch jsonb := (select patch from outbox.redrives where id = p_id);
begin
  for letter_id, event_id, event_type, destination, cause, last_status, last_error, parked_at in
    select l.id, l.event_id, l.event_type, l.destination, l.cause, l.last_status, l.last_error, l.parked_at
    from outbox.redrive_members m join outbox.dead_letters l on l.id = m.letter_id
    where m.redrive_id = p_id order by m.ordinal limit least(p_limit, 100)
  loop
    before := null; after := null; problem := null;
    if v_patch is not null then
      select payload::text into before from outbox.sent_now(event_id, destination);
      if before is null then
        problem := 'its payload is bytes, or gone';
      else
        begin
          after := outbox.json_patch(before::jsonb, v_patch)::text;
        exception when raise_exception then
          problem := sqlerrm;
        end;
      end if;
    end if;
    return next;
  end loop;
end $$;

-- How it stands ----------------------------------------------------------------------------------------------------------------------

create function outbox.redrive_standing(p_id bigint) returns jsonb
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select jsonb_build_object(
    'id', r.id, 'state', case when r.paused_at is not null and r.ended_at is null then 'paused' else r.state end, 'why', r.why,
    'action', r.action, 'filter', r.filter, 'to', r.redirect_to, 'steps', to_jsonb(r.steps), 'rate', r.rate, 'maxFailures', r.max_failures,
    'total', r.total, 'leftOut', r.left_out, 'destinations', to_jsonb(r.destinations),
    'acted', r.acted, 'done', r.done, 'failed', r.failed, 'retrying', r.failing, 'skipped', r.skipped,
    'unanswered', r.acted - r.done - r.failed - r.failing, 'step', r.step, 'reason', r.reason, 'workflowId', r.workflow_id,
    'madeAt', r.made_at, 'madeBy', r.made_by, 'startedAt', r.started_at, 'startedBy', r.started_by,
    'pausedAt', r.paused_at, 'pausedBy', r.paused_by, 'endedAt', r.ended_at)
  from outbox.redrives r where r.id = p_id
$$;

-- Looks what became of members that were acted on. A member that was parked again failed; one whose delivery is gone was delivered. The
-- rows under way are few beside all, whatever the statistics say.
create function outbox.look_at_redrive(p_id bigint) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_to text;
begin
  select redirect_to into v_to from outbox.redrives where id = p_id for update;
  with seen as materialized (
    select m.ordinal, m.failing,
           case when d.park_no > case when v_to is null then m.park_no else 0 end then 'failed'
                when d.event_id is not null then 'sent'
                when exists (select from outbox.dead_letters l
                             where l.event_id = m.event_id and l.destination = coalesce(v_to, m.destination)
                               and l.park_no > case when v_to is null then m.park_no else 0 end) then 'failed'
                else 'done' end as state,
           coalesce(d.tries > m.tries, false) as tried
    from outbox.redrive_members m
    left join outbox.deliveries d on d.event_id = m.event_id and d.destination = coalesce(v_to, m.destination)
    where m.redrive_id = p_id and m.state = 'sent'
  ), changed as (
    update outbox.redrive_members m set state = s.state, failing = s.state = 'sent' and s.tried
    from seen s
    where m.redrive_id = p_id and m.ordinal = s.ordinal and (s.state <> 'sent' or s.tried <> s.failing)
    returning m.state, m.failing, s.failing as was_failing
  )
  update outbox.redrives r
  set done = r.done + c.done, failed = r.failed + c.failed, failing = r.failing + c.failing
  from (select count(*) filter (where state = 'done') as done, count(*) filter (where state = 'failed') as failed,
               count(*) filter (where changed.failing) - count(*) filter (where was_failing) as failing from changed) c
  where r.id = p_id and (c.done, c.failed, c.failing) <> (0, 0, 0);
end $$;

-- The same after a look: what was retrying when it ended goes on to be counted.
create function outbox.redrive_now(p_id bigint) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform outbox.look_at_redrive(p_id);
  return outbox.redrive_standing(p_id);
end $$;

create function outbox.end_redrive(p_id bigint, p_state text, p_why text) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.redrives set state = p_state, why = p_why, ended_at = now(), paused_at = null, paused_by = null where id = p_id;
  update outbox.redrive_members set state = 'left', why = p_why where redrive_id = p_id and state in ('frozen', 'waiting');
end $$;

-- Why it must not go on, or null. Failures are those parked again and those tried in vain that are still retrying: a policy takes hours to
-- give up, and a canary is not to wait for that. Judged are the step under way, all answers so far, and at a rate the latest seconds.
create function outbox.why_redrive_stops(p_redrive outbox.redrives) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  c_least constant integer := 10; -- answers that tell something
  v_held     record;
  v_failures integer;
  v_answered integer;
  v_size     integer;
begin
  select d.name, d.paused_at, d.paused_reason, c.state, c.reason into v_held
  from outbox.destinations d left join outbox.circuits c on c.destination = d.name
  where d.name = any (p_redrive.destinations) and p_redrive.action <> 'discard' and (d.paused_at is not null or c.state <> 'closed')
  order by d.name limit 1;
  if found then
    return case when v_held.paused_at is not null then format('%s is paused: %s', v_held.name, coalesce(v_held.paused_reason, 'no reason given'))
                else format('the circuit of %s is %s: %s', v_held.name, v_held.state, coalesce(v_held.reason, 'no reason given')) end;
  end if;
  if p_redrive.rate is null or p_redrive.step <= cardinality(p_redrive.steps) then
    select count(*) filter (where m.state = 'failed' or m.failing), count(*) into v_failures, v_size
    from outbox.redrive_members m
    where m.redrive_id = p_redrive.id and m.step = p_redrive.step and m.state <> 'skipped'
      and m.ordinal > p_redrive.step_after and m.ordinal <= p_redrive.reached;
    v_size := v_size + p_redrive.step_left;
    if v_failures > 0 and v_failures > p_redrive.max_failures * v_size then
      return format('%s of %s letters of step %s failed again', v_failures, v_size, p_redrive.step);
    end if;
  end if;
  select count(*) filter (where m.state = 'failed' or m.failing), count(*) into v_failures, v_answered
  from outbox.redrive_members m
  where m.redrive_id = p_redrive.id and (m.state in ('done', 'failed') or m.state = 'sent' and m.failing)
    and m.ordinal > p_redrive.reached - greatest(20, ceil(coalesce(p_redrive.rate, 0) * 5));
  if v_answered >= c_least and v_failures > p_redrive.max_failures * v_answered then
    return format('%s of the latest %s answers were failures', v_failures, v_answered);
  end if;
  v_failures := p_redrive.failed + p_redrive.failing;
  v_answered := v_failures + p_redrive.done;
  if v_failures > p_redrive.max_failures * v_answered and (v_answered >= c_least or v_answered = p_redrive.total - p_redrive.skipped) then
    return format('%s of %s letters failed again', v_failures, v_answered);
  end if;
  return null;
end $$;

-- Acting --------------------------------------------------------------------------------------------------------------------------------

-- Why a member cannot be acted on any more.
create function outbox.why_skipped(p_letter bigint) returns text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select coalesce((select case when l.resolved_at is not null then format('resolved meanwhile: %s by %s', l.resolution, coalesce(l.resolved_by, 'somebody'))
                               else 'not parked any more' end
                   from outbox.dead_letters l where l.id = p_letter), 'its dead letter is gone')
$$;

-- One member, where each needs statements of its own. Raises why it cannot be done.
create function outbox.act_on_member(p_redrive outbox.redrives, p_member outbox.redrive_members) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_now      record;
  v_revision integer;
  v_keyed    boolean;
  v_key      text;
  v_why      text;
begin
  if p_redrive.action = 'edit' then
    select * into v_now from outbox.sent_now(p_member.event_id, p_member.destination);
    if v_now.payload is null then
      raise exception '%', case when v_now.content_type is null then 'its event is no longer in the database' else 'its payload is bytes' end;
    end if;
    v_revision := outbox.prepare_revision(p_member.event_id, p_member.destination, outbox.json_patch(v_now.payload, p_redrive.patch)::text, null,
                                          p_redrive.started_by, p_redrive.reason);
    update outbox.deliveries set state = 'pending', batch_id = null, attempts = 0, unreachable = 0, first_attempt_at = null, revision = v_revision
    where event_id = p_member.event_id and destination = p_member.destination;
    return;
  end if;
  select ordering = 'key' into v_keyed from outbox.destinations where name = p_redrive.redirect_to;
  if not found then
    raise exception 'there is no destination % any more', p_redrive.redirect_to;
  end if;
  v_why := outbox.why_not_redirected(p_member.event_id, p_member.destination, p_redrive.redirect_to);
  if v_why is not null then
    raise exception '%', v_why;
  end if;
  insert into outbox.revisions (event_id, destination, revision, payload, payload_bytes, headers, made_by, reason)
  select r.event_id, p_redrive.redirect_to, r.revision, r.payload, r.payload_bytes, r.headers, r.made_by, 'redirected from ' || r.destination
  from outbox.revisions r join outbox.deliveries d on d.event_id = r.event_id and d.destination = r.destination and d.revision = r.revision
  where d.event_id = p_member.event_id and d.destination = p_member.destination
  on conflict do nothing;
  delete from outbox.deliveries where event_id = p_member.event_id and destination = p_member.destination returning key, revision into v_key, v_revision;
  if v_key is not null then
    perform outbox.release_keys(p_member.destination, array[v_key]);
  end if;
  insert into outbox.deliveries (event_id, destination, seq, state, revision, key)
  values (p_member.event_id, p_redrive.redirect_to, nextval('outbox.delivery_seq'), 'pending', v_revision,
          case when v_keyed then outbox.key_of(p_member.event_id) end);
end $$;

-- Acts on the next p_count members, in their order. One that somebody resolved meanwhile is skipped. Answers how many it took in hand.
create function outbox.act_on_members(p_redrive outbox.redrives, p_count integer) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_members   outbox.redrive_members[];
  v_fit       outbox.redrive_members[];
  v_member    outbox.redrive_members;
  v_skipped   integer;
  v_batches   uuid[];
  v_workflows text[];
  v_gone      record;
begin
  select array_agg(m order by m.ordinal) into v_members
  from (select * from outbox.redrive_members where redrive_id = p_redrive.id and state = 'waiting' order by ordinal limit p_count) m;
  if v_members is null then
    return 0;
  end if;
  -- Batches first, as every writer of their rows does, and in one order.
  select array_agg(b.id), array_agg(b.workflow_id) into v_batches, v_workflows
  from (select id, workflow_id from outbox.batches
        where id in (select d.batch_id from unnest(v_members) m join outbox.deliveries d on d.event_id = m.event_id and d.destination = m.destination)
        order by id for update) b;
  select array_agg(m order by m.ordinal) into v_fit
  from unnest(v_members) m
  join outbox.deliveries d on d.event_id = m.event_id and d.destination = m.destination and d.state = 'parked' and d.park_no = m.park_no
                          and d.batch_id = any (v_batches)
  join outbox.dead_letters l on l.id = m.letter_id and l.resolved_at is null;
  update outbox.redrive_members s set state = 'skipped', why = outbox.why_skipped(s.letter_id), step = p_redrive.step
  from unnest(v_members) m
  where s.redrive_id = p_redrive.id and s.ordinal = m.ordinal
    and not exists (select from unnest(v_fit) f where f.ordinal = m.ordinal);
  get diagnostics v_skipped = row_count;

  update outbox.redrive_members s
  set state = case p_redrive.action when 'discard' then 'done' else 'sent' end, step = p_redrive.step, sent_at = clock_timestamp(),
      tries = case p_redrive.action when 'redirect' then 0 else d.tries end
  from unnest(v_fit) m join outbox.deliveries d on d.event_id = m.event_id and d.destination = m.destination
  where s.redrive_id = p_redrive.id and s.ordinal = m.ordinal;
  if p_redrive.action = 'retry' then
    -- The policy starts afresh, with the same key. The row keeps its seq, and so its place among those of its key.
    update outbox.deliveries d set state = 'pending', batch_id = null, attempts = 0, unreachable = 0, first_attempt_at = null
    from unnest(v_fit) m where d.event_id = m.event_id and d.destination = m.destination;
  elsif p_redrive.action = 'discard' then
    for v_gone in
      with gone as (
        delete from outbox.deliveries d using unnest(v_fit) m where d.event_id = m.event_id and d.destination = m.destination
        returning d.destination, d.key
      )
      select destination, array_agg(key) as keys from gone where key is not null group by destination
    loop
      perform outbox.release_keys(v_gone.destination, v_gone.keys);
    end loop;
  else
    if p_redrive.action = 'redirect' and exists (select from outbox.destinations where name = p_redrive.redirect_to and ordering = 'key') then
      perform outbox.lock_keys(array(select outbox.key_of(m.event_id) from unnest(v_fit) m)); -- they go to the tail there
    end if;
    foreach v_member in array coalesce(v_fit, '{}') loop
      begin
        perform outbox.act_on_member(p_redrive, v_member);
      exception when raise_exception or check_violation then
        update outbox.redrive_members
        set state = 'skipped', sent_at = null,
            why = case sqlstate when '23514' then 'the edited payload does not fit: 1 MiB at most' else left(sqlerrm, 300) end
        where redrive_id = p_redrive.id and ordinal = v_member.ordinal;
        v_skipped := v_skipped + 1;
      end;
    end loop;
  end if;

  update outbox.dead_letters l
  set resolved_at = now(), resolution = p_redrive.action, resolved_by = p_redrive.started_by, resolution_reason = p_redrive.reason,
      redirected_to = p_redrive.redirect_to, command_id = 'redrive/' || p_redrive.id
  from unnest(v_fit) f join outbox.redrive_members m on m.redrive_id = p_redrive.id and m.ordinal = f.ordinal and m.state <> 'skipped'
  where l.id = f.letter_id;
  delete from outbox.batches b
  where b.id = any (v_batches) and not exists (select from outbox.deliveries d where d.batch_id = b.id);
  insert into outbox.redrive_workflows (redrive_id, workflow_id) select p_redrive.id, w from unnest(v_workflows) w on conflict do nothing;
  update outbox.redrives r
  set reached = v_members[cardinality(v_members)].ordinal, acted = acted + cardinality(v_members) - v_skipped, skipped = skipped + v_skipped,
      done = done + case when action = 'discard' then cardinality(v_members) - v_skipped else 0 end
  where r.id = p_redrive.id;
  return cardinality(v_members);
end $$;

-- Goes on with a redrive as far as it may now: sees what became of the last step, stops it, or acts on what is next. One transaction under
-- the row's lock, so two at once, or one repeated, do no more than one. Answers the standing and `waitMs`, when to come again; null: after a
-- command only.
create function outbox.advance_redrive(p_id bigint) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  c_at_once constant integer := 500; -- a transaction's locks are soon let go
  r         outbox.redrives;
  v_why     text;
  v_listed  integer;
  v_free    boolean; -- past the steps, at its rate
  v_waiting boolean; -- for answers
  v_count   integer;
  v_wait    integer := 250;
begin
  select * into r from outbox.redrives where id = p_id for update;
  if not found then
    return null;
  end if;
  perform outbox.look_at_redrive(p_id);
  update outbox.redrives set seen_at = now() where id = p_id returning * into r;
  if r.ended_at is null and r.state <> 'previewed' then
    v_why := outbox.why_redrive_stops(r);
    if v_why is not null then
      perform outbox.end_redrive(p_id, 'stopped', v_why);
      r.ended_at := now();
    end if;
  end if;
  if r.ended_at is not null or r.state = 'previewed' or r.paused_at is not null then
    return outbox.redrive_standing(p_id) || '{"waitMs": null}';
  end if;

  v_waiting := r.acted > r.done + r.failed + r.failing;
  if not exists (select from outbox.redrive_members where redrive_id = p_id and state = 'waiting') then
    if not v_waiting then
      perform outbox.end_redrive(p_id, 'done', null);
      return outbox.redrive_standing(p_id) || '{"waitMs": null}';
    end if;
    return outbox.redrive_standing(p_id) || jsonb_build_object('waitMs', v_wait);
  end if;

  v_listed := cardinality(r.steps);
  v_free := r.rate is not null and r.step > v_listed;
  if r.step_left = 0 and not v_free then
    if r.step > 0 and v_waiting then
      return outbox.redrive_standing(p_id) || jsonb_build_object('waitMs', v_wait);
    end if;
    v_free := r.rate is not null and r.step >= v_listed;
    update outbox.redrives
    set step = r.step + 1, step_after = r.reached, step_left = case when v_free then 0 else r.steps[least(r.step + 1, v_listed)] end,
        state = case when r.step = 0 then 'canary' else 'running' end
    where id = p_id returning * into r;
  end if;

  v_count := case when v_free then c_at_once else least(r.step_left, c_at_once) end;
  if r.rate is not null then
    -- At most a second's worth at once, however long it stood still.
    r.tokens := least(greatest(r.rate, 1),
                      r.tokens + coalesce(r.rate * extract(epoch from clock_timestamp() - r.tokens_at), 1));
    v_count := least(v_count, floor(r.tokens)::integer);
    update outbox.redrives set tokens = r.tokens - v_count, tokens_at = clock_timestamp() where id = p_id;
    v_wait := greatest(100, least(250, ceil(1000.0 / r.rate)))::integer;
  elsif r.step_left > v_count or r.action = 'discard' then
    v_wait := 0;
  end if;
  if v_count > 0 then
    v_count := outbox.act_on_members(r, v_count);
    update outbox.redrives set step_left = greatest(step_left - v_count, 0) where id = p_id;
  end if;
  return outbox.redrive_standing(p_id) || jsonb_build_object('waitMs', v_wait);
end $$;

-- Commands ------------------------------------------------------------------------------------------------------------------------------

-- Carries out { action: start | pause | resume | cancel, actor, reason, commandId, workflowId }. Answers { outcome, message, events }; one line
-- in the audit, refusals too, and a command acts once.
create function outbox.command_redrive(p_id bigint, p_command jsonb, p_via text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_workflow text := outbox.workflow_prefix() || 'redrive/' || p_id;
  v_action   text := p_command ->> 'action';
  v_who      text := coalesce(left(p_command ->> 'actor', 200), 'somebody');
  v_earlier  outbox.audit;
  r          outbox.redrives;
  v_refusal  text;
  v_message  text;
  v_count    integer := 0;
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
  return outbox.note_command(v_workflow, p_via, p_command, 'done', left(v_message, 1000), v_count, null, null);
end $$;

-- Redrives whose workflow has said nothing for a while.
create function outbox.silent_redrives(p_age interval) returns table (id bigint, workflow_id text)
language sql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
  select r.id, r.workflow_id from outbox.redrives r
  where r.state in ('canary', 'running') and coalesce(r.seen_at, r.started_at) < now() - p_age
$$;

-- Workflows to be told that what they held was let go; p_told: those that know it now.
create function outbox.redrive_untold(p_id bigint, p_told text[], p_limit integer) returns setof text
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  delete from outbox.redrive_workflows where redrive_id = p_id and workflow_id = any (p_told);
  return query select w.workflow_id from outbox.redrive_workflows w where w.redrive_id = p_id order by 1 limit p_limit;
end $$;

-- Order per key: a parked delivery holds up those behind it, not those before it. Several of one key may be parked (outbox.park_pending), and
-- the first ones alone be sent again. ------------------------------------------------------------------------------------------------------

drop index outbox.deliveries_key_held;
create index deliveries_key_held on outbox.deliveries (destination, key, state, seq)
  where key is not null and state in ('claimed', 'retry', 'parked');

-- The first parked delivery of a key; null: none.
create function outbox.first_parked(p_destination text, p_key text) returns bigint
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select d.seq from outbox.deliveries d where d.destination = p_destination and d.key = p_key and d.state = 'parked' order by d.seq limit 1
$$;

-- As before (0021), but what is parked holds up only what is behind it.
create or replace function outbox.take_keyed(
  p_lane text, p_after bigint, p_count integer, p_batch uuid default null, out taken tid[], out last_seq bigint
)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  -- A batch sends a key's rows one after another; more than this would wait in it for long.
  c_per_key constant integer := 100;
  c_look    constant integer := 100;
  c_end     constant bigint  := 9223372036854775807;
  v_seen  tid[];
  v_keys  text[];
  v_free  text[];
  v_room  integer[]; -- of each free key
  v_until bigint[];  -- of each free key: its first parked row, which holds up those behind it
  v_held  text[];
  v_taken text[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'claims of a lane that keeps order need the isolation level read committed, not %', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state', hint = 'Set default_transaction_isolation for the role of the relay.';
  end if;
  select array_agg(t.ctid), array_agg(distinct t.key) filter (where t.key is not null) into v_seen, v_keys
  from (select d.ctid, d.key from outbox.deliveries d
        where d.destination = p_lane and d.state = 'pending' and d.seq > p_after
        order by d.seq limit greatest(p_count, c_look) for update skip locked) t;
  if v_seen is null then
    return;
  end if;

  select array_agg(k), array_agg(c_per_key - h.mine), array_agg(h.until) into v_free, v_room, v_until
  from unnest(v_keys) k
  cross join lateral (select count(*)::integer as mine, coalesce(bool_or(not o.joinable), false) as others,
                             coalesce(outbox.first_parked(p_lane, k), c_end) as until
                      from (select p_batch is not null and d.batch_id = p_batch and d.state = 'claimed' as joinable from outbox.deliveries d
                            where d.destination = p_lane and d.key = k and d.state in ('claimed', 'retry')
                            limit case when p_batch is null then 1 else c_per_key end) o) h
  where not h.others and h.mine < c_per_key
    and (h.until = c_end or exists (select from outbox.deliveries d where d.destination = p_lane and d.key = k
                                      and d.state in ('pending', 'blocked') and d.seq < h.until));
  if cardinality(v_free) is distinct from cardinality(v_keys) then
    -- By address: what changes meanwhile is not found by it any more, and its key is left as it is.
    select array_agg(k) into v_held
    from unnest(v_keys) k
    cross join lateral (select from outbox.deliveries d
                        where d.ctid = coalesce(
                          (select h.ctid from outbox.deliveries h
                           where h.destination = p_lane and h.key = k and h.state in ('claimed', 'retry') limit 1),
                          (select h.ctid from outbox.deliveries h
                           where h.destination = p_lane and h.key = k and h.state = 'parked' order by h.seq limit 1))
                        for no key update skip locked) h
    where v_free is null or k <> all (v_free);
  end if;

  -- A key's rows up to the first that somebody else has locked.
  with chain as materialized (
    select c.at, c.seq, k.key, row_number() over (partition by k.key order by c.seq) as n
    from unnest(v_free, v_room, v_until) k(key, room, until)
    cross join lateral (
      select d.ctid as at, d.seq from outbox.deliveries d
      where d.destination = p_lane and d.key = k.key and d.state in ('pending', 'blocked') and d.seq < k.until
      order by d.seq limit least(k.room, ceil(2.0 * p_count / cardinality(v_free)))) c
  ), locked as materialized (
    select d.ctid as at from outbox.deliveries d
    where d.ctid = any (array(select at from chain)) and d.state in ('pending', 'blocked') for update skip locked
  ), whole as (
    select c.*, bool_and(l.at is not null) over (partition by c.key order by c.n) as unbroken
    from chain c left join locked l on l.at = c.at
  ), chosen as (
    select at, seq, key from (
      select at, seq, key, n from whole where unbroken
      union all
      select d.ctid, d.seq, null, 1 from outbox.deliveries d where d.ctid = any (v_seen) and d.key is null
    ) c
    order by n, seq limit p_count
  )
  select array_agg(at), max(seq), array_agg(distinct key) filter (where key is not null) into taken, last_seq, v_taken from chosen;

  update outbox.deliveries d set state = 'blocked'
  where d.ctid = any (v_seen) and d.key = any (coalesce(v_held, '{}') || coalesce(v_taken, '{}'))
    and (taken is null or d.ctid <> all (taken));
end $$;

-- As before (0012), with the same exception.
create or replace function outbox.release_keys(p_destination text, p_keys text[]) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_heads tid[];
begin
  select array_agg(h.at) filter (where h.state = 'blocked') into v_heads
  from (select distinct k from unnest(p_keys) k) k
  cross join lateral (
    select d.ctid as at, d.state, d.seq from outbox.deliveries d
    where d.destination = p_destination and d.key = k.k and d.state in ('pending', 'blocked')
    order by d.seq limit 1 for update) h
  where not exists (select from outbox.deliveries o
                    where o.destination = p_destination and o.key = k.k and o.state in ('claimed', 'retry'))
    and coalesce(outbox.first_parked(p_destination, k.k) > h.seq, true);
  if v_heads is not null then
    update outbox.deliveries d set state = 'pending' where d.ctid = any (v_heads);
  end if;
end $$;

-- As before (0012), with the same exception.
create or replace function outbox.wake_stranded(p_lanes text[]) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_stranded record;
  v_count    integer := 0;
begin
  for v_stranded in
    select k.destination, array_agg(k.key) as keys
    from (select destination, key, min(seq) as seq from outbox.deliveries
          where state = 'blocked' and key is not null and destination = any (p_lanes) group by 1, 2) k
    where not exists (select from outbox.deliveries o
                      where o.destination = k.destination and o.key = k.key and o.state in ('claimed', 'retry'))
      and coalesce(outbox.first_parked(k.destination, k.key) > k.seq, true)
      and not exists (select from outbox.deliveries o
                      where o.destination = k.destination and o.key = k.key and o.state = 'pending')
    group by k.destination
  loop
    perform outbox.release_keys(v_stranded.destination, v_stranded.keys);
    v_count := v_count + cardinality(v_stranded.keys);
  end loop;
  return v_count;
end $$;

-- As before (0026), and redrives.
create or replace function outbox.purge(p_what text, p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_oldest uuid := outbox.uuid7_floor(now() - outbox.retention_of('events'));
  v_count  integer;
begin
  if p_what = 'causes' then
    begin
      lock table outbox.causes in share row exclusive mode nowait;
    exception when lock_not_available then
      return 0;
    end;
  end if;
  case p_what
    when 'deadLetters' then
      delete from outbox.dead_letters where id = any (array(
        select id from outbox.dead_letters
        where resolved_at < now() - outbox.retention_of('deadLetters') order by resolved_at limit p_limit));
    when 'causes' then
      delete from outbox.causes where id = any (array(
        select c.id from outbox.causes c
        where c.noticed_at < now() - interval '1 day' and not exists (select from outbox.dead_letters l where l.cause = c.id) limit p_limit));
    when 'redrives' then
      -- With their members. A preview that nobody started is old after a day.
      delete from outbox.redrives where id = any (array(
        select id from outbox.redrives
        where ended_at < now() - outbox.retention_of('audit') or state = 'previewed' and made_at < now() - interval '1 day'
        order by id limit least(p_limit, 20)));
    when 'audit' then
      -- In order of id, and so of time: it stops at the first chunk that is young.
      delete from outbox.audit where id = any (array(
        select id from (select id, at from outbox.audit order by id limit p_limit) t where at < now() - outbox.retention_of('audit')));
    when 'revisions' then
      -- The text of an edit goes with the text of the event.
      delete from outbox.revisions where ctid = any (array(
        select r.ctid from outbox.revisions r
        where r.event_id < v_oldest
          and not exists (select from outbox.deliveries d where d.event_id = r.event_id and d.destination = r.destination) limit p_limit));
    when 'eventsKept' then
      delete from outbox.events_kept where id = any (array(
        select k.id from outbox.events_kept k
        where not exists (select from outbox.deliveries d where d.event_id = k.id) limit p_limit));
    when 'attemptsKept' then
      delete from outbox.attempts_kept where ctid = any (array(
        select k.ctid from outbox.attempts_kept k
        where not exists (select from outbox.deliveries d where d.event_id = k.event_id and d.destination = k.destination) limit p_limit));
    when 'unrouted' then
      delete from outbox.unrouted where event_id = any (array(
        select event_id from outbox.unrouted where event_id < v_oldest order by event_id limit p_limit));
    when 'dedupKeys' then
      delete from outbox.event_dedup_keys where event_id = any (array(
        select event_id from outbox.event_dedup_keys
        where event_id < outbox.uuid7_floor(now() - outbox.retention_of('dedupKeys')) order by event_id limit p_limit));
    when 'configRevisions' then
      delete from outbox.config_revisions
      where applied_at < now() - outbox.retention_of('audit') and revision < (select config_revision from outbox.settings);
  end case;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
