-- What is said of a half message that is not open: its parenthesis was never closed.
create or replace function outbox.why_message_refused(p_command jsonb, p_named uuid[], p_targets uuid[], p_workflow text) returns text
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_missing text;
begin
  if p_command ? 'malformed' then
    return p_command ->> 'malformed';
  end if;
  if p_command ->> 'action' not in ('commit', 'rollback', 'check') then
    return format('unknown action %L; send commit, rollback or check', p_command ->> 'action');
  end if;
  select string_agg(format('%s (%s)', id,
           coalesce((select case when m.state in ('prepared', 'parked') then 'of another workflow'
                                 else replace(m.state, '-', ' ') || ' by ' || m.settled_by end
                     from outbox.prepared_messages m where m.id = t.id), 'unknown')), ', ')
  into v_missing
  from (select id from unnest(p_named) id where not id = any (coalesce(p_targets, '{}')) limit 3) t;
  if v_missing is not null then
    return format('not open here: %s; nothing was changed', v_missing);
  end if;
  if p_targets is null then
    return 'nothing is open here: all of it is settled';
  end if;
  if cardinality(p_targets) > 1 and p_named is null and p_command -> 'all' is distinct from 'true' then
    return format('%s messages are open here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}', cardinality(p_targets));
  end if;
  return null;
end $$;
