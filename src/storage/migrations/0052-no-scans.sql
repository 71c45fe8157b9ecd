-- A plan that plpgsql keeps is made for the table as it is, mostly a small one: ten rows by their addresses, or by `seq = any (…)`, are then taken for
-- dearer than the whole table, and as it grows each claim reads all of it until a vacuum or an analyze comes by. With 8,000 rows waiting for
-- destinations that were away, a claim took 2 ms longer by that, eight times its update. None of these ever has a use for a whole table.
--
-- Versions before 18 add a fine of 10^10 to a scan that cannot be avoided, as of a table without indexes, and at such prices compile the plan: 50 ms.
--
-- Whoever replaces one of these functions has to say so again.
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'outbox'::regnamespace and l.lanname = 'plpgsql' and (
      p.proname in (
        'claim', 'claim_shared', 'take_keyed', 'release_keys', 'release_batch', 'return_tails', 'part_off', 'sort_out', 'hand_back', 'give_back', 'break_up',
        'split_off', 'claim_probe', 'finish_probe', 'load_rows', 'load_claimed', 'load_these', 'acknowledge', 'acknowledge_late',
        'record_failures', 'return_rows', 'thin_attempts', 'park_rows', 'park_pending', 'park_batch', 'finish_attempt', 'batch_summary', 'resolve',
        'apply_retry', 'apply_edit', 'apply_redirect', 'apply_discard', 'take_turns', 'claim_messages', 'promote_due', 'event_of')
      or exists (select from unnest(p.proconfig) c where c = 'enable_seqscan=off'))
  loop
    execute format('alter function %s set enable_seqscan = off', v_function);
    execute format('alter function %s set jit = off', v_function);
  end loop;

  -- What a command or a producer names is a hundred rows by estimate, for which all of a table of 400 is hashed: each command read it whole, twice, and
  -- so each `enqueue` with a dedup key all keys.
  for v_function in
    select p.oid from pg_proc p
    where p.pronamespace = 'outbox'::regnamespace and p.proconfig is not null and p.proname in (
      'resolve', 'apply_retry', 'apply_edit', 'apply_redirect', 'apply_discard', 'take_turns', 'standing_for_audit', 'deliveries_for_audit', 'note_command',
      'why_refused', 'why_not_allowed', 'meaning_of', 'sent_now', 'type_of', 'key_of', 'resolve_messages', 'why_message_refused', 'message_state',
      'enqueue_all', 'prepare_messages')
  loop
    execute format('alter function %s set enable_seqscan = off', v_function);
    execute format('alter function %s set enable_hashjoin = off', v_function);
    execute format('alter function %s set enable_mergejoin = off', v_function);
    execute format('alter function %s set jit = off', v_function);
  end loop;
end $$;
