-- PostgreSQL plans a statement each time it comes, and a pooler keeps us from naming it. Planning what claims and loads took 0.23 ms, four times as
-- long as an empty claim itself, two hundred times a second while anything flows. What a function says is planned once a session.

create function outbox.claim_loaded(
  p_relay uuid, p_lanes text[], p_after bigint[], p_slow_after interval, p_open boolean, p_into uuid[], p_run integer[], p_revision integer[],
  p_limit integer[], p_looks interval, p_rows integer, p_bytes bigint
)
returns table (
  lane text, batch_id uuid, workflow_id text, size integer, last_seq text, slow integer, seqs text[], closed boolean, config_revision integer,
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text,
  payload_bytes bytea, extracted jsonb
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
begin
  return query
  -- What is the batch's with its first row alone: five hundred rows with five hundred numbers each took four times as long to read as all the rest.
  select case when f.first then c.lane end, c.batch_id, case when f.first then c.workflow_id end, case when f.first then c.size end,
         case when f.first then c.last_seq::text end, case when f.first then c.slow end, case when f.first then c.seqs::text[] end,
         case when f.first then c.closed end, case when f.first then s.config_revision end,
         r.*,
         case when r.destination is not null and r.destination in (select name from outbox.destinations where paths is not null)
              then outbox.extracted(r.destination, r.payload) end
  from outbox.claim(p_relay, p_lanes, p_after, p_slow_after, p_open, p_into, p_run, p_revision, p_limit, p_looks) c
  cross join outbox.settings s
  left join lateral outbox.load_claimed(c.batch_id, c.seqs, p_rows, p_bytes) r on c.size > 0
  cross join lateral (select r.seq is null or r.seq = c.seqs[1] as first) f
  order by c.lane, r.seq;
end $$;

create function outbox.claim_shared_loaded(
  p_relay uuid, p_after bigint, p_among text[], p_share boolean, p_own text[], p_aside text[], p_into uuid, p_run integer, p_revision integer,
  p_limit integer, p_rows integer, p_bytes bigint
)
returns table (
  batch_id uuid, workflow_id text, size integer, closed boolean, seen text, more boolean, config_revision integer, seqs text[], own text[],
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text,
  payload_bytes bytea, extracted jsonb
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select case when f.first then c.batch_id end, case when f.first then c.workflow_id end, case when f.first then c.size end,
         case when f.first then c.closed end, case when f.first then c.seen::text end, case when f.first then c.more end,
         case when f.first then c.config_revision end, case when f.first then c.seqs::text[] end, case when f.first then c.own end,
         r.*,
         case when r.destination is not null and r.destination in (select name from outbox.destinations where paths is not null)
              then outbox.extracted(r.destination, r.payload) end
  from outbox.claim_shared(p_relay, p_after, p_among, p_share, p_own, p_aside, p_into, p_run, p_revision, p_limit) c
  left join lateral outbox.load_claimed(c.batch_id, c.seqs, p_rows, p_bytes) r on c.size > 0
  cross join lateral (select r.seq is null or r.seq = c.seqs[1] as first) f
  order by r.seq;
end $$;
