-- As before (0033), but the latest answers are looked for among those that were let go: the members that wait behind them were read each time, all of
-- them.
create or replace function outbox.why_redrive_stops(p_redrive outbox.redrives) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  c_least constant integer := 10; -- answers that tell something
  v_held     record;
  v_failures integer;
  v_answered integer;
  v_size     integer;
begin
  select d.name, d.paused_at, d.paused_reason, c.state, c.reason into v_held
  from outbox.destinations d left join outbox.circuits c on c.destination = d.name
  where d.name = any (p_redrive.destinations) and p_redrive.action <> 'discard' and (d.paused_at is not null or c.state <> 'closed')
  order by d.name limit 1;
  if found then
    return case when v_held.paused_at is not null then format('%s is paused: %s', v_held.name, coalesce(v_held.paused_reason, 'no reason given'))
                else format('the circuit of %s is %s: %s', v_held.name, v_held.state, coalesce(v_held.reason, 'no reason given')) end;
  end if;
  if p_redrive.rate is null or p_redrive.step <= cardinality(p_redrive.steps) then
    select count(*) filter (where m.state = 'failed' or m.failing), count(*) into v_failures, v_size
    from outbox.redrive_members m
    where m.redrive_id = p_redrive.id and m.step = p_redrive.step and m.state <> 'skipped'
      and m.ordinal > p_redrive.step_after and m.ordinal <= p_redrive.reached;
    v_size := v_size + p_redrive.step_left;
    if v_failures > 0 and v_failures > p_redrive.max_failures * v_size then
      return format('%s of %s letters of step %s failed again', v_failures, v_size, p_redrive.step);
    end if;
  end if;
  select count(*) filter (where m.state = 'failed' or m.failing), count(*) into v_failures, v_answered
  from outbox.redrive_members m
  where m.redrive_id = p_redrive.id and (m.state in ('done', 'failed') or m.state = 'sent' and m.failing)
    and m.ordinal > p_redrive.reached - greatest(20, ceil(coalesce(p_redrive.rate, 0) * 5)) and m.ordinal <= p_redrive.reached;
  if v_answered >= c_least and v_failures > p_redrive.max_failures * v_answered then
    return format('%s of the latest %s answers were failures', v_failures, v_answered);
  end if;
  v_failures := p_redrive.failed + p_redrive.failing;
  v_answered := v_failures + p_redrive.done;
  if v_failures > p_redrive.max_failures * v_answered and (v_answered >= c_least or v_answered = p_redrive.total - p_redrive.skipped) then
    return format('%s of %s letters failed again', v_failures, v_answered);
  end if;
  return null;
end $$;

-- What a step takes is a few rows beside all, and the statistics of a redrive that has just been frozen know of none: 500 were found by sorting 100,000, and
-- joined by hashing them. Each of these reads by its index, in order. Whoever replaces one of them has to say so again.
do $$
declare
  v_function text;
begin
  foreach v_function in array array['act_on_members(outbox.redrives, integer)', 'look_at_redrive(bigint)', 'why_redrive_stops(outbox.redrives)', 'advance_redrive(bigint)'] loop
    execute format('alter function outbox.%s set enable_seqscan = off', v_function);
    execute format('alter function outbox.%s set enable_bitmapscan = off', v_function);
    execute format('alter function outbox.%s set enable_hashjoin = off', v_function);
    execute format('alter function outbox.%s set enable_mergejoin = off', v_function);
    execute format('alter function outbox.%s set enable_sort = off', v_function);
  end loop;
end $$;
