-- A person can pause a workflow in the Temporal UI, or the activity it is in: it is there, and does nothing. Where that was seen it stands
-- beside the rows, so that whoever looks at them is told, without asking Temporal. Null: not paused, as far as anybody saw.
alter table outbox.batches add column paused_in_temporal text;
alter table outbox.message_batches add column paused_in_temporal text;
alter table outbox.circuits add column paused_in_temporal text;

-- Notes what was seen of the workflow that owns a batch of deliveries, or of half messages. Answers whether that is news.
create function outbox.note_paused(p_workflow text, p_note text) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
declare
  v_deliveries integer;
  v_messages   integer;
begin
  update outbox.batches set paused_in_temporal = p_note
  where workflow_id = p_workflow and paused_in_temporal is distinct from p_note;
  get diagnostics v_deliveries = row_count;
  update outbox.message_batches set paused_in_temporal = p_note
  where workflow_id = p_workflow and paused_in_temporal is distinct from p_note;
  get diagnostics v_messages = row_count;
  return v_deliveries + v_messages > 0;
end $$;

-- The same of a destination's own workflow.
create function outbox.note_destination_paused(p_destination text, p_note text) returns boolean
language plpgsql set search_path = pg_catalog, outbox, pg_temp as $$
begin
  update outbox.circuits set paused_in_temporal = p_note
  where destination = p_destination and paused_in_temporal is distinct from p_note;
  return found;
end $$;
