-- Payloads that their producers encrypted. Such an event has a content type of its own, by which its row is known, and its payload is an
-- envelope (docs/encryption.md). PostgreSQL cannot look into it: what would have to is refused where the event is written, and an edit
-- that would put plain text in its place is refused too.

create function outbox.encrypted_type() returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select 'application/vnd.temporal-outbox.encrypted+json'
$$;

create function outbox.is_envelope(p_payload jsonb) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_typeof(p_payload) = 'object'
    and p_payload ->> 'alg' = 'A256GCM' and p_payload ->> 'kid' ~ '^[A-Za-z0-9._-]{1,100}$' and p_payload ->> 'form' in ('json', 'bytes')
    and p_payload ?& array['iv', 'tag', 'data', 'contentType']
    and p_payload - array['alg', 'kid', 'iv', 'tag', 'data', 'contentType', 'form'] = '{}', false)
$$;

-- Of events and half messages, for those of that content type alone: others do not come here.
create function outbox.check_encrypted() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_route record;
begin
  -- What a producer prepared was looked at then; that he may commit must not hang on what was configured since.
  if tg_table_name <> 'prepared_messages' and current_setting('outbox.settling', true) = 'on' then
    return new;
  end if;
  if not outbox.is_envelope(new.payload) then
    raise exception 'payload: an event of content type % has an envelope as its payload', new.content_type
      using errcode = 'OB003', hint = 'docs/encryption.md describes it; enqueue with the option encryption makes it.';
  end if;
  select r.destination, r.filter::text as filter, d.paths is not null as templated into v_route
  from outbox.routes r join outbox.destinations d on d.name = r.destination
  where new.type like r.type_like and (r.filter is not null or d.paths is not null)
  order by r.destination limit 1;
  if found then
    raise exception 'payload: % is encrypted, and % needs to look into it', quote_literal(new.type),
      case when v_route.filter is null then format('the destination %s, which takes {$.…} from the payload,', v_route.destination)
           else format('the route to %s where %s', v_route.destination, v_route.filter) end
      using errcode = 'OB003', hint = 'Choose by type, or put what is chosen by into key or headers, which are not encrypted.';
  end if;
  return new;
end $$;

create trigger check_encrypted before insert on outbox.events
  for each row when (new.content_type = 'application/vnd.temporal-outbox.encrypted+json') execute function outbox.check_encrypted();
create trigger check_encrypted before insert on outbox.prepared_messages
  for each row when (new.content_type = 'application/vnd.temporal-outbox.encrypted+json') execute function outbox.check_encrypted();

-- A signal of the Temporal UI, SQL by hand, the patch of a redrive: none of them has a key.
create function outbox.check_encrypted_edit() returns trigger
language plpgsql security definer set search_path = pg_catalog, outbox, pg_temp as $$
begin
  if exists (select from outbox.events where id = new.event_id and content_type = outbox.encrypted_type()
             union all select from outbox.events_kept where id = new.event_id and content_type = outbox.encrypted_type())
     and not outbox.is_envelope(new.payload) then
    raise exception 'its payload is encrypted: edit it on the dashboard, or with temporal-outbox dlq edit';
  end if;
  return new;
end $$;

create trigger check_encrypted_edit before insert on outbox.revisions for each row execute function outbox.check_encrypted_edit();

create or replace function outbox.settle_messages(p_ids uuid[], p_state text, p_by text) returns table (id uuid, event_id uuid)
language plpgsql set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  v_ids       uuid[];
  v_events    uuid[];
  v_workflows text[];
begin
  select array_agg(t.id), array_agg(t.workflow_id) filter (where t.workflow_id is not null) into v_ids, v_workflows
  from (select m.id, m.workflow_id from outbox.prepared_messages m
        where m.id = any (p_ids) and m.state in ('prepared', 'parked') order by m.id for update) t;
  if v_ids is null then
    return;
  end if;
  if p_state = 'committed' then
    v_events := array(select case when outbox.uuid7_time(u.id) > now() - interval '1 day' then u.id else outbox.uuid7() end
                      from unnest(v_ids) with ordinality u(id, n) order by u.n);
    perform set_config('outbox.settling', 'on', true);
    insert into outbox.events (id, type, key, payload, payload_bytes, headers, deliver_at, source, subject, content_type)
    select u.event_id, m.type, m.key, m.payload, m.payload_bytes, m.headers, m.deliver_at, m.source, m.subject, m.content_type
    from unnest(v_ids, v_events) u(id, event_id) join outbox.prepared_messages m on m.id = u.id;
    perform set_config('outbox.settling', '', true);
  end if;
  if v_workflows is not null then
    update outbox.message_batches set nudged_at = now() where workflow_id = any (v_workflows);
  end if;
  return query
  update outbox.prepared_messages m
  set state = p_state, event_id = u.event_id, settled_at = now(), settled_by = p_by,
      digest = outbox.message_digest(m.producer, m.type, m.key, m.payload, m.headers, m.source, m.subject, m.content_type,
                                     m.payload_bytes),
      payload = null, payload_bytes = null, headers = null, key = null, source = null, subject = null, next_check_at = null, workflow_id = null
  from unnest(v_ids, v_events) u(id, event_id) where m.id = u.id
  returning m.id, m.event_id;
