-- Templates of destinations may hold jsonpaths ('orders.{$.customer.region}'). PostgreSQL evaluates them when it hands rows out: no second
-- reading of a payload, no second meaning of a path.

-- As they are, or a refusal: a configuration with a path that is none is refused as a whole when it is applied.
create function outbox.checked_paths(p_paths jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_path text;
begin
  for v_path in select jsonb_array_elements_text(p_paths) loop
    begin
      perform v_path::jsonpath;
    exception when syntax_error or data_exception then
      raise exception 'a template holds %, which is no jsonpath: %', quote_literal(v_path), sqlerrm
        using errcode = 'OB002', hint = 'temporal-outbox config check with OUTBOX_DATABASE_URL names the line.';
    end;
  end loop;
  return p_paths;
end $$;

alter table outbox.destinations add column paths jsonb generated always as (outbox.checked_paths(config -> 'paths')) stored;

-- Asked once for every chunk of rows: who has any. Mostly nobody, and then this is an empty page.
create index destinations_with_paths on outbox.destinations (name) where paths is not null;

-- What the destination's paths find in a payload, by path: a text, number or boolean as text; null for nothing, for null, for an object or
-- list, and for what a path cannot be applied to. As filters: days and times without a zone are UTC.
create function outbox.extracted(p_destination text, p_payload text) returns jsonb
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp set timezone = 'UTC' as $$
declare
  v_found jsonb;
  v_path  text;
  v_all   jsonb := '{}';
begin
  for v_path in select jsonb_array_elements_text(paths) from outbox.destinations where name = p_destination loop
    begin
      v_found := jsonb_path_query_first_tz(p_payload::jsonb, v_path::jsonpath, '{}', true);
    exception when others then
      v_found := null;
    end;
    v_all := v_all || jsonb_build_object(v_path,
      case when jsonb_typeof(v_found) in ('string', 'number', 'boolean') then v_found #>> '{}' end);
  end loop;
  return v_all;
end $$;
