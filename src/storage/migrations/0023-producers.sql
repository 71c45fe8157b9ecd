-- What producers of every kind can call: one text for the drivers, and a table of their own for object mappers.

-- enqueue_all with all its events in one text: a JSON array of objects with the columns of outbox.events, payload and headers as
-- texts in it. Ten arrays are more than some drivers can pass: one expands arrays into lists, another serialises those of times by rules of
-- its own. A payload that stood in the array as JSON would be safe too, but then its text could not be passed on untouched by JavaScript.
create function outbox.enqueue_events(p_events text) returns table (ordinal integer, id uuid, inserted boolean)
language sql volatile set search_path = pg_catalog, outbox, pg_temp as $$
  select a.ordinal, a.id, a.inserted
  from (select array_agg(e.id order by e.n) as ids, array_agg(e.type order by e.n) as types, array_agg(e.payload order by e.n) as payloads,
               array_agg(e.key order by e.n) as keys, array_agg(e.headers order by e.n) as headers,
               array_agg(e.deliver_at order by e.n) as deliver_at, array_agg(e.source order by e.n) as sources,
               array_agg(e.subject order by e.n) as subjects, array_agg(e.content_type order by e.n) as content_types,
               array_agg(e.dedup_key order by e.n) as dedup_keys
        from rows from (json_to_recordset(p_events::json) as (id uuid, type text, payload text, key text, headers text,
               deliver_at timestamptz, source text, subject text, content_type text, dedup_key text)) with ordinality
               as e(id, type, payload, key, headers, deliver_at, source, subject, content_type, dedup_key, n)) g,
       outbox.enqueue_all(g.ids, g.types, g.payloads, g.keys, g.headers, g.deliver_at, g.sources, g.subjects, g.content_types, g.dedup_keys) a
$$;

-- For object mappers, which name every column, NULL where they know no value, and ask for all of them back. outbox.events can take
-- neither: an id that is NULL has no partition, before any trigger could give it one, and a producer may not read payloads. This view
-- takes both: what is NULL gets its default, and `returning` answers what was just written. Reading it answers no row, ever.
create view outbox.outgoing_events as
  select id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key from outbox.events where false;

create function outbox.write_outgoing() returns trigger
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  new.id := coalesce(new.id, outbox.uuid7());
  new.headers := coalesce(new.headers, '{}');
  new.content_type := coalesce(new.content_type, 'application/json');
  insert into outbox.events (id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key)
  values (new.id, new.type, new.key, new.payload, new.headers, new.deliver_at, new.source, new.subject, new.content_type, new.dedup_key);
  return new;
end $$;

create trigger write_outgoing instead of insert on outbox.outgoing_events for each row execute function outbox.write_outgoing();
