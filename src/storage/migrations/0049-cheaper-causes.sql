-- To park a letter with its cause took 83 µs of PostgreSQL, and 22 without. Now 34 where a batch is refused in the same words, and 56 where each
-- letter has words of its own. The text was made twice a letter, as the planner takes a query within a query apart; and PostgreSQL turns a
-- bounded repetition ({0,250}) into as many states: a page of HTML took 190 µs, one with quotation marks 450; now 20.

-- An error without what differs from event to event; at most 300 characters. Of an answer in JSON what it says in the usual members (RFC 9457
-- and its like) is taken, of other answers the text. "C": the same everywhere, whatever the database's locale calls a letter.
create or replace function outbox.cause_text(p_message text, p_excerpt text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_text text collate "C";
begin
  if p_excerpt ~ '^\s*[{[]' then
    select string_agg(left(m[1], 200), ': ') into v_text
    from regexp_matches(p_excerpt collate "C",
      '"(?:title|details?|message|error|error_description|description|reason|code)"\s*:\s*"((?:[^"\\]|\\.)+)', 'gi') m;
  end if;
  if v_text is null and p_excerpt ~ '\S' then
    v_text := left(p_excerpt, 1000);
    if v_text ~ '[<\\]' then
      v_text := regexp_replace(v_text, '<[^<>]+>|\\[nrt]', ' ', 'g');
    end if;
  end if;
  -- The address and the status are known beside it.
  v_text := left(coalesce(v_text, regexp_replace(p_message, '^[A-Z]{3,7} \S+ answered [0-9]{3} ?', ''), ''), 1000);
  -- Looking for a character first spares most texts most expressions.
  if position('://' in v_text) > 0 then
    v_text := regexp_replace(v_text, '\m[a-z][a-z0-9+.-]+://[^\s"''<>)\]]+', '<url>', 'gi');
  end if;
  if position('@' in v_text) > 0 then
    v_text := regexp_replace(v_text, '[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)+', '<email>', 'g');
  end if;
  if v_text ~ '["“«`]' then
    v_text := regexp_replace(v_text, '"[^"]*"|“[^”]*”|«[^»]*»|`[^`]*`', '"…"', 'g');
  end if;
  if position('''' in v_text) > 0 then
    v_text := regexp_replace(v_text, '(^|[\s(\[{=:,])''[^'']*''(?![[:alnum:]])', '\1"…"', 'g');
  end if;
  v_text := regexp_replace(v_text, '[[:alnum:]_.+-]*[0-9]([[:alnum:]_.:,+-]*[[:alnum:]_])?|[[:alnum:]_/+=-]{24,}', '#', 'g');
  return left(btrim(regexp_replace(regexp_replace(v_text, '#(\s*#)+', '#', 'g'), '\s+', ' ', 'g')), 300);
end $$;

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
           coalesce(g.message, a.message) collate "C" as message, case when g.message is null then a.excerpt else g.excerpt end collate "C" as said
    from parked p
    join given g on g.seq = p.seq
    left join lateral (select * from outbox.attempts t where t.event_id = p.event_id and t.destination = p.destination
                         and t.at <= now() order by t.at desc limit 1) a on g.message is null
  ), worded as (
    -- Mostly a batch is refused in the same words: their text is made once.
    select n.*, max(case when n.nth = 1 then outbox.cause_text(n.message, n.said) end) over (partition by n.message, n.said) as error
    from (select f.*, row_number() over (partition by f.message, f.said) as nth from failed f) n
  ), letters as materialized (
    select w.*, outbox.cause_id(w.destination, coalesce(w.class, w.reason), w.status, w.error) as cause from worded w
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
