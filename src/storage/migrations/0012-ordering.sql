-- Order per key. A key of a destination is held by the one batch that has rows of it in `claimed`, `retry` or `parked`; nobody else
-- takes a row of it meanwhile. The rows behind wait as `pending` or, once a claim has met them, as `blocked`, out of the index
-- that claims read: 50,000 rows behind one parked delivery cost the other keys nothing.
--
-- Which of the two a waiting row is decides only how soon it is found, never whether it may go: a claim asks who holds the key, and
-- takes a key's rows in order of seq. So whatever returns rows may return them as `pending`. What must not be is a key with
-- blocked rows alone, which no claim would look at: whoever settles the last row that held a key calls release_keys.

-- The event's key, wherever the event is kept.
create function outbox.key_of(p_event uuid) returns text
language sql stable set search_path = pg_catalog, outbox, pg_temp as $$
  select key from (select key from outbox.events where id = p_event
                   union all select key from outbox.events_kept where id = p_event limit 1) e
$$;

-- Rows for one batch of a lane that keeps order, locked: of each free key its first ones, breadth first, and rows without a key.
-- Rows it met that must wait for their key become blocked. At most p_count; p_after as in outbox.claim.
--
-- Why it cannot leave a row blocked that nobody will wake: it locks the rows it looks at first, and asks who holds their keys in
-- a later statement, which sees all that was settled before. What still holds a key it locks as well, before it blocks anything;
-- whoever settles that holder waits for this transaction, looks for the next row after it, and finds the blocked one. A holder that
-- is locked is being settled just now: its key is left as it is, for the next claim.
create function outbox.take_keyed(p_lane text, p_after bigint, p_count integer, out taken tid[], out last_seq bigint)
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  -- A batch sends a key's rows one after another; more than this would wait in it for long.
  c_per_key constant integer := 100;
  c_look    constant integer := 100;
  v_seen  tid[];
  v_keys  text[];
  v_free  text[];
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

  select array_agg(k) filter (where h.key is null) into v_free
  from unnest(v_keys) k
  left join lateral (select d.key from outbox.deliveries d
                     where d.destination = p_lane and d.key = k and d.state in ('claimed', 'retry', 'parked') limit 1) h on true;
  if cardinality(v_free) is distinct from cardinality(v_keys) then
    select array_agg(k) into v_held
    from unnest(v_keys) k
    cross join lateral (select from outbox.deliveries d
                        where d.destination = p_lane and d.key = k and d.state in ('claimed', 'retry', 'parked')
                        limit 1 for no key update skip locked) h
    where v_free is null or k <> all (v_free);
  end if;

  -- A key's rows up to the first that somebody else has locked.
  with chain as materialized (
    select c.at, c.seq, k.key, row_number() over (partition by k.key order by c.seq) as n
    from unnest(v_free) k(key)
    cross join lateral (
      select d.ctid as at, d.seq from outbox.deliveries d
      where d.destination = p_lane and d.key = k.key and d.state in ('pending', 'blocked')
      order by d.seq limit least(c_per_key, ceil(2.0 * p_count / cardinality(v_free)))) c
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

-- The first row of each of these keys may go, unless another still holds its key. To be called after the statement that settled a
-- holder, in the same transaction. The first row is locked even where it is pending: a claim may be about to block it.
create function outbox.release_keys(p_destination text, p_keys text[]) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_heads tid[];
begin
  select array_agg(h.at) filter (where h.state = 'blocked') into v_heads
  from (select distinct k from unnest(p_keys) k) k
  cross join lateral (
    select d.ctid as at, d.state from outbox.deliveries d
    where d.destination = p_destination and d.key = k.k and d.state in ('pending', 'blocked')
    order by d.seq limit 1 for update) h
  where not exists (select from outbox.deliveries o
                    where o.destination = p_destination and o.key = k.k and o.state in ('claimed', 'retry', 'parked'));
  if v_heads is not null then
    update outbox.deliveries d set state = 'pending' where d.ctid = any (v_heads);
  end if;
end $$;

-- Of each key of which the batch holds one of p_seqs (null: any row), the rows behind the first go back, uncharged. They wait as
-- blocked: the first one still holds the key.
create function outbox.return_tails(p_batch uuid, p_seqs bigint[] default null) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_count integer;
begin
  update outbox.deliveries t set state = 'blocked', batch_id = null, due_at = null
  from (select d.key, min(d.seq) as seq from outbox.deliveries d
        where d.batch_id = p_batch and d.key is not null and (p_seqs is null or d.seq = any (p_seqs))
        group by d.key) h
  where t.batch_id = p_batch and t.key = h.key and t.seq > h.seq and t.state in ('claimed', 'retry');
  get diagnostics v_count = row_count;
  if v_count > 0 then
    update outbox.batches set open = case when active then greatest(open - v_count, 0) else open end where id = p_batch;
  end if;
  return v_count;
end $$;

-- Of a workflow's rows that were parked and are to be sent again, those that are not the first of their key go back to the lane, which
-- sends them in their turn: several of one key may have been parked (outbox.park_pending), and only some of them be sent again. They go
-- as pending: a claim decides whether something holds their key.
create function outbox.take_turns(p_workflow text, p_events uuid[]) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_batch uuid;
  v_lane  text;
  v_keys  text[];
begin
  select b.id, b.lane, array_agg(distinct d.key) into v_batch, v_lane, v_keys
  from outbox.batches b join outbox.deliveries d on d.batch_id = b.id
  where b.workflow_id = p_workflow and d.state = 'retry' and d.key is not null and d.event_id = any (p_events)
  group by b.id, b.lane;
  if not found then
    return;
  end if;
  with unsettled as (
    select o.key, o.seq from outbox.deliveries o
    where o.destination = v_lane and o.key = any (v_keys) and o.state in ('claimed', 'retry', 'parked')
    union all
    select o.key, o.seq from outbox.deliveries o
    where o.destination = v_lane and o.key = any (v_keys) and o.state in ('pending', 'blocked')
  ), first as (
    select key, min(seq) as seq from unsettled group by key
  )
  update outbox.deliveries d set state = 'pending', batch_id = null, due_at = null
  from first f
  where d.batch_id = v_batch and d.state = 'retry' and d.event_id = any (p_events) and d.key = f.key and d.seq > f.seq;
end $$;

-- Wakes keys whose rows are all blocked, which should not be: somebody changed rows by hand. Answers how many there were.
create function outbox.wake_stranded(p_lanes text[]) returns integer
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_stranded record;
  v_count    integer := 0;
begin
  for v_stranded in
    select k.destination, array_agg(k.key) as keys
    from (select distinct destination, key from outbox.deliveries
          where state = 'blocked' and key is not null and destination = any (p_lanes)) k
    where not exists (select from outbox.deliveries o
                      where o.destination = k.destination and o.key = k.key and o.state in ('claimed', 'retry', 'parked'))
      and not exists (select from outbox.deliveries o
                      where o.destination = k.destination and o.key = k.key and o.state = 'pending')
    group by k.destination
  loop
    perform outbox.release_keys(v_stranded.destination, v_stranded.keys);
    v_count := v_count + cardinality(v_stranded.keys);
  end loop;
  return v_count;
end $$;

-- Part of apply_config: a destination that has deliveries begins or ends to keep order.
--
-- From none to key: what waits gets its key, and the order of its seq. What is under way is settled in the order it is in, and holds its
-- key until then. From key to none: everything that waits may go. From block to skip: parked deliveries let their keys pass.
create function outbox.change_ordering(p_destination text, p_ordering text, p_on_park text) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_before outbox.destinations;
  v_passed text[];
begin
  select * into v_before from outbox.destinations where name = p_destination for update;
  if (v_before.ordering, v_before.on_park) = (p_ordering, p_on_park) then
    return;
  end if;
  perform from outbox.lanes where name = p_destination for update; -- no claim by the old rule goes on beside this
  if v_before.ordering = 'none' and p_ordering = 'key' then
    update outbox.deliveries d set key = outbox.key_of(d.event_id)
    where d.destination = p_destination and not (d.state = 'parked' and p_on_park = 'skip');
  elsif v_before.ordering = 'key' and p_ordering = 'none' then
    update outbox.deliveries d set key = null, state = case d.state when 'blocked' then 'pending' else d.state end
    where d.destination = p_destination and d.key is not null;
  elsif p_ordering = 'key' and p_on_park = 'skip' then
    select array_agg(d.key) into v_passed from outbox.deliveries d
    where d.destination = p_destination and d.key is not null and d.state = 'parked';
    update outbox.deliveries d set key = null
    where d.destination = p_destination and d.key is not null and d.state = 'parked';
    perform outbox.release_keys(p_destination, v_passed);
  end if;
end $$;
