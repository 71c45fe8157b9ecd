-- What consumers from queues need beside the marks: attempts counted before they begin, and what a person has to look at.

-- One row for each message that is being attempted, or failed and is to be attempted again. Gone once it had its effect.
create table outbox_inbox.attempts (
  consumer   text collate "C" not null,
  message_id text collate "C" not null,
  first_at   timestamptz not null default now(),
  -- Attempts that ended with a failure that is the message's.
  failed     integer not null default 0,
  -- Attempts whose process ended with them.
  deaths     integer not null default 0,
  -- The process that is at work on it; null: nobody is, as far as is known here.
  runner     uuid,
  primary key (consumer, message_id)
) with (fillfactor = 70);

create table outbox_inbox.parked (
  -- In the order of arrival, which is the order within a key.
  id              bigint generated always as identity primary key,
  consumer        text collate "C" not null,
  -- As it came; null for messages without a usable one.
  message_id      text collate "C",
  -- Whose order is kept; null where none is.
  key             text collate "C",
  type            text,
  -- Where it came from: `rabbitmq orders`.
  source          text not null,
  headers         jsonb not null,
  content_type    text,
  body            bytea not null,
  -- parked: waits for a person; retrying: is attempted at next_at; waiting: behind an earlier one of its key.
  state           text not null,
  reason          text,
  last_error      text,
  failed          integer not null default 0,
  deaths          integer not null default 0,
  arrived_at      timestamptz not null default now(),
  parked_at       timestamptz,
  next_at         timestamptz,
  resolved_at     timestamptz,
  -- applied: it had its effect; discarded: it never will.
  resolution      text,
  resolved_by     text,
  resolved_reason text,
  -- When a discarded one was told to the consumer's onDiscard.
  told_at         timestamptz,
  constraint parked_state_is_known check (state in ('parked', 'retrying', 'waiting', 'resolved')),
  constraint parked_resolution_is_known check (resolution in ('applied', 'discarded')),
  constraint parked_is_resolved_whole check ((state = 'resolved') = (resolved_at is not null) and (resolved_at is null) = (resolution is null))
);
create unique index parked_once on outbox_inbox.parked (consumer, message_id) where resolved_at is null;
create index parked_by_key on outbox_inbox.parked (consumer, key, id) where resolved_at is null;
create index parked_due on outbox_inbox.parked (consumer, next_at) where state in ('retrying', 'waiting');
create index parked_untold on outbox_inbox.parked (consumer, id) where resolution = 'discarded' and told_at is null;

-- Who did what to a parked message, refusals too.
create table outbox_inbox.parked_audit (
  id        bigint generated always as identity primary key,
  parked_id bigint not null,
  at        timestamptz not null default now(),
  action    text not null,
  actor     text not null,
  reason    text,
  -- done, or why not.
  outcome   text not null
);
create index parked_audit_by_message on outbox_inbox.parked_audit (parked_id, id);

-- Before handlers run, for as many messages as came at once:
--   go       counted, begin
--   suspect  a process ended with it before: not counted yet, to be begun alone by outbox_inbox.begin_alone
--   kept     it lies in outbox_inbox.parked: acknowledge
--   behind   an earlier message of its key does: to be kept behind that
-- p_kept: the message comes out of outbox_inbox.parked, so that neither of the last two is asked.
create function outbox_inbox.begin_attempts(p_consumer text, p_runner uuid, p_ids text[], p_keys text[], p_kept boolean[])
returns table (message_id text, verdict text, failed integer, deaths integer, first_at_ms float8)
language plpgsql as $$
#variable_conflict use_column
begin
  -- A crash of the server may lose a count; one of the consumer, which is what is counted, loses nothing.
  perform set_config('synchronous_commit', 'off', true);
  return query
  with given as (
    select g.id, g.key, g.kept from unnest(p_ids, p_keys, p_kept) as g (id, key, kept)
  ), judged as materialized (
    select g.id,
      case
        when g.kept then 'go'
        when exists (select from outbox_inbox.parked p where p.consumer = p_consumer and p.message_id = g.id and p.resolved_at is null) then 'kept'
        when g.key is not null
          and exists (select from outbox_inbox.parked p where p.consumer = p_consumer and p.key = g.key and p.resolved_at is null) then 'behind'
        else 'go'
      end as verdict
    from given g
  ), begun as (
    insert into outbox_inbox.attempts as a (consumer, message_id, runner)
    select p_consumer, j.id, p_runner from judged j where j.verdict = 'go' order by j.id
    on conflict (consumer, message_id) do update set
      deaths = a.deaths + case when a.runner <> excluded.runner then 1 else 0 end,
      runner = case when a.deaths > 0 or a.runner <> excluded.runner then null else excluded.runner end
    returning a.message_id as id, a.failed, a.deaths, a.first_at
  )
  select j.id, case when b.deaths > 0 then 'suspect' else j.verdict end, coalesce(b.failed, 0), coalesce(b.deaths, 0),
    extract(epoch from b.first_at)::float8 * 1000
  from judged j left join begun b on b.id = j.id;
