-- What the dashboard needs: how much went through in the last hour, who looked at a payload, and tokens to sign in with.

-- Sums of one minute, destination and process. outbox.delivered cannot tell: counting an hour of it reads as many rows as were delivered.
create table outbox.flow (
  destination text collate "C" not null,
  minute      timestamptz not null,
  worker      uuid not null, -- of one process; each writes rows of its own
  delivered   integer not null,
  retried     integer not null,
  parked      integer not null,
  -- Answers by how long they took; not cumulative. The bounds are those of src/metrics/distribution.ts.
  slowness    integer[] not null,
  primary key (destination, minute, worker)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);

-- Adds to the sums of this minute; p_rows is an array of { destination, delivered, retried, parked, slowness }.
create function outbox.note_flow(p_worker uuid, p_rows jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  insert into outbox.flow (destination, minute, worker, delivered, retried, parked, slowness)
  select r.destination, date_trunc('minute', now()), p_worker, r.delivered, r.retried, r.parked, r.slowness
  from jsonb_to_recordset(p_rows) as r(destination text, delivered integer, retried integer, parked integer, slowness integer[])
  on conflict (destination, minute, worker) do update
  set delivered = flow.delivered + excluded.delivered, retried = flow.retried + excluded.retried, parked = flow.parked + excluded.parked,
      slowness = array(select a + b from unnest(flow.slowness, excluded.slowness) with ordinality as t(a, b, n) order by n);
  -- Everybody's of these destinations: processes come and go.
  delete from outbox.flow f using jsonb_to_recordset(p_rows) as r(destination text)
  where f.destination = r.destination and f.minute < now() - interval '2 hours';
end $$;

-- A look at what only some may see leaves a line, as a command does.
create function outbox.note_look(p_actor text, p_what text, p_event uuid, p_destination text) returns void
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  insert into outbox.audit (actor, via, action, event_id, destination, events, outcome, message)
  values (left(p_actor, 200), 'dashboard', 'look', p_event, p_destination, 0, 'done', left(p_what, 1000));
end $$;

-- Tokens of people and programs. Only a digest is kept: a token has 24 random bytes, so nobody finds it from that.
create table outbox.tokens (
  id         bigint generated always as identity primary key,
  name       text not null,
  digest     bytea not null,
  role       text not null,
  payloads   boolean not null,
  made_at    timestamptz not null default now(),
  made_by    text not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  constraint tokens_one_per_digest unique (digest),
  constraint tokens_digest_is_sha256 check (octet_length(digest) = 32),
  constraint tokens_role_is_known check (role in ('viewer', 'operator', 'admin')),
  constraint tokens_name_is_short check (length(name) between 1 and 100)
);

create function outbox.make_token(p_name text, p_digest bytea, p_role text, p_payloads boolean, p_expires_at timestamptz, p_actor text)
returns bigint
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_id bigint;
begin
  insert into outbox.tokens (name, digest, role, payloads, made_by, expires_at)
  values (p_name, p_digest, p_role, p_payloads, left(p_actor, 200), p_expires_at) returning id into v_id;
  insert into outbox.audit (actor, via, action, events, outcome, message)
  values (left(p_actor, 200), 'sql', 'make-token', 0, 'done',
          format('token %s %L: %s%s', v_id, p_name, p_role, case when p_payloads then ', payloads' else '' end));
  return v_id;
end $$;

-- False where there is none of that number, or it was revoked before.
create function outbox.revoke_token(p_id bigint, p_actor text) returns boolean
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_name text;
begin
  update outbox.tokens set revoked_at = now(), revoked_by = left(p_actor, 200) where id = p_id and revoked_at is null returning name into v_name;
  if not found then
    return false;
  end if;
  insert into outbox.audit (actor, via, action, events, outcome, message)
  values (left(p_actor, 200), 'sql', 'revoke-token', 0, 'done', format('token %s %L', p_id, v_name));
  return true;
end $$;
