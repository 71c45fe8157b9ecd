-- Two groups without login, the cluster's as all roles are. outbox_consumer: what a consuming service needs; grant it to its user. outbox_inbox_owner: owns
-- the schema where a superuser migrated, so that SECURITY DEFINER functions never run as one.
-- Where the migrating user may not create roles, the schema stays its own and granting is left to the administrator.
do $$
declare
  v_role text;
  v_name text;
  v_object record;
begin
  revoke all on all functions in schema outbox_inbox from public;
  foreach v_role in array array['outbox_consumer', 'outbox_inbox_owner'] loop
    if exists (select from pg_roles where rolname = v_role) then continue; end if;
    if not (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) then
      raise notice 'role % does not exist and % may not create it: roles are skipped', v_role, current_user;
      return;
    end if;
    begin
      execute format('create role %I nologin', v_role);
    exception when duplicate_object or unique_violation then null; -- a migration of another database was quicker
    end;
  end loop;

  -- From nothing, so that what an earlier version granted and nobody needs any more is gone.
  execute 'revoke all on all tables in schema outbox_inbox from outbox_consumer';
  execute 'revoke all on all functions in schema outbox_inbox from outbox_consumer';
  grant usage on schema outbox_inbox to outbox_consumer;
  for v_name in
    select c.relname from pg_class c where c.relnamespace = 'outbox_inbox'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname !~ '_[0-9]{8}$'
  loop
    execute format('grant select on outbox_inbox.%I to outbox_consumer', v_name);
  end loop;
  grant insert, update on outbox_inbox.messages, outbox_inbox.parked to outbox_consumer;
  grant insert, update, delete on outbox_inbox.attempts to outbox_consumer;
  grant insert on outbox_inbox.parked_audit to outbox_consumer;
  -- Never a trigger function, nor what deletes. Further ones by name, as they are made.
  for v_name in
    select p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = 'outbox_inbox'::regnamespace and p.prorettype <> 'trigger'::regtype
      and p.proname = any (array['uuid7_floor', 'uuid7_time', 'week_of', 'id_of', 'take', 'claim', 'spoil', 'make_partitions',
        'begin_attempts', 'begin_alone', 'end_attempt', 'forget_attempts', 'keep', 'keep_on', 'due', 'extend', 'applied', 'resolve_parked'])
  loop
    execute format('grant execute on function %s to outbox_consumer', v_name);
  end loop;
  if pg_has_role(current_user, 'outbox_inbox_owner', 'usage') then
    alter default privileges for role outbox_inbox_owner revoke execute on functions from public;
  end if;

  if not (select rolsuper from pg_roles where rolname = current_user) then return; end if;
  for v_object in
    select format('alter table outbox_inbox.%I owner to outbox_inbox_owner', c.relname) as ddl
    from pg_class c where c.relnamespace = 'outbox_inbox'::regnamespace and c.relkind in ('r', 'p')
    union all
    select format('alter function %s owner to outbox_inbox_owner', p.oid::regprocedure)
    from pg_proc p where p.pronamespace = 'outbox_inbox'::regnamespace
    union all
    select 'alter schema outbox_inbox owner to outbox_inbox_owner'
  loop
    execute v_object.ddl;
  end loop;
end $$;