end $$;

create function outbox_inbox.begin_alone(p_consumer text, p_runner uuid, p_id text) returns void
language sql as $$
  update outbox_inbox.attempts set runner = p_runner where consumer = p_consumer and message_id = p_id
$$;

-- An attempt ended and the process did not: with a failure of the message's, or without one.
create function outbox_inbox.end_attempt(p_consumer text, p_id text, p_charged boolean) returns integer
language sql as $$
  update outbox_inbox.attempts set failed = failed + case when p_charged then 1 else 0 end, runner = null
  where consumer = p_consumer and message_id = p_id
  returning failed
$$;

-- They had their effect. What is left behind by a process that ended before this does no harm.
create function outbox_inbox.forget_attempts(p_consumer text, p_ids text[]) returns void
language plpgsql as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  delete from outbox_inbox.attempts where consumer = p_consumer and message_id = any (p_ids);
end $$;

-- Keeps a message here, so that the queue can be told that it is done with. Once for each message id.
--   kept         it is there now, or was already
--   in-progress  another transaction is at work on it
--   applied      it had its effect in the meantime
create function outbox_inbox.keep(
  p_consumer text, p_message_id text, p_key text, p_type text, p_source text, p_headers jsonb, p_content_type text, p_body bytea,
  p_state text, p_reason text, p_error text, p_delay_ms float8, out outcome text, out id bigint
) language plpgsql as $$
declare
  v_parsed  text[] := regexp_match(p_message_id, '^([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}):r([1-9][0-9]{0,8})$');
  v_attempt record;
begin
  if p_state = 'parked' and p_message_id is not null then
    begin
      select c.outcome into keep.outcome
      from outbox_inbox.claim(p_consumer, coalesce(v_parsed[1], p_message_id), coalesce(v_parsed[2]::integer, 1), null, 'refuse', 0) c;
      -- Asked, not taken: the mark goes back.
      raise exception using errcode = 'OI003';
    exception when sqlstate 'OI003' then null;
    end;
    if keep.outcome = 'in-progress' then return; end if;
    if keep.outcome in ('duplicate', 'superseded', 'skipped') and p_reason <> 'conflict' then
      delete from outbox_inbox.attempts a where a.consumer = p_consumer and a.message_id = p_message_id;
      keep.outcome := 'applied';
      return;
    end if;
  end if;
  keep.outcome := 'kept';
  select a.failed, a.deaths into v_attempt from outbox_inbox.attempts a where a.consumer = p_consumer and a.message_id = p_message_id;
  insert into outbox_inbox.parked as p (consumer, message_id, key, type, source, headers, content_type, body, state, reason, last_error,
    failed, deaths, parked_at, next_at)
  values (p_consumer, p_message_id, p_key, p_type, p_source, p_headers, p_content_type, p_body, p_state, p_reason, p_error,
    coalesce(v_attempt.failed, 0), coalesce(v_attempt.deaths, 0), case p_state when 'parked' then now() end,
    now() + p_delay_ms * interval '1 millisecond')
  on conflict (consumer, message_id) where resolved_at is null do nothing
  returning p.id into keep.id;
  if p_state <> 'retrying' then
    delete from outbox_inbox.attempts a where a.consumer = p_consumer and a.message_id = p_message_id;
  end if;
end $$;

