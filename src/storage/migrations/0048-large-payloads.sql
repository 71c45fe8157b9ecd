-- What of the batch is sent for these rows: as load_rows answers it, of p_seqs (in order) those whose payloads fit p_bytes, one at least.
-- As before (0027), but a payload is read, unpacked and turned into text only for a row that is answered. A sum over all of p_seqs did so for
-- five hundred of them to answer twenty of 200 kB, again and again through the batch: 300 ms a chunk, now 18. Small ones cost as before.
create or replace function outbox.load_these(p_batch uuid, p_seqs bigint[], p_ids uuid[], p_bytes bigint)
returns table (
  seq bigint, event_id uuid, destination text, revision integer, tries integer, attempts integer, unreachable integer, since_first_ms double precision,
  order_key text, type text, key text, source text, subject text, content_type text, created_ms double precision, payload text, headers text,
  payload_bytes bytea
)
language plpgsql volatile set search_path = pg_catalog, outbox, pg_temp
set plan_cache_mode = force_generic_plan set enable_bitmapscan = off set enable_nestloop = off as $$
#variable_conflict use_column
declare
  v_stored jsonb; -- of an event's row: mostly a pointer to where it is stored
  v_left   bigint := p_bytes;
begin
  for seq, event_id, destination, revision, tries, attempts, unreachable, since_first_ms, order_key, type, key, source, subject,
      content_type, created_ms, v_stored, headers, payload_bytes in
      select d.seq, d.event_id, d.destination, d.revision, d.tries, d.attempts, d.unreachable,
             case when d.first_attempt_at is not null
                  then extract(epoch from outbox.clock_of(d.destination) - d.first_attempt_at)::double precision * 1000 end,
             d.key, coalesce(e.type, k.type), coalesce(e.key, k.key), coalesce(e.source, k.source), coalesce(e.subject, k.subject),
             coalesce(e.content_type, k.content_type), extract(epoch from coalesce(e.created_at, k.created_at))::double precision * 1000,
             case when d.revision = 1 then coalesce(e.payload, k.payload)
                  else (select r.payload from outbox.revisions r
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end,
             case when d.revision = 1 then coalesce(e.headers, k.headers)
                  else (select r.headers from outbox.revisions r
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end::text,
             case when d.revision = 1 then coalesce(e.payload_bytes, k.payload_bytes)
                  else (select r.payload_bytes from outbox.revisions r
                        where r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision) end
      from outbox.deliveries d
      left join outbox.events e on e.id = d.event_id and e.id = any (p_ids) and e.id between p_ids[1] and p_ids[cardinality(p_ids)] and e.erased_at is null
      left join outbox.events_kept k on k.id = d.event_id and k.id = any (p_ids) and k.erased_at is null
      where d.batch_id = p_batch and d.seq = any (p_seqs)
      order by d.seq
  loop
    payload := v_stored::text;
    return next;
    v_left := v_left - coalesce(octet_length(payload), octet_length(payload_bytes), 0);
    exit when v_left <= 0;
  end loop;
end $$;
