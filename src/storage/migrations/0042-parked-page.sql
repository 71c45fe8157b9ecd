-- As before (0006), and for a page that says where to go on: the cause of what is parked, the address of the dashboard, and runbooks.
create or replace function outbox.batch_summary(p_workflow text) returns jsonb
language plpgsql stable set search_path = pg_catalog, outbox, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
  return (with mine as materialized (
    select d.* from outbox.batches b join outbox.deliveries d on d.batch_id = b.id where b.workflow_id = p_workflow
  )
  select jsonb_build_object(
    'left', (select count(*) from mine),
    'unsent', (select count(*) from mine where state = 'claimed'),
    'retrying', (select count(*) from mine where state = 'retry'),
    'nextDueMs', (select ceil(extract(epoch from min(due_at) - now()) * 1000) from mine where state = 'retry'),
    'parked', (select count(*) from mine where state = 'parked'),
    'rows', (select coalesce(jsonb_agg(to_jsonb(r)), '[]') from (
      select d.event_id as "eventId", d.destination, d.state, d.tries, d.attempts, d.revision,
             coalesce(l.event_type, e.type) as "eventType", l.id as "deadLetterId", l.cause, l.reason, l.parked_at as "parkedAt",
             coalesce(l.last_status, a.status) as status, coalesce(l.last_error_class, a.error_class) as "errorClass", d.due_at as "dueAt"
      from (select * from mine where state in ('retry', 'parked') order by state, seq limit 20) d
      left join outbox.dead_letters l on l.event_id = d.event_id and l.destination = d.destination and l.resolved_at is null
      left join lateral (select type from outbox.events where id = d.event_id
                         union all select type from outbox.events_kept where id = d.event_id limit 1) e on true
      left join lateral (select * from outbox.attempts t where t.event_id = d.event_id and t.destination = d.destination
                           and t.at <= now() order by t.at desc limit 1) a on l.id is null) r),
    'links', case when exists (select from mine where state = 'parked') then (
      select jsonb_build_object('dashboard', c.config #>> '{dashboard,url}',
        'runbooks', (select jsonb_object_agg(d.name, d.config ->> 'runbook') from outbox.destinations d
                     where d.config ? 'runbook' and d.name in (select destination from mine where state = 'parked')))
      from outbox.settings s join outbox.config_revisions c on c.revision = s.config_revision) end,
    'singles', '[]'::jsonb));
end $$;
