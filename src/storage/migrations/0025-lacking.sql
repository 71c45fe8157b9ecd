-- What a worker lacks (a secret, a variable, a client) to send, or to ask back, by the latest configuration, for other processes to see:
-- { "destinations": { name: { "problem": words, "goesOn": true: by the configuration before } }, "producers": the same }; null when nothing.
alter table outbox.workers add column lacking jsonb;

create function outbox.note_lacking(p_worker uuid, p_lacking jsonb) returns void
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  update outbox.workers set lacking = p_lacking where id = p_worker;
end $$;
