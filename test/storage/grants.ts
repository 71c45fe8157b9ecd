/**
 * What each role may do in the schema, in full: roles.sql is held to it. A function of yours that is missing here is granted to nobody; give it to
 * the role whose programs call it (or call, with their caller's rights, a function that does), there and here.
 */
export interface Grants {
  /** Names of functions it may execute. */
  readonly functions: string;
  /** `table: PRIVILEGE, PRIVILEGE(column, column)`, a line each. Everything a role reads whole is in {@link Grants.reads}. */
  readonly tables: readonly string[];
  /** Tables it may select from, whole. */
  readonly reads: string;
}

const everything = `
      alert_look alerts announced_commands attempts attempts_kept audit batches circuit_openings circuits causes config_revisions dead_letters delivered deliveries
      destinations event_dedup_keys events events_kept first_words flow housekeeping lags lanes marks message_batches
      migrations missed_events outgoing_events payload_schemas prepared_messages producers redrive_members redrive_workflows
      redrives relays replay_members replays retention revisions routes settings shares tokens unrouted
      workers`;

export const grants: Readonly<Record<string, Grants>> = {
  outbox_producer: {
    functions: `
      commit_message commit_messages enqueue enqueue_all enqueue_events message_state prepare_message prepare_messages
      rollback_message rollback_messages uuid7 uuid7_time`,
    reads: '',
    tables: [
      'events: INSERT(content_type, dedup_key, deliver_at, headers, id, key, payload, payload_bytes, source, subject, type), SELECT(deliver_at, id, key, type)',
      'outgoing_events: INSERT, SELECT',
    ],
  },
  outbox_api: {
    functions: `
      api_settings commit_message commit_messages enqueue_all enqueue_events message_state prepare_message
      prepare_messages rollback_message rollback_messages`,
    reads: 'migrations',
    tables: [],
  },
  outbox_operator: {
    functions: `
      accept_home adopt_temporal announce_command apply_config bind_home bind_temporal checked_paths command_redrive days_ahead
      enqueue enqueue_all enqueue_events erase events_of_key filter_mode freeze_redrive freeze_replay home
      keeps_many_days make_mark make_token may_detach message_state note_cause note_look oldest_transaction_seconds
      partitions_past_retention prepare_revision redrive_now redrive_sample redrive_standing replay_standing
      resolve_messages retention_of revoke_token route_missed routing_known_since seconds_since
      sequences_behind settle_restored uuid7 uuid7_time
      waiting_for_second workflow_prefix`,
    reads: everything,
    tables: [],
  },
  outbox_relay: {
    functions: `
      accept_home acknowledge acknowledge_late adopt_temporal advance_redrive announce_command api_settings
      apply_discard apply_edit apply_redirect apply_retry batch_summary batches_to_check begin_alone bind_home
      bind_temporal break_up cause_id cause_text checked_paths children_of circuit_standing circuits_to_watch claim
      claim_loaded claim_messages claim_probe claim_shared claim_shared_loaded clock_of close_circuit
      command_destination command_redrive command_replay count_outcomes days_ahead deliveries_for_audit
      drop_detached drop_message_batch drop_partition_briefly end_redrive extracted filter_mode finish_attempt
      finish_checks finish_detach finish_probe first_parked forget_messages forgive_run freeze_redrive freeze_replay
      give_back give_share half_open hand_back have_circuit heal_sequences hold_lanes home is_held keep_unsettled
      keeps_many_days key_of know_mixed lanes_with_work latest_mark leave_lanes leave_worker lift_pauses
      load_claimed load_rows load_these lock_keys look_for_alerts make_mark make_partitions may_detach meaning_of
      message_batches_to_check message_state note_cause note_circuit note_command note_destination_paused
      note_failed_probe note_flow note_lacking note_lags note_look note_paused note_unwritten
      oldest_transaction_seconds open_batch open_circuit open_messages park_batch park_pending park_rows
      park_unwritten part_off partitions_past_retention pause_destination prepare_revision promote_due purge
      purge_replays ration_retries reach_of readdress_command record_failures redrive_now redrive_sample
      redrive_standing redrive_untold refund refund_signs release_batch release_keys release_replay renew_lanes
      renew_worker replay_standing resolve resolve_here resolve_messages retention_of return_lost_probe return_rows
      return_tails revoke_token routing_known_since second_person second_said seconds_since sender_of
      sequences_behind set_clock settle_checks settle_restored share_hot shared_lane sift_shared silent_redrives
      sort_out spend_tokens split_off standing_for_audit take_keyed take_nudges take_share take_turns thin_attempts
      tokens_for tokens_now type_of uuid7_time waiting_for_second wake_stranded went_to why_not_allowed why_refused
      workflow_prefix workflows_without_rows`,
    reads: everything,
    tables: [
      'attempts: DELETE, INSERT, UPDATE(charged)',
      'audit: INSERT(action, actor, command_id, destination, event_id, events, message, outcome, reason, via, workflow_id)',
      'batches: DELETE, INSERT, UPDATE',
      'circuits: INSERT, UPDATE',
      'causes: INSERT',
      'dead_letters: INSERT, UPDATE',
      'delivered: INSERT',
      'deliveries: DELETE, INSERT, UPDATE',
      'delivery_seq: USAGE',
      'destinations: UPDATE(paused_at, paused_by_refusals, paused_reason)',
      'housekeeping: UPDATE',
      'lanes: DELETE, INSERT, UPDATE',
      'message_batches: DELETE, INSERT, UPDATE',
      'prepared_messages: DELETE, INSERT, UPDATE',
      'relays: DELETE, INSERT, UPDATE',
      'replays: UPDATE',
      'revisions: INSERT',
      'shares: DELETE, INSERT, UPDATE',
      'workers: DELETE, INSERT, UPDATE',
    ],
  },
};