end $$;

create or replace function outbox.act_on_member(p_redrive outbox.redrives, p_member outbox.redrive_members) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_now      record;
  v_revision integer;
  v_keyed    boolean;
  v_key      text;
  v_why      text;
begin
  if p_redrive.action = 'edit' then
    select * into v_now from outbox.sent_now(p_member.event_id, p_member.destination);
    if v_now.payload is null then
      raise exception '%', case when v_now.content_type is null then 'its event is no longer in the database' else 'its payload is bytes' end;
    end if;
    if v_now.content_type = outbox.encrypted_type() then
      raise exception 'its payload is encrypted: no patch can look into it';
    end if;
    v_revision := outbox.prepare_revision(p_member.event_id, p_member.destination, outbox.json_patch(v_now.payload, p_redrive.patch)::text, null,
                                          p_redrive.started_by, p_redrive.reason);
    update outbox.deliveries set state = 'pending', batch_id = null, attempts = 0, unreachable = 0, first_attempt_at = null, revision = v_revision
    where event_id = p_member.event_id and destination = p_member.destination;
    return;
  end if;
  select ordering = 'key' into v_keyed from outbox.destinations where name = p_redrive.redirect_to;
  if not found then
    raise exception 'there is no destination % any more', p_redrive.redirect_to;
  end if;
  v_why := outbox.why_not_redirected(p_member.event_id, p_member.destination, p_redrive.redirect_to);
  if v_why is not null then
    raise exception '%', v_why;
  end if;
  insert into outbox.revisions (event_id, destination, revision, payload, payload_bytes, headers, made_by, reason)
  select r.event_id, p_redrive.redirect_to, r.revision, r.payload, r.payload_bytes, r.headers, r.made_by, 'redirected from ' || r.destination
  from outbox.revisions r join outbox.deliveries d on d.event_id = r.event_id and d.destination = r.destination and d.revision = r.revision
  where d.event_id = p_member.event_id and d.destination = p_member.destination
  on conflict do nothing;
  delete from outbox.deliveries where event_id = p_member.event_id and destination = p_member.destination returning key, revision into v_key, v_revision;
  if v_key is not null then
    perform outbox.release_keys(p_member.destination, array[v_key]);
  end if;
  insert into outbox.deliveries (event_id, destination, seq, state, revision, key)
  values (p_member.event_id, p_redrive.redirect_to, nextval('outbox.delivery_seq'), 'pending', v_revision,
          case when v_keyed then outbox.key_of(p_member.event_id) end);
end $$;

create or replace function outbox.redrive_sample(p_id bigint, p_limit integer)
returns table (letter_id bigint, event_id uuid, event_type text, destination text, cause text, last_status integer, last_error text,
               parked_at timestamptz, before text, after text, problem text)
language plpgsql stable security definer set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_patch jsonb := (select patch from outbox.redrives where id = p_id);
begin
  for letter_id, event_id, event_type, destination, cause, last_status, last_error, parked_at in
    select l.id, l.event_id, l.event_type, l.destination, l.cause, l.last_status, l.last_error, l.parked_at
    from outbox.redrive_members m join outbox.dead_letters l on l.id = m.letter_id
    where m.redrive_id = p_id order by m.ordinal limit least(p_limit, 100)
  loop
    before := null; after := null; problem := null;
    if v_patch is not null then
      select case when s.content_type is distinct from outbox.encrypted_type() then s.payload::text end,
             case when s.content_type = outbox.encrypted_type() then 'its payload is encrypted' else 'its payload is bytes, or gone' end
      into before, problem from outbox.sent_now(event_id, destination) s;
      if before is null then
        problem := coalesce(problem, 'its payload is bytes, or gone');
      else
        problem := null;
        begin
          after := outbox.json_patch(before::jsonb, v_patch)::text;
        exception when raise_exception then
          problem := sqlerrm;
        end;
      end if;
    end if;
    return next;
  end loop;
end $$;