-- What became of a kept message's attempt that failed: tried again at next_at, or parked.
create function outbox_inbox.keep_on(p_id bigint, p_state text, p_reason text, p_error text, p_delay_ms float8) returns void
language plpgsql as $$
begin
  update outbox_inbox.parked p set state = p_state, reason = p_reason, last_error = p_error,
    failed = coalesce(a.failed, p.failed), deaths = coalesce(a.deaths, p.deaths),
    parked_at = case p_state when 'parked' then now() else p.parked_at end,
    next_at = now() + p_delay_ms * interval '1 millisecond'
  from (select 1) one left join lateral (
    select t.failed, t.deaths from outbox_inbox.attempts t, outbox_inbox.parked k
    where k.id = p_id and t.consumer = k.consumer and t.message_id = coalesce(k.message_id, 'parked/' || k.id)
  ) a on true
  where p.id = p_id and p.resolved_at is null;
  if p_state = 'parked' then
    delete from outbox_inbox.attempts t using outbox_inbox.parked k
    where k.id = p_id and t.consumer = k.consumer and t.message_id = coalesce(k.message_id, 'parked/' || k.id);
  end if;
end $$;

-- Kept messages that may be attempted now: of each key the first only. They are leased for p_lease_ms.
create function outbox_inbox.due(p_consumer text, p_limit integer, p_lease_ms float8) returns setof outbox_inbox.parked
language sql as $$
  update outbox_inbox.parked p set next_at = now() + p_lease_ms * interval '1 millisecond'
  where p.id in (
    select d.id from outbox_inbox.parked d
    where d.consumer = p_consumer and d.state in ('retrying', 'waiting') and (d.next_at is null or d.next_at <= now())
      and (d.key is null or not exists (
        select from outbox_inbox.parked e where e.consumer = d.consumer and e.key = d.key and e.id < d.id and e.resolved_at is null))
    order by d.id limit p_limit for update skip locked)
  returning p.*
$$;

create function outbox_inbox.extend(p_id bigint, p_lease_ms float8) returns void
language sql as $$
  update outbox_inbox.parked set next_at = now() + p_lease_ms * interval '1 millisecond'
  where id = p_id and state in ('retrying', 'waiting')
$$;

-- In the transaction of the effect. False: somebody resolved it otherwise meanwhile.
create function outbox_inbox.applied(p_id bigint) returns boolean
language sql as $$
  with resolved as (
    update outbox_inbox.parked set state = 'resolved', resolved_at = now(), resolution = 'applied', next_at = null
    where id = p_id and resolved_at is null returning 1)
  select exists (select from resolved)
$$;

-- A person's word, once: retry (with p_body or p_headers: edited first) or discard. Answers `done` or why not, and writes down either.
create function outbox_inbox.resolve_parked(
  p_id bigint, p_action text, p_actor text, p_reason text, p_body bytea default null, p_headers jsonb default null
) returns text
language plpgsql as $$
declare
  v_row     outbox_inbox.parked;
  v_name    text;
  v_parsed  text[];
  v_claim   text;
  v_outcome text := 'done';
begin
  select * into v_row from outbox_inbox.parked where id = p_id for update;
  if not found then return 'not found'; end if;
  v_name := coalesce(v_row.message_id, 'parked/' || v_row.id);
  if v_row.resolved_at is not null then
    v_outcome := format('it was %s already', v_row.resolution);
  elsif p_action = 'discard' then
    v_parsed := regexp_match(v_name, '^([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}):r([1-9][0-9]{0,8})$');
    -- The mark makes sure that it has no effect later, should the queue deliver it once more.
    select c.outcome into v_claim
    from outbox_inbox.claim(v_row.consumer, coalesce(v_parsed[1], v_name), coalesce(v_parsed[2]::integer, 1), null, 'skip', 0) c;
    if v_claim = 'in-progress' then
      v_outcome := 'it is being processed at this moment';
    else
      update outbox_inbox.parked set state = 'resolved', resolved_at = now(), resolution = 'discarded', next_at = null,
        resolved_by = p_actor, resolved_reason = p_reason where id = p_id;
      delete from outbox_inbox.attempts where consumer = v_row.consumer and message_id = v_name;
    end if;
  elsif v_row.state <> 'parked' then
    v_outcome := format('it is not parked any more but %s', v_row.state);
  else
    update outbox_inbox.parked set state = 'retrying', next_at = now(), resolved_by = p_actor, resolved_reason = p_reason,
      failed = 0, deaths = 0, body = coalesce(p_body, body), headers = headers || coalesce(p_headers, '{}') where id = p_id;
    delete from outbox_inbox.attempts where consumer = v_row.consumer and message_id = v_name;
  end if;
  insert into outbox_inbox.parked_audit (parked_id, action, actor, reason, outcome) values (p_id, p_action, p_actor, p_reason, v_outcome);
  return v_outcome;
end $$;
