-- Why dead letters are parked: letters of one destination, class, status and error are one cause. What differs from event to event in an
-- error (numbers, ids, times, addresses, quoted values) is taken out, so that 100,000 letters are a few dozen causes.
--
-- A cause's id is a digest of these four: it is computed, not looked up, so parking reads nothing more, and the same cause has the same id
-- in every database. There is no foreign key: it would lock the cause's row at every letter.

create table outbox.causes (
  id          text collate "C" primary key,
  destination text collate "C" not null,
  class       text not null, -- the last error's class; the reason to be parked where nothing had failed
  status      integer,
  error       text not null,
  noticed_at  timestamptz not null default now(),
  note        text,
  owner       text,
  noted_by    text,
  noted_at    timestamptz,
  constraint causes_note_is_short check (octet_length(note) <= 4000 and octet_length(owner) <= 400)
);

alter table outbox.dead_letters add column cause text collate "C";

-- Indexes alone answer how many there are once a vacuum has passed. Letters are mostly inserted, and by default a fifth of the table comes first.
alter table outbox.dead_letters set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 5000);

-- An error without what differs from event to event; at most 300 characters. Of an answer in JSON what it says in the usual members (RFC 9457
-- and its like) is taken, of other answers the text. "C": the same everywhere, whatever the database's locale calls a letter.
create function outbox.cause_text(p_message text, p_excerpt text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_text text collate "C";
begin
  if p_excerpt ~ '^\s*[{[]' then
    select string_agg(left(m[2], 200), ': ') into v_text
    from regexp_matches(p_excerpt collate "C",
      '"(title|detail|details|message|error|error_description|description|reason|code)"\s*:\s*"((?:[^"\\]|\\.)+)', 'gi') m;
  end if;
  if v_text is null and p_excerpt ~ '\S' then
    v_text := left(p_excerpt, 1000);
    if v_text ~ '[<\\]' then
      v_text := regexp_replace(v_text, '<[^<>]{1,250}>|\\[nrt]', ' ', 'g');
    end if;
  end if;
  -- The address and the status are known beside it.
  v_text := left(coalesce(v_text, regexp_replace(p_message, '^[A-Z]{3,7} \S+ answered [0-9]{3} ?', ''), ''), 1000);
  -- Looking for a character first spares most texts most expressions.
  if position('://' in v_text) > 0 then
    v_text := regexp_replace(v_text, '\m[a-z][a-z0-9+.-]{1,15}://[^\s"''<>)\]]+', '<url>', 'gi');
  end if;
  if position('@' in v_text) > 0 then
    v_text := regexp_replace(v_text, '[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)+', '<email>', 'g');
  end if;
  if v_text ~ '["“«`]' then
    v_text := regexp_replace(v_text, '"[^"]{0,250}"|“[^”]{0,250}”|«[^»]{0,250}»|`[^`]{0,250}`', '"…"', 'g');
  end if;
  if position('''' in v_text) > 0 then
    v_text := regexp_replace(v_text, '(^|[\s(\[{=:,])''[^'']{0,250}''(?![[:alnum:]])', '\1"…"', 'g');
  end if;
  v_text := regexp_replace(v_text, '[[:alnum:]_.+-]*[0-9]([[:alnum:]_.:,+-]*[[:alnum:]_])?|[[:alnum:]_/+=-]{24,}', '#', 'g');
  return left(btrim(regexp_replace(regexp_replace(v_text, '#(\s*#)+', '#', 'g'), '\s+', ' ', 'g')), 300);
end $$;

create function outbox.cause_id(p_destination text, p_class text, p_status integer, p_error text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select left(md5(p_destination || e'\n' || p_class || e'\n' || coalesce(p_status::text, '') || e'\n' || p_error), 12)
$$;

-- Parks rows of a batch: p_rows is an array of { seq, reason, status, errorClass, message, excerpt }.
-- `at <= now()` spares a look into each of the thirty partitions made ahead.
create or replace function outbox.park_rows(p_batch uuid, p_rows jsonb) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
  v_lane  text;
  v_pass  text[]; -- keys that the parked rows let pass
begin
  select b.lane, array_agg(d.key) into v_lane, v_pass
  from outbox.batches b
  join outbox.destinations t on t.name = b.lane and t.ordering = 'key' and t.on_park = 'skip'
  join outbox.deliveries d on d.batch_id = b.id and d.key is not null
  join jsonb_to_recordset(p_rows) as g(seq bigint) on g.seq = d.seq
  where b.id = p_batch group by b.lane;

  with given as (
    select * from jsonb_to_recordset(p_rows)
      as g(seq bigint, reason text, status integer, "errorClass" text, message text, excerpt text)
  ), parked as (
    update outbox.deliveries d
    set state = 'parked', due_at = null, park_no = d.park_no + 1, key = case when v_pass is null then d.key end
    from given g where d.batch_id = p_batch and d.seq = g.seq and d.state in ('claimed', 'retry')
    returning d.*
  ), failed as (
    select p.*, g.reason, coalesce(g.status, a.status) as status, coalesce(g."errorClass", a.error_class) as class,
           coalesce(g.message, a.message) as message,
           outbox.cause_text(coalesce(g.message, a.message), case when g.message is null then a.excerpt else g.excerpt end) as error
    from parked p
    join given g on g.seq = p.seq
    left join lateral (select * from outbox.attempts t where t.event_id = p.event_id and t.destination = p.destination
                         and t.at <= now() order by t.at desc limit 1) a on g.message is null
  ), letters as materialized (
    select f.*, outbox.cause_id(f.destination, coalesce(f.class, f.reason), f.status, f.error) as cause from failed f
  ), known as (
    -- Mostly it is there. Its table's lock, held to the end of the transaction, keeps a cause from being cleared away meanwhile.
    insert into outbox.causes (id, destination, class, status, error)
    select distinct on (l.cause) l.cause, l.destination, coalesce(l.class, l.reason), l.status, l.error from letters l
    where not exists (select from outbox.causes c where c.id = l.cause)
    order by l.cause
    on conflict (id) do nothing
  )
  insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries,
                                   last_status, last_error_class, last_error, cause)
  select l.event_id, coalesce(e.type, '(erased)'), l.destination, b.workflow_id, l.park_no, l.revision, l.reason, l.attempts, l.tries,
         l.status, l.class, l.message, l.cause
  from letters l
  join outbox.batches b on b.id = p_batch
  left join lateral (select type from outbox.events where id = l.event_id
                     union all select type from outbox.events_kept where id = l.event_id limit 1) e on true
  order by l.seq;
  get diagnostics v_count = row_count;
  if v_pass is not null then
    perform outbox.release_keys(v_lane, v_pass);
  end if;
  return v_count;
end $$;

-- As before (0006); the excerpt goes along to what is parked.
create or replace function outbox.record_failures(p_batch uuid, p_run integer, p_rows jsonb) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.batches set open = case when active then greatest(open - jsonb_array_length(p_rows), 0) else open end
  where id = p_batch and run = p_run;
  if not found then
    return false;
  end if;

  with given as (
    select * from jsonb_to_recordset(p_rows) as g(seq bigint, tries integer, charged boolean, park text, "delayMs" double precision, status integer,
      "errorClass" text, message text, excerpt text, "durationMs" double precision, address text, headers jsonb)
  ), tried as (
    update outbox.deliveries d
    set tries = d.tries + 1, attempts = d.attempts + g.charged::int, unreachable = case when g.charged then 0 else d.unreachable + 1 end,
        state = 'retry', due_at = now() + coalesce(g."delayMs", 0) * interval '1 ms',
        first_attempt_at = coalesce(d.first_attempt_at, outbox.clock_of(d.destination) - coalesce(g."durationMs", 0) * interval '1 ms')
    from given g
    where d.batch_id = p_batch and d.seq = g.seq and d.tries = g.tries and d.state in ('claimed', 'retry')
    returning d.event_id, d.destination, d.revision, d.tries, d.seq
  )
  insert into outbox.attempts (event_id, destination, revision, try, duration_ms, address, headers, status, error_class, message, excerpt, charged)
  select t.event_id, t.destination, t.revision, t.tries, round(g."durationMs"), g.address, g.headers, g.status, g."errorClass", g.message,
         g.excerpt, g.charged
  from tried t join given g on g.seq = t.seq;
  -- The first five and the last twenty of a delivery are kept. Rare: a policy has a dozen attempts.
  if exists (select from jsonb_array_elements(p_rows) r where (r ->> 'tries')::integer >= 25) then
    delete from outbox.attempts a
    using outbox.deliveries d
    where d.batch_id = p_batch and d.tries > 25
      and a.event_id = d.event_id and a.destination = d.destination and a.at <= now() and a.try = d.tries - 20;
  end if;

  perform outbox.return_tails(p_batch, array(select (r ->> 'seq')::bigint from jsonb_array_elements(p_rows) r));
  perform outbox.park_rows(p_batch, parked.rows)
  from (select jsonb_agg(jsonb_build_object('seq', r -> 'seq', 'reason', r -> 'park', 'status', r -> 'status',
                                            'errorClass', r -> 'errorClass', 'message', r -> 'message', 'excerpt', r -> 'excerpt')) as rows
        from jsonb_array_elements(p_rows) r where r ->> 'park' is not null) parked
  where parked.rows is not null;
  return true;
end $$;

-- Letters from before.
with open as materialized (
  select l.id, l.parked_at, l.destination, coalesce(l.last_error_class, l.reason) as class, l.last_status as status,
         outbox.cause_text(l.last_error, a.excerpt) as error
  from outbox.dead_letters l
  left join lateral (select t.excerpt from outbox.attempts t where t.event_id = l.event_id and t.destination = l.destination
                       and t.at <= l.parked_at + interval '1 minute' order by t.at desc limit 1) a on true
  where l.resolved_at is null and l.last_error is distinct from '(erased)'
), named as materialized (
  select o.*, outbox.cause_id(o.destination, o.class, o.status, o.error) as cause from open o
), known as (
  insert into outbox.causes (id, destination, class, status, error, noticed_at)
  select cause, destination, class, status, error, min(parked_at) from named group by 1, 2, 3, 4, 5
)
update outbox.dead_letters l set cause = n.cause from named n where n.id = l.id;

-- How many of each are open, since when, and a page of one cause's letters: all from the index.
create index dead_letters_open_by_cause on outbox.dead_letters (cause, id) include (parked_at) where resolved_at is null;
-- How many came in the last hours, and whether a cause has letters at all.
create index dead_letters_by_cause on outbox.dead_letters (cause, parked_at);

-- What a receiver said may name a person. When an event is erased its letters lose their cause, and a cause without letters its text.
create function outbox.forget_cause() returns trigger
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  if new.last_error = '(erased)' then
    new.cause := null;
  end if;
  return new;
end $$;

create trigger forget_cause before update of last_error on outbox.dead_letters for each row execute function outbox.forget_cause();

create function outbox.forget_cause_text() returns trigger
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  delete from outbox.causes c where c.id = old.cause and not exists (select from outbox.dead_letters l where l.cause = old.cause);
  return null;
end $$;

create trigger forget_cause_text after update of last_error on outbox.dead_letters for each row
  when (old.cause is not null and new.cause is null) execute function outbox.forget_cause_text();

-- What a person writes to a cause; null leaves a field as it is, '' empties it. Answers false where there is no such cause.
create function outbox.note_cause(p_cause text, p_note text, p_owner text, p_actor text) returns boolean
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_cause outbox.causes;
begin
  update outbox.causes
  set note = case when p_note is null then note else nullif(p_note, '') end,
      owner = case when p_owner is null then owner else nullif(p_owner, '') end,
      noted_by = left(p_actor, 200), noted_at = now()
  where id = p_cause returning * into v_cause;
  if not found then
    return false;
  end if;
  insert into outbox.audit (actor, via, action, destination, events, outcome, message, reason)
  values (left(p_actor, 200), 'sql', 'note-cause', v_cause.destination, 0, 'done',
          left(format('cause %s: note %L, owner %L', p_cause, v_cause.note, v_cause.owner), 1000), null);
  return true;
end $$;

-- As before (0011), and causes that no letter has any more; while letters are being parked these wait for the next pass.
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
