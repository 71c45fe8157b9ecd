-- One writer of configuration: each apply is a new revision, and relays and workers read it from here, so an older file in a
-- rolling deployment cannot win.

-- Which operator a filter needs. A predicate path answers `@@` with a boolean even on an empty object; a path that yields items
-- makes jsonb_path_match complain.
create function outbox.filter_mode(p_filter jsonpath) returns text
language plpgsql stable strict set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  -- A variable has no value anywhere: each event that reaches it would fail its producer's transaction. Quoted texts are
  -- stepped over, `$"name"` is how PostgreSQL prints a variable.
  if exists (select from regexp_matches(p_filter::text, '(\$?)"(?:[^"\\]|\\.)*"', 'g') m where m[1] = '$') then
    raise exception 'the filter % uses a variable, and there are none', p_filter using errcode = 'invalid_parameter_value';
  end if;
  perform jsonb_path_match_tz('{}', p_filter);
  return 'predicate';
exception when singleton_sql_json_item_required then
  return 'items';
end $$;

-- @throws OB002 naming the filter, where PostgreSQL does not understand it
create function outbox.parse_filter(p_where text) returns jsonpath
language plpgsql stable strict set search_path = pg_catalog, pg_temp as $$
begin
  perform outbox.filter_mode(p_where::jsonpath);
  return p_where::jsonpath;
exception when others then
  raise exception 'where: % is no jsonpath that PostgreSQL understands: %', quote_literal(p_where), sqlerrm using errcode = 'OB002';
end $$;

-- p_config: { name, destinations: [{ name, type, ordering?, onPark?, rateLimit?: { limit, perMs }, batch: { maximum, inFlight, splitUpTo }, … }],
-- routes: [{ match, like, where, to: [] }], producers: [{ name, graceMs, … }] }.
-- Answers { revision, changed, destinations, routes, filterModes }.
create function outbox.apply_config(p_config jsonb, p_source text, p_checksum text, p_actor text) returns jsonb
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_settings outbox.settings;
  v_removed  text;
  v_name     text := p_config ->> 'name';
begin
  select * into v_settings from outbox.settings for update;
  if v_settings.config_revision > 0 and v_settings.name is distinct from v_name then
    raise exception 'this database is named %, the configuration says %', coalesce(quote_literal(v_settings.name), '(nothing)'),
      coalesce(quote_literal(v_name), '(nothing)')
      using errcode = 'OB002', hint = 'Workflow ids and the task queue carry the name; it cannot change while the database lives.';
  end if;
  if (select checksum from outbox.config_revisions where revision = v_settings.config_revision) = p_checksum then
    return jsonb_build_object('revision', v_settings.config_revision, 'changed', false);
  end if;

  select string_agg(d.name, ', ' order by d.name) into v_removed
  from outbox.destinations d
  where not exists (select from jsonb_array_elements(p_config -> 'destinations') n where n ->> 'name' = d.name)
    and exists (select from outbox.deliveries v where v.destination = d.name);
  if v_removed is not null then
    raise exception 'destination % still has unsettled deliveries', v_removed
      using errcode = 'OB002', hint = 'Take its routes away first, let it drain or resolve its dead letters, then remove it.';
  end if;

  select string_agg(p.name, ', ' order by p.name) into v_removed
  from outbox.producers p
  where not exists (select from jsonb_array_elements(p_config -> 'producers') n where n ->> 'name' = p.name)
    and exists (select from outbox.prepared_messages m where m.producer = p.name and m.state in ('prepared', 'parked'));
  if v_removed is not null then
    raise exception 'producer % still has open half messages', v_removed
      using errcode = 'OB002', hint = 'Let them be checked back, or commit or roll them back by hand, then remove it.';
  end if;

  v_settings.config_revision := v_settings.config_revision + 1;
  delete from outbox.routes;
  delete from outbox.destinations d
  where not exists (select from jsonb_array_elements(p_config -> 'destinations') n where n ->> 'name' = d.name);
  delete from outbox.lanes l where not exists (select from jsonb_array_elements(p_config -> 'destinations') n where n ->> 'name' = l.name);
  perform outbox.change_ordering(o.name, coalesce(n ->> 'ordering', 'none'), coalesce(n ->> 'onPark', 'block'))
  from jsonb_array_elements(p_config -> 'destinations') n join outbox.destinations o on o.name = n ->> 'name';
  insert into outbox.destinations (name, type, config, ordering, on_park, rate_per_second, rate_burst,
                                   batch_maximum, batch_in_flight, split_up_to, config_revision)
  select n ->> 'name', n ->> 'type', n, coalesce(n ->> 'ordering', 'none'), coalesce(n ->> 'onPark', 'block'),
         r.per_second, outbox.rate_burst((n #>> '{rateLimit,limit}')::int, r.per_second), (n #>> '{batch,maximum}')::int,
         (n #>> '{batch,inFlight}')::int, (n #>> '{batch,splitUpTo}')::int, v_settings.config_revision
  from jsonb_array_elements(p_config -> 'destinations') n
  cross join lateral (select (n #>> '{rateLimit,limit}')::float8 * 1000 / (n #>> '{rateLimit,perMs}')::float8 as per_second) r
  on conflict (name) do update set type = excluded.type, config = excluded.config, ordering = excluded.ordering,
    on_park = excluded.on_park, rate_per_second = excluded.rate_per_second, rate_burst = excluded.rate_burst,
    batch_maximum = excluded.batch_maximum, batch_in_flight = excluded.batch_in_flight, split_up_to = excluded.split_up_to,
    config_revision = excluded.config_revision;
  insert into outbox.routes (position, pattern, type_like, filter, filter_mode, filter_may_fail, destination)
  select r.position, r.value ->> 'match', r.value ->> 'like', f.filter, outbox.filter_mode(f.filter),
         coalesce(f.filter::text ~ '\.(datetime|date|time|time_tz|timestamp|timestamp_tz|decimal)\(', false), t.destination
  from jsonb_array_elements(p_config -> 'routes') with ordinality r(value, position)
  cross join lateral (select outbox.parse_filter(r.value ->> 'where') as filter offset 0) f
  cross join lateral jsonb_array_elements_text(r.value -> 'to') t(destination);
  update outbox.retention r set keep = (p_config -> 'retention' ->> (r.what || 'Ms'))::float8 * interval '1 ms'
  where p_config -> 'retention' ? (r.what || 'Ms');
  delete from outbox.producers p where not exists (select from jsonb_array_elements(p_config -> 'producers') n where n ->> 'name' = p.name);
  insert into outbox.producers (name, config, grace, config_revision)
  select n ->> 'name', n, (n ->> 'graceMs')::float8 * interval '1 ms', v_settings.config_revision
  from jsonb_array_elements(p_config -> 'producers') n
  on conflict (name) do update set config = excluded.config, grace = excluded.grace, config_revision = excluded.config_revision;
  insert into outbox.config_revisions (revision, checksum, source, config, applied_by)
  values (v_settings.config_revision, p_checksum, p_source, p_config, p_actor);
  update outbox.settings set name = v_name, config_revision = v_settings.config_revision;
  return jsonb_build_object('revision', v_settings.config_revision, 'changed', true,
    'destinations', (select count(*) from outbox.destinations), 'routes', jsonb_array_length(p_config -> 'routes'),
    'filterModes', (select coalesce(jsonb_object_agg(pattern || ' ' || filter::text, filter_mode), '{}') from outbox.routes where filter is not null));
end $$;
