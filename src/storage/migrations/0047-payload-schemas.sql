-- JSON Schemas of outbox.yaml that the database itself holds payloads to (events.<type>.enforced), whoever writes them. The keywords are those
-- of draft 2020-12 that src/config/enforceable.ts lets through; a file with another one is refused there, so none is silently left out.

create table outbox.payload_schemas (
  type   text primary key,
  schema jsonb not null
);

-- What is wrong with a value by a schema, with its place; null when nothing is. In the words of the validator that producers in Node use.
create function outbox.schema_problem(p_root jsonb, p_schema jsonb, p_value jsonb, p_at text) returns text
language plpgsql immutable as $$
declare
  v_type    text := jsonb_typeof(p_value);
  v_problem text;
  v_part    jsonb;
  v_fitting integer;
begin
  if p_schema = 'true' then
    return null;
  elsif p_schema = 'false' then
    return p_at || ': boolean schema is false';
  end if;
  if p_schema ? '$ref' then
    v_problem := outbox.schema_problem(p_root, outbox.schema_at(p_root, p_schema ->> '$ref'), p_value, p_at);
    if v_problem is not null then
      return v_problem;
    end if;
  end if;
  if p_schema ? 'type' and p_schema ->> 'type' <> v_type and not outbox.is_of_type(p_value, v_type, p_schema -> 'type') then
    return p_at || ': must be ' || case when jsonb_typeof(p_schema -> 'type') = 'string' then p_schema ->> 'type'
      else (select string_agg(t, ',') from jsonb_array_elements_text(p_schema -> 'type') t) end;
  end if;
  if p_schema ? 'const' and p_value <> p_schema -> 'const' then
    return p_at || ': must be equal to constant';
  end if;
  if p_schema ? 'enum' and not exists (select from jsonb_array_elements(p_schema -> 'enum') e where e = p_value) then
    return p_at || ': must be equal to one of the allowed values';
  end if;
  v_problem := case
    when v_type = 'object' then outbox.object_problem(p_root, p_schema, p_value, p_at)
    when v_type = 'array' then outbox.list_problem(p_root, p_schema, p_value, p_at)
    when v_type = 'string' and p_schema ?| array['pattern', 'minLength', 'maxLength'] then outbox.text_problem(p_schema, p_value #>> '{}', p_at)
    when v_type = 'number' and p_schema ?| array['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']
      then outbox.number_problem(p_schema, (p_value #>> '{}')::numeric, p_at)
  end;
  if v_problem is not null then
    return v_problem;
  end if;
  -- Asked for first, here and below: a query for nothing costs more than all the rest.
  if p_schema ? 'allOf' then
    for v_part in select jsonb_array_elements(p_schema -> 'allOf') loop
      v_problem := outbox.schema_problem(p_root, v_part, p_value, p_at);
      if v_problem is not null then
        return v_problem;
      end if;
    end loop;
  end if;
  if p_schema ? 'anyOf' and not exists (
       select from jsonb_array_elements(p_schema -> 'anyOf') s where outbox.schema_problem(p_root, s, p_value, p_at) is null) then
    return p_at || ': must match a schema in anyOf';
  end if;
  if p_schema ? 'oneOf' then
    select count(*) into v_fitting from jsonb_array_elements(p_schema -> 'oneOf') s where outbox.schema_problem(p_root, s, p_value, p_at) is null;
    if v_fitting <> 1 then
      return p_at || ': must match exactly one schema in oneOf';
    end if;
  end if;
  if p_schema ? 'not' and outbox.schema_problem(p_root, p_schema -> 'not', p_value, p_at) is null then
    return p_at || ': must NOT be valid';
  end if;
  if p_schema ? 'if' then
    v_part := p_schema -> case when outbox.schema_problem(p_root, p_schema -> 'if', p_value, p_at) is null then 'then' else 'else' end;
    return case when v_part is not null then outbox.schema_problem(p_root, v_part, p_value, p_at) end;
  end if;
  return null;
end $$;

create function outbox.is_of_type(p_value jsonb, p_type text, p_types jsonb) returns boolean
language sql immutable as $$
  select exists (
    select from jsonb_array_elements_text(case when jsonb_typeof(p_types) = 'array' then p_types else jsonb_build_array(p_types) end) t
    where t = p_type
      or t = 'integer' and case when p_type = 'number' then (p_value #>> '{}')::numeric = trunc((p_value #>> '{}')::numeric) end)
$$;

-- `#`, or `#/$defs/line`: a JSON Pointer (RFC 6901).
create function outbox.schema_at(p_root jsonb, p_ref text) returns jsonb
language sql immutable as $$
  select p_root #> array(
    select replace(replace(step, '~1', '/'), '~0', '~') from unnest(string_to_array(substr(p_ref, 3), '/')) with ordinality s(step, n)
    where length(p_ref) > 1 order by n)
$$;

create function outbox.text_problem(p_schema jsonb, p_value text, p_at text) returns text
language sql immutable as $$
  select p_at || ': must ' || case
    when char_length(p_value) < (p_schema ->> 'minLength')::numeric then format('NOT have fewer than %s characters', p_schema ->> 'minLength')
    when char_length(p_value) > (p_schema ->> 'maxLength')::numeric then format('NOT have more than %s characters', p_schema ->> 'maxLength')
    when not p_value ~ (p_schema ->> 'pattern') collate "C" then format('match pattern "%s"', p_schema ->> 'pattern')
  end
$$;

create function outbox.number_problem(p_schema jsonb, p_value numeric, p_at text) returns text
language sql immutable as $$
  select p_at || ': must be ' || case
    when p_value < (p_schema ->> 'minimum')::numeric then '>= ' || (p_schema ->> 'minimum')
    when p_value > (p_schema ->> 'maximum')::numeric then '<= ' || (p_schema ->> 'maximum')
    when p_value <= (p_schema ->> 'exclusiveMinimum')::numeric then '> ' || (p_schema ->> 'exclusiveMinimum')
    when p_value >= (p_schema ->> 'exclusiveMaximum')::numeric then '< ' || (p_schema ->> 'exclusiveMaximum')
    when p_value % (p_schema ->> 'multipleOf')::numeric <> 0 then 'multiple of ' || (p_schema ->> 'multipleOf')
  end
$$;

create function outbox.list_problem(p_root jsonb, p_schema jsonb, p_value jsonb, p_at text) returns text
language plpgsql immutable as $$
declare
  v_length  integer := jsonb_array_length(p_value);
  v_leading integer := coalesce(jsonb_array_length(p_schema -> 'prefixItems'), 0);
  v_fitting integer;
  v_problem text;
begin
  if v_length < (p_schema ->> 'minItems')::numeric then
    return format('%s: must NOT have fewer than %s items', p_at, p_schema ->> 'minItems');
  elsif v_length > (p_schema ->> 'maxItems')::numeric then
    return format('%s: must NOT have more than %s items', p_at, p_schema ->> 'maxItems');
  elsif p_schema -> 'uniqueItems' = 'true' and (select count(distinct e) from jsonb_array_elements(p_value) e) < v_length then
    return p_at || ': must NOT have duplicate items';
  end if;
  for n in 0 .. case when p_schema ? 'items' then v_length else least(v_leading, v_length) end - 1 loop
    v_problem := outbox.schema_problem(p_root, case when n < v_leading then p_schema -> 'prefixItems' -> n else p_schema -> 'items' end,
                                       p_value -> n, format('%s[%s]', p_at, n));
    if v_problem is not null then
      return v_problem;
    end if;
  end loop;
  if p_schema ? 'contains' then
    select count(*) into v_fitting from jsonb_array_elements(p_value) e where outbox.schema_problem(p_root, p_schema -> 'contains', e, p_at) is null;
    if v_fitting < coalesce((p_schema ->> 'minContains')::numeric, 1) or v_fitting > (p_schema ->> 'maxContains')::numeric then
      return p_at || ': must contain as many valid items as the schema says';
    end if;
  end if;
  return null;
end $$;

create function outbox.object_problem(p_root jsonb, p_schema jsonb, p_value jsonb, p_at text) returns text
language plpgsql immutable as $$
declare
  v_count   integer;
  v_problem text;
  v_name    text;
  v_other   text;
  v_member  jsonb;
begin
  for n in 0 .. coalesce(jsonb_array_length(p_schema -> 'required'), 0) - 1 loop
    if not p_value ? (p_schema -> 'required' ->> n) then
      return format('%s: must have required property ''%s''', p_at, p_schema -> 'required' ->> n);
    end if;
  end loop;
  if p_schema ?| array['minProperties', 'maxProperties'] then
    select count(*) into v_count from jsonb_object_keys(p_value);
    if v_count < (p_schema ->> 'minProperties')::numeric then
      return format('%s: must NOT have fewer than %s properties', p_at, p_schema ->> 'minProperties');
    elsif v_count > (p_schema ->> 'maxProperties')::numeric then
      return format('%s: must NOT have more than %s properties', p_at, p_schema ->> 'maxProperties');
    end if;
  end if;
  if not p_schema ?| array['properties', 'patternProperties', 'additionalProperties', 'propertyNames', 'dependentRequired'] then
    return null;
  end if;
  for v_name, v_member in select key, value from jsonb_each(p_value) loop
    v_problem := outbox.member_problem(p_root, p_schema, v_name, v_member, p_at);
    if v_problem is not null then
      return v_problem;
    end if;
    for n in 0 .. coalesce(jsonb_array_length(p_schema -> 'dependentRequired' -> v_name), 0) - 1 loop
      v_other := p_schema -> 'dependentRequired' -> v_name ->> n;
      if not p_value ? v_other then
        return format('%s: must have property %s when property %s is present', p_at, v_other, v_name);
      end if;
    end loop;
  end loop;
  return null;
end $$;

create function outbox.member_problem(p_root jsonb, p_schema jsonb, p_name text, p_member jsonb, p_at text) returns text
language plpgsql immutable as $$
declare
  v_problem text;
  v_pattern text;
  v_is_told boolean := coalesce(p_schema -> 'properties' ? p_name, false);
  v_at      text := p_at || '.' || p_name;
begin
  if p_schema ? 'propertyNames' and outbox.schema_problem(p_root, p_schema -> 'propertyNames', to_jsonb(p_name), p_at) is not null then
    return format('%s: property name must be valid (%s)', p_at, to_jsonb(p_name));
  end if;
  if v_is_told then
    v_problem := outbox.schema_problem(p_root, p_schema -> 'properties' -> p_name, p_member, v_at);
    if v_problem is not null then
      return v_problem;
    end if;
  end if;
  if p_schema ? 'patternProperties' then
    for v_pattern in select jsonb_object_keys(p_schema -> 'patternProperties') loop
      continue when not p_name ~ v_pattern collate "C";
      v_is_told := true;
      v_problem := outbox.schema_problem(p_root, p_schema -> 'patternProperties' -> v_pattern, p_member, v_at);
      if v_problem is not null then
        return v_problem;
      end if;
    end loop;
  end if;
  if v_is_told or not p_schema ? 'additionalProperties' then
    return null;
  elsif p_schema -> 'additionalProperties' = 'false' then
    return format('%s: must NOT have additional properties (%s)', p_at, to_jsonb(p_name));
  end if;
  return outbox.schema_problem(p_root, p_schema -> 'additionalProperties', p_member, v_at);
end $$;

-- @throws OB003
create function outbox.refuse_payload(p_type text, p_schema jsonb, p_payload jsonb) returns void
language plpgsql immutable as $$
declare
  -- A payload of bytes is null here.
  v_problem text := case when p_payload is null then 'payload_bytes: events of this type have a schema, their payload is JSON'
                         else outbox.schema_problem(p_schema, p_schema, p_payload, 'payload') end;
begin
  if v_problem is not null then
    raise exception '%: %', p_type, v_problem
      using errcode = 'OB003', hint = 'outbox.yaml has the database hold this type to its schema (enforced); temporal-outbox events schema prints it.';
  end if;
end $$;

-- Of half messages, when they are prepared: that a producer may commit must not hang on what is in them.
create function outbox.check_prepared() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform outbox.refuse_payload(s.type, s.schema, new.payload) from outbox.payload_schemas s where s.type = new.type;
  return new;
end $$;

create trigger check_prepared before insert on outbox.prepared_messages
  for each row when (new.content_type is distinct from 'application/vnd.temporal-outbox.encrypted+json') execute function outbox.check_prepared();

create or replace function outbox.route_new_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_taken text;
  v_keyed boolean;
begin
  -- It acts with its owner's rights: on a table of somebody else's, a column's type would bring casts and operators of theirs into
  -- the statements below. Nobody may execute it, so nobody can attach it; this holds where somebody granted that by hand.
  if tg_table_schema <> 'outbox' or tg_table_name <> 'events' then
    raise exception 'outbox.route_new_events belongs to outbox.events alone' using errcode = 'insufficient_privilege';
  end if;
  if exists (select from new_events where dedup_key is not null) then
    -- In order, so that two statements with the same keys wait for each other one way round. outbox.enqueue has been here before.
    insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
    select dedup_key, id, outbox.event_digest(type, payload, headers, key, source, subject, content_type, payload_bytes)
    from new_events where dedup_key is not null order by dedup_key
    on conflict (dedup_key) do nothing;
    select n.dedup_key into v_taken
    from new_events n join outbox.event_dedup_keys k on k.dedup_key = n.dedup_key where k.event_id <> n.id limit 1;
    if found then
      raise exception 'dedup key % names another event', quote_literal(v_taken)
        using errcode = 'unique_violation', constraint = 'event_dedup_keys_are_unique', schema = 'outbox', table = 'event_dedup_keys',
              hint = 'It names one event. outbox.enqueue(…) answers a repeat with the event it names.';
    end if;
  end if;

  -- What a producer prepared was looked at then.
  if exists (select from outbox.payload_schemas) and coalesce(current_setting('outbox.settling', true), '') <> 'on' then
    perform outbox.refuse_payload(s.type, s.schema, n.payload)
    from new_events n join outbox.payload_schemas s on s.type = n.type where n.content_type <> outbox.encrypted_type();
  end if;

  -- Producers of one key take turns until commit, so that seq follows commit order per key. Locked in sorted order
  -- (no deadlock within a statement), in 1024 slots (a million keys do not fill the lock table), and before seq is given:
  -- an identity column would have been evaluated earlier.
  v_keyed := exists (select from outbox.destinations where ordering = 'key');
  if v_keyed then
    perform outbox.lock_keys(array(select key from new_events where key is not null));
  end if;

  -- A filter finds nothing in a payload of bytes, which is null here: no route with one takes it.
  -- One pass over the new rows, each looking its routes up: joining two CTEs here was a nested loop over estimates, and made
  -- 100,000 rows in one statement take four minutes in place of seconds.
  with routed as materialized (
    select n.ordinal, n.id, n.type, n.key, n.deliver_at, r.destination
    from (select row_number() over () as ordinal, id, type, key, payload, deliver_at from new_events) n
    left join lateral (
      select distinct r.destination from outbox.routes r
      where n.type like r.type_like
        and case case when r.filter_may_fail then 'guarded' else r.filter_mode end
                               when 'guarded' then outbox.filter_holds(n.payload, r.filter, r.filter_mode)
                               when 'predicate' then n.payload @@ r.filter
                               when 'items' then n.payload @? r.filter
                               else true end) r on true
  ), unmatched as (
    insert into outbox.unrouted (event_id, type) select id, type from routed where destination is null
  )
  insert into outbox.deliveries (event_id, destination, seq, state, due_at, key)
  select o.id, o.destination, nextval('outbox.delivery_seq'),
         case when o.deliver_at > now() then 'scheduled' else 'pending' end,
         case when o.deliver_at > now() then o.deliver_at end,
         -- A destination that became keyed since the look above: its key was not locked, so this event is in no order yet.
         case when v_keyed and o.ordering = 'key' then o.key end
  from (select r.*, d.ordering from routed r join outbox.destinations d on d.name = r.destination
        order by r.ordinal, r.destination) o;
  return null;
end $$;

create or replace function outbox.apply_config(p_config jsonb, p_source text, p_checksum text, p_actor text) returns jsonb
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
      using errcode = 'OB002', hint = 'Workflow ids and the task queue carry the name. While nothing is open under it, temporal-outbox config rename gives it another.';
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
  delete from outbox.payload_schemas;
  insert into outbox.payload_schemas (type, schema)
  select e.key, e.value -> 'schema' from jsonb_each(p_config -> 'events') e where e.value -> 'enforced' = 'true';
  insert into outbox.config_revisions (revision, checksum, source, config, applied_by)
  values (v_settings.config_revision, p_checksum, p_source, p_config, p_actor);
  update outbox.settings set name = v_name, config_revision = v_settings.config_revision;
  return jsonb_build_object('revision', v_settings.config_revision, 'changed', true,
    'destinations', (select count(*) from outbox.destinations), 'routes', jsonb_array_length(p_config -> 'routes'),
    'filterModes', (select coalesce(jsonb_object_agg(pattern || ' ' || filter::text, filter_mode), '{}') from outbox.routes where filter is not null));
end $$;
