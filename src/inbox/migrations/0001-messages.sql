-- What a consumer has done, one narrow row per message, in the consumer's own database. Nothing here refers to the
-- sender's schema; both may live in one database.

-- The smallest UUID of that millisecond: a partition's bound.
create function outbox_inbox.uuid7_floor(p_at timestamptz) returns uuid
language sql immutable strict parallel safe as $$
  select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create function outbox_inbox.uuid7_time(p_id uuid) returns timestamptz
language sql immutable strict parallel safe as $$
  select to_timestamp(('x' || lpad(left(replace(p_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0)
$$;

-- Monday 00:00 UTC: a partition holds a week, so that a month of memory is five tables and not thirty.
create function outbox_inbox.week_of(p_at timestamptz) returns timestamptz
language sql immutable strict parallel safe as $$
  select date_trunc('week', p_at at time zone 'UTC') at time zone 'UTC'
$$;

create table outbox_inbox.settings (
  only_row  boolean primary key default true,
  retention interval not null,
  -- UUIDv7 ids from `oldest` up to `newest` have partitions. `oldest` only ever rises: whether an id below it was
  -- applied is no longer known, so such a message is refused for good and never applied a second time.
  oldest    uuid not null,
  newest    uuid not null,
  constraint settings_has_one_row check (only_row),
  constraint settings_retention_is_positive check (retention > '0'),
  constraint settings_range_is_one check (oldest <= newest)
);

-- Partitioned by range of the id, so that the primary key is unique across partitions and forgetting is dropping one.
create table outbox_inbox.messages (
  -- The message's own id where that is a UUIDv7; else a hash of it (see id_of), which sorts behind all of them.
  id           uuid not null,
  consumer     text collate "C" not null,
  -- The revision that was applied last: 1 as written, higher once edited.
  revision     integer not null,
  payload_hash text collate "C",
  applied_at   timestamptz not null default now(),
  -- The message id where `id` is a hash.
  foreign_id   text collate "C",
  primary key (id, consumer),
  constraint messages_consumer_fits check (octet_length(consumer) between 1 and 255),
  constraint messages_revision_counts check (revision >= 1),
  constraint messages_payload_hash_fits check (octet_length(payload_hash) between 1 and 255),
  constraint messages_foreign_id_fits check (octet_length(foreign_id) between 1 and 255)
) partition by range (id);

-- Ids without a time in them: unique here as there, but forgotten by age, row by row.
create table outbox_inbox.messages_foreign partition of outbox_inbox.messages
  for values from ('ffff0000-0000-0000-0000-000000000000') to (maxvalue);
create index messages_foreign_by_age on outbox_inbox.messages_foreign (applied_at);

-- 112 bits of SHA-256 behind a prefix that no UUIDv7 before the year 10000 has.
create function outbox_inbox.id_of(p_message_id text) returns uuid
language sql immutable strict parallel safe as $$
  select case
    when p_message_id ~ '^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$'
    then p_message_id::uuid
    else ('ffff' || left(encode(sha256(convert_to(p_message_id, 'UTF8')), 'hex'), 28))::uuid
  end
$$;

-- Makes the weeks from the newest there is to the one that holds p_until; answers how many. Producers of rows do not
-- wait: a table made LIKE the parent and attached takes a lock that inserts do not mind.
create function outbox_inbox.make_partitions(p_until timestamptz default now() + interval '35 days') returns integer
language plpgsql security definer
set search_path = pg_catalog, outbox_inbox, pg_temp
set lock_timeout = '5s' as $$
declare
  v_week timestamptz;
  v_next timestamptz;
  v_name text;
  v_made integer := 0;
begin
  perform pg_advisory_xact_lock(1869968482, 3000001);
  select week_of(uuid7_time(newest)) into v_week from settings;
  while v_week <= least(p_until, now() + interval '70 days') loop
    v_next := v_week + interval '168 hours';
    v_name := 'messages_' || to_char(v_week at time zone 'UTC', 'YYYYMMDD');
    if to_regclass('outbox_inbox.' || v_name) is null then
      begin
        execute format('create table outbox_inbox.%I (like outbox_inbox.messages including all)', v_name);
        execute format('alter table outbox_inbox.messages attach partition outbox_inbox.%I for values from (%L) to (%L)',
                       v_name, uuid7_floor(v_week), uuid7_floor(v_next));
        v_made := v_made + 1;
      exception when duplicate_table then
        null; -- made while we waited: settings (under REPEATABLE READ) and caches may be of before that
      end;
    end if;
    v_week := v_next;
  end loop;
  update settings set newest = uuid7_floor(v_week) where newest < uuid7_floor(v_week);
  return v_made;
end $$;

-- Raises `oldest` by the retention. Committed before any partition is dropped: from then on a message of a forgotten
-- week is refused, whether its partition is still there or not.
create function outbox_inbox.forget() returns timestamptz
language plpgsql security definer set search_path = pg_catalog, outbox_inbox, pg_temp as $$
begin
  update settings set oldest = uuid7_floor(week_of(now() - retention))
  where oldest < uuid7_floor(week_of(now() - retention));
  return (select uuid7_time(oldest) from settings);
end $$;

-- Takes the message for this transaction, or says what was there. One row per (consumer, message id): the unique
-- constraint decides, and who comes second waits at it until the first has committed or rolled back.
--   READ COMMITTED: the second then sees the row (each statement here has a snapshot of its own).
--   REPEATABLE READ, SERIALIZABLE: `on conflict do nothing` raises 40001 for a row its snapshot does not have; the
--   caller repeats its transaction, as it has to anyway, and sees the row. An advisory lock in front of a look-up would be
--   sound in the first only.
create function outbox_inbox.take(
  p_consumer text, p_message_id text, p_revision integer, p_payload_hash text, p_on_revision text,
  out outcome text, out revision integer, out payload_hash text, out applied_at timestamptz
) language plpgsql as $$
declare
  v_id      uuid := outbox_inbox.id_of(p_message_id);
  v_foreign boolean := v_id >= 'ffff0000-0000-0000-0000-000000000000';
  v_range   record;
begin
  if not v_foreign then
    select s.oldest, s.newest into v_range from outbox_inbox.settings s;
    if v_id < v_range.oldest then
      outcome := 'expired';
      applied_at := outbox_inbox.uuid7_time(v_range.oldest);
      return;
    elsif v_id >= v_range.newest then
      if outbox_inbox.uuid7_time(v_id) > now() + interval '35 days' then
        outcome := 'from-the-future';
        return;
      end if;
      perform outbox_inbox.make_partitions();
    end if;
  end if;
  loop
    insert into outbox_inbox.messages (id, consumer, revision, payload_hash, foreign_id)
    values (v_id, p_consumer, p_revision, p_payload_hash, case when v_foreign then p_message_id end)
    on conflict do nothing;
    if found then
      outcome := 'new';
      return;
    end if;
    select m.revision, m.payload_hash, m.applied_at into revision, payload_hash, applied_at
    from outbox_inbox.messages m where m.id = v_id and m.consumer = p_consumer;
    continue when not found; -- forgotten in between
    if revision > p_revision then
      outcome := 'superseded';
    elsif revision = p_revision then
      outcome := case when payload_hash <> p_payload_hash then 'conflict' else 'duplicate' end;
    elsif p_on_revision = 'apply' then
      update outbox_inbox.messages m
      set revision = p_revision, payload_hash = p_payload_hash, applied_at = now()
      where m.id = v_id and m.consumer = p_consumer and m.revision = take.revision;
      continue when not found; -- another revision was quicker
      outcome := 'revision';
    else
      outcome := case p_on_revision when 'skip' then 'skipped' else 'revision-refused' end;
    end if;
    return;
  end loop;
end $$;

-- What consumers call, from any language, in their own transaction:
--   new               taken: do the work and commit
--   revision          taken, and an earlier revision was applied before: revision, payload_hash, applied_at say which
--   duplicate         done before
--   superseded        a later revision was applied before: acknowledge, do nothing
--   skipped           p_on_revision = 'skip': an earlier revision was applied, this one is not to be
--   revision-refused  p_on_revision = 'refuse': an earlier revision was applied, a person has to decide
--   conflict          the same id and revision with another payload
--   in-progress       another transaction has it, and did not end within p_wait_ms
--   expired           older than what the inbox remembers (since applied_at)
--   from-the-future   its UUIDv7 lies more than 35 days ahead
-- p_transaction: what pg_current_xact_id() answered in the statement before; another one now means that the caller is in
-- no transaction, and its effect would not be bound to the mark.
create function outbox_inbox.claim(
  p_consumer text, p_message_id text, p_revision integer default 1, p_payload_hash text default null,
  p_on_revision text default 'refuse', p_wait_ms integer default null, p_transaction xid8 default null,
  out outcome text, out revision integer, out payload_hash text, out applied_at timestamptz
) language plpgsql as $$
declare
  v_lock_timeout text;
begin
  if p_transaction is distinct from pg_current_xact_id_if_assigned() and p_transaction is not null then
    raise exception 'outbox_inbox.claim: not in a transaction' using errcode = 'OI001';
  end if;
  if p_wait_ms is null then
    select * into outcome, revision, payload_hash, applied_at
    from outbox_inbox.take(p_consumer, p_message_id, p_revision, p_payload_hash, p_on_revision);
    return;
  end if;
  v_lock_timeout := current_setting('lock_timeout');
  begin
    -- 0 would be no limit at all.
    perform set_config('lock_timeout', greatest(p_wait_ms, 1)::text, true);
    select * into outcome, revision, payload_hash, applied_at
    from outbox_inbox.take(p_consumer, p_message_id, p_revision, p_payload_hash, p_on_revision);
    perform set_config('lock_timeout', v_lock_timeout, true);
  exception when lock_not_available then
    outcome := 'in-progress';
  end;
end $$;

-- A transaction whose handler failed must not commit its mark, even if somebody swallows the exception.
create function outbox_inbox.spoil(p_message_id text) returns void
language plpgsql as $$
begin
  raise exception 'the handler of message % failed: this transaction can only be rolled back', p_message_id
    using errcode = 'OI002';
end $$;
