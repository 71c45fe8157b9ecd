-- The event table and what a producer touches. Everything here runs inside somebody's business transaction,
-- so it takes no lock that a second producer would wait for (keyed destinations excepted, see 0003).

-- One row: what this database is, and which Temporal namespace works for it.
create table outbox.settings (
  only_row              boolean primary key default true,
  database_id           uuid not null default gen_random_uuid(),
  name                  text collate "C",
  temporal_namespace_id text collate "C",
  -- Raised when the rows are adopted by another Temporal store; claims of an older epoch are void.
  temporal_epoch        integer not null default 1,
  -- The server and database that this one lives in, as outbox.home() says: a copy of it lives elsewhere.
  home                  text collate "C",
  config_revision       integer not null default 0,
  constraint settings_has_one_row check (only_row)
);
insert into outbox.settings default values;

-- How long what is settled stays; `config apply` writes it from `retention:`. Zero keeps none, which only `delivered` may be.
create table outbox.retention (
  what text collate "C" primary key,
  keep interval not null,
  constraint retention_is_known check (what in ('events', 'delivered', 'attempts', 'deadLetters', 'audit', 'dedupKeys')),
  constraint retention_is_a_day_at_least check (keep >= interval '1 day' or what = 'delivered' and keep = interval '0')
);
insert into outbox.retention (what, keep) values
  ('events', '7 days'), ('delivered', '7 days'), ('attempts', '7 days'), ('deadLetters', '90 days'), ('audit', '365 days'),
  ('dedupKeys', '90 days');

-- A partition holds a day, so nothing is dropped sooner than a day after it.
create function outbox.retention_of(p_what text) returns interval
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select greatest(keep, interval '1 day') from outbox.retention where what = p_what
$$;

-- UUIDv7 (RFC 9562): 48 bits of unix milliseconds, version, 74 random bits. PostgreSQL 18 brings its own, which
-- is monotonic within a session; before 18 two ids of one millisecond may sort either way, which nothing relies on.
do $$
begin
  if current_setting('server_version_num')::int >= 180000 then
    execute 'create function outbox.uuid7() returns uuid language sql volatile parallel safe
             as ''select pg_catalog.uuidv7()''';
  else
    execute $f$create function outbox.uuid7() returns uuid language sql volatile parallel safe as '
      select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
        52, 1), 53, 1), ''hex'')::uuid' $f$;
  end if;
end $$;

-- The smallest UUID of that millisecond: a partition's bound.
create function outbox.uuid7_floor(p_at timestamptz) returns uuid
language sql immutable strict parallel safe as $$
  select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create function outbox.uuid7_time(p_id uuid) returns timestamptz
language sql immutable strict parallel safe as $$
  select to_timestamp(('x' || lpad(left(replace(p_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0)
$$;

create table outbox.events (
  id           uuid not null default outbox.uuid7(),
  type         text not null,
  key          text,
  payload      jsonb not null,
  headers      jsonb not null default '{}',
  deliver_at   timestamptz,
  source       text,
  subject      text,
  content_type text not null default 'application/json',
  dedup_key    text,
  created_at   timestamptz not null default now(),
  -- Payload, headers, key, subject and dedup_key were taken away (outbox.erase); such an event is sent nowhere.
  erased_at    timestamptz,
  primary key (id),
  constraint events_id_is_uuid7 check ((get_byte(uuid_send(id), 6) >> 4) = 7),
  constraint events_type_is_named check (octet_length(type) between 1 and 255),
  constraint events_key_fits check (octet_length(key) between 1 and 1024),
  constraint events_dedup_key_fits check (octet_length(dedup_key) between 1 and 1024),
  constraint events_source_fits check (octet_length(source) between 1 and 1024),
  constraint events_subject_fits check (octet_length(subject) between 1 and 1024),
  constraint events_content_type_fits check (content_type ~ '^[!-~]+/[!-~ ]+$' and octet_length(content_type) <= 255),
  -- 1 MiB of text: several times what a broker would take, and four chunks fit a worker's memory many times over.
  constraint events_payload_fits check (octet_length(payload::text) <= 1048576),
  constraint events_headers_are_strings check (
    jsonb_typeof(headers) = 'object' and not headers @? 'strict $.* ? (@.type() != "string")'
    and octet_length(headers::text) <= 16384),
  constraint events_deliver_at_is_finite check (deliver_at < '9999-01-01' and deliver_at > '1970-01-01')
) partition by range (id);

-- Payloads whose partition was dropped while a delivery was still unsettled.
create table outbox.events_kept (like outbox.events including defaults including constraints);
alter table outbox.events_kept add primary key (id);

-- Ids that are no UUIDv7 of our time would otherwise meet "no partition of relation found", which helps nobody.
create function outbox.refuse_foreign_id() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'outbox.events: id % is not a UUIDv7 of our time', new.id
    using errcode = 'OB003',
          constraint = 'events_id_is_uuid7',
          hint = 'Leave id out (its default makes one), or make UUIDv7 ids; put a foreign key of your own into dedup_key.';
end $$;

do $$
begin
  execute format('create table outbox.events_refused_early partition of outbox.events for values from (minvalue) to (%L)',
                 outbox.uuid7_floor('2020-01-01 00:00+00'));
  execute format('create table outbox.events_refused_late partition of outbox.events for values from (%L) to (maxvalue)',
                 outbox.uuid7_floor('2070-01-01 00:00+00'));
end $$;
create trigger refuse_foreign_id before insert on outbox.events_refused_early
  for each row execute function outbox.refuse_foreign_id();
create trigger refuse_foreign_id before insert on outbox.events_refused_late
  for each row execute function outbox.refuse_foreign_id();

-- Unique across partitions; only producers that use dedup_key pay for it.
create table outbox.event_dedup_keys (
  dedup_key text not null,
  event_id  uuid not null,
  constraint event_dedup_keys_are_unique primary key (dedup_key)
);
-- By age, as ids begin with their time: for `retention.dedupKeys`.
create index event_dedup_keys_by_event on outbox.event_dedup_keys (event_id);

-- Events no route took: one narrow row each, so that they can be counted by type and routed later.
create table outbox.unrouted (
  event_id uuid primary key,
  type     text not null
);
create index unrouted_by_type on outbox.unrouted (type);
