-- Deliveries: one event to one destination. Narrow, hot and short-lived; payloads stay in outbox.events.

-- What `config apply` wrote. `config` is the normalised destination; the columns beside it are what SQL itself needs.
create table outbox.destinations (
  name            text collate "C" primary key,
  type            text not null,
  config          jsonb not null,
  ordering        text not null default 'none',
  -- For ordering by key: whether a parked delivery holds its key up, or lets it pass.
  on_park         text not null default 'block',
  -- Tokens earned a second, and how many may be saved up; null where there is no limit. See 0013.
  rate_per_second double precision,
  rate_burst      double precision,
  batch_maximum   integer not null,
  batch_in_flight integer not null,
  split_up_to     integer not null,
  -- Set by a person or by the destination's own health; its deliveries wait meanwhile.
  paused_at       timestamptz,
  paused_reason   text,
  -- Refusals that were all alike paused it, not a person: nobody may know yet.
  paused_by_refusals boolean not null default false,
  config_revision integer not null,
  constraint destinations_name_is_plain check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  constraint destinations_ordering_is_known check (ordering in ('none', 'key')),
  constraint destinations_on_park_is_known check (on_park in ('block', 'skip')),
  constraint destinations_rate_is_whole check ((rate_per_second is null) = (rate_burst is null) and rate_per_second > 0 and rate_burst >= 1),
  constraint destinations_batch_is_bounded check (
    batch_maximum between 1 and 10000 and batch_in_flight between 1 and 16 and split_up_to between 0 and 50)
);

-- How a destination fares, for every process alike. A destination that never failed has no row here.
create table outbox.circuits (
  destination           text collate "C" primary key references outbox.destinations (name) on delete cascade,
  state                 text collate "C" not null default 'closed',
  since                 timestamptz not null default now(),
  reason                text,
  last_status           integer,
  last_error_class      text,
  -- Counted while closed, by attempts that had failures: what the rate is taken of.
  window_started_at     timestamptz not null default now(),
  requests              integer not null default 0,
  failures              integer not null default 0,
  unreachable_in_a_row  integer not null default 0,
  -- Failures in a row of one class that is the destination's own fault (401, 404, …).
  fault_class           text,
  faults_in_a_row       integer not null default 0,
  -- Of the outage at hand, or the last one.
  opened_at             timestamptz,
  closed_at             timestamptz,
  failed_probes         integer not null default 0,
  next_probe_at         timestamptz,
  -- A receiver that is well asked for time: nothing is claimed until then, and few rows at once in the minute after it.
  wait_until            timestamptz,
  claim_at_most         integer,
  -- The destination's own clock stands while it is paused or its circuit is not closed: since when it does, and for how long it did.
  still_since           timestamptz,
  stood_still           interval not null default '0',
  -- When a relay last saw to it that its workflow is there.
  watched_at            timestamptz,
  constraint circuits_state_is_known check (state in ('closed', 'open', 'half-open')),
  constraint circuits_open_has_a_next_probe check (state <> 'open' or next_probe_at is not null and opened_at is not null)
);

create table outbox.routes (
  id          integer generated always as identity primary key,
  position    integer not null,
  pattern     text not null,
  -- The pattern as LIKE wants it, `_` and `%` escaped.
  type_like   text not null,
  filter      jsonpath,
  -- `predicate`: the path yields a boolean, tested with @@. `items`: it yields items, tested with @?.
  -- The wrong operator would match never, or always.
  filter_mode text,
  -- Whether the filter uses something that can raise an error whatever the operator; see outbox.filter_holds.
  filter_may_fail boolean not null default false,
  destination text collate "C" not null references outbox.destinations (name) on delete cascade,
  constraint routes_filter_has_a_mode check ((filter is null) = (filter_mode is null) and filter_mode in ('predicate', 'items'))
);

create table outbox.config_revisions (
  revision   integer primary key,
  checksum   text not null,
  source     text not null,
  config     jsonb not null,
  applied_at timestamptz not null default now(),
  applied_by text not null
);

create sequence outbox.delivery_seq as bigint cache 1;

create table outbox.deliveries (
  event_id         uuid not null,
  destination      text collate "C" not null,
  -- The order of delivery, given in the statement trigger after the keys' locks are held (see 0003).
  seq              bigint not null,
  state            text collate "C" not null,
  batch_id         uuid,
  -- 1 for the event as written; each edit adds one.
  revision         integer not null default 1,
  -- Every try, and those of them that were charged to maximumAttempts.
  tries            integer not null default 0,
  attempts         integer not null default 0,
  -- Unreachable tries in a row; they set the backoff, and spend nothing.
  unreachable      integer not null default 0,
  -- When a scheduled delivery may start, or a retrying one is due.
  due_at           timestamptz,
  -- On the destination's own clock (outbox.clock_of), which stands still while nothing may be sent to it.
  first_attempt_at timestamptz,
  -- Times this delivery was parked: the number of its latest park episode.
  park_no          integer not null default 0,
  -- Only for destinations that keep order per key; null: in no order. A delivery that lets its key pass gives it up here.
  key              text,
  primary key (event_id, destination),
  constraint deliveries_state_is_known check (state in ('pending', 'scheduled', 'blocked', 'claimed', 'retry', 'parked')),
  constraint deliveries_batch_owns_its_states check ((state in ('claimed', 'retry', 'parked')) = (batch_id is not null)),
  constraint deliveries_due_when_timed check ((state in ('scheduled', 'retry')) = (due_at is not null)),
  constraint deliveries_charged_are_tries check (attempts between 0 and tries)
) with (
  -- A hot queue table: dead rows are to go long before the default of a fifth of the table.
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
-- One partial index per question: what may be claimed, what a batch holds, what becomes due.
create index deliveries_to_claim on outbox.deliveries (destination, seq) where state = 'pending';
create index deliveries_of_batch on outbox.deliveries (batch_id, seq) where batch_id is not null;
create index deliveries_scheduled on outbox.deliveries (due_at) where state = 'scheduled';
-- Of keyed deliveries alone: who holds a key up, and who waits for it in which order.
create index deliveries_key_held on outbox.deliveries (destination, key)
  where key is not null and state in ('claimed', 'retry', 'parked');
create index deliveries_key_waiting on outbox.deliveries (destination, key, seq)
  where key is not null and state in ('pending', 'blocked');

-- The deliveries one `deliver` workflow owns.
create table outbox.batches (
  id          uuid primary key,
  lane        text collate "C" not null,
  workflow_id text collate "C" not null,
  -- The fencing token: every execution that loads the batch takes the next one, and writes only while it is the latest.
  run         integer not null default 0,
  -- Executions in a row that ended without any outcome: a row that kills its worker shows here.
  fruitless   integer not null default 0,
  size        integer not null,
  -- Rows still in their first attempt. They fill the lane's window; retrying and parked ones do not.
  open        integer not null,
  active      boolean not null default true,
  epoch       integer not null,
  claimed_at  timestamptz not null default now(),
  -- When the reconciler last saw its workflow alive.
  checked_at  timestamptz,
  -- One delivery with a workflow named after it, split off this parent.
  single      boolean not null default false,
  parent      uuid,
  constraint batches_one_per_workflow unique (workflow_id),
  constraint batches_open_fits check (open between 0 and size)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index batches_in_first_attempt on outbox.batches (lane) where active;
create index batches_single on outbox.batches (lane) where single;
create index batches_by_parent on outbox.batches (parent) where parent is not null;
create index batches_to_check on outbox.batches (checked_at nulls first);

-- A delivered row leaves the hot table for this one.
create table outbox.delivered (
  event_id     uuid not null,
  destination  text collate "C" not null,
  revision     integer not null,
  tries        integer not null,
  delivered_at timestamptz not null default now()
) partition by range (delivered_at);
create index delivered_by_event on outbox.delivered (event_id);

-- Failed attempts, for people, and the success that ended them. Of each delivery the first five and the last twenty.
create table outbox.attempts (
  event_id    uuid not null,
  destination text collate "C" not null,
  revision    integer not null,
  try         integer not null,
  at          timestamptz not null default now(),
  duration_ms integer,
  -- Where it was sent, without query and credentials, and with which headers, secrets left out.
  address     text,
  headers     jsonb,
  status      integer,
  -- Null for the attempt that was acknowledged after others had failed; a success at the first try is written nowhere here.
  error_class text,
  message     text,
  excerpt     text,
  charged     boolean not null,
  constraint attempts_failed_or_delivered check ((error_class is null) = (message is null))
) partition by range (at);
create index attempts_by_event on outbox.attempts (event_id, destination);

-- Attempts of deliveries that were still unsettled when their day was dropped.
create table outbox.attempts_kept (like outbox.attempts including defaults including constraints);
create index attempts_kept_by_event on outbox.attempts_kept (event_id, destination);

-- One row per park episode. `retention.deadLetters` removes resolved ones only.
create table outbox.dead_letters (
  id                bigint generated always as identity primary key,
  event_id          uuid not null,
  event_type        text not null,
  destination       text collate "C" not null,
  workflow_id       text collate "C" not null,
  park_no           integer not null,
  revision          integer not null,
  reason            text not null,
  attempts          integer not null,
  tries             integer not null,
  last_status       integer,
  last_error_class  text,
  last_error        text,
  parked_at         timestamptz not null default now(),
  resolved_at       timestamptz,
  resolution        text,
  resolved_by       text,
  resolution_reason text,
  redirected_to     text collate "C",
  command_id        text,
  constraint dead_letters_one_per_episode unique (event_id, destination, park_no),
  constraint dead_letters_resolution_is_known check (resolution in ('retry', 'edit', 'redirect', 'discard', 'erase')),
  constraint dead_letters_resolved_whole check ((resolved_at is null) = (resolution is null))
);
create unique index dead_letters_one_open on outbox.dead_letters (event_id, destination) where resolved_at is null;
create index dead_letters_open_newest on outbox.dead_letters (id) where resolved_at is null;
create index dead_letters_by_workflow on outbox.dead_letters (workflow_id) where resolved_at is null;
create index dead_letters_resolved_oldest on outbox.dead_letters (resolved_at) where resolved_at is not null;

-- An edit keeps the original: the new text stands here, under the next revision.
create table outbox.revisions (
  event_id    uuid not null,
  destination text collate "C" not null,
  revision    integer not null,
  payload     jsonb not null,
  headers     jsonb not null,
  made_at     timestamptz not null default now(),
  made_by     text,
  reason      text,
  primary key (event_id, destination, revision),
  constraint revisions_payload_fits check (octet_length(payload::text) <= 1048576),
  constraint revisions_headers_are_strings check (
    jsonb_typeof(headers) = 'object' and not headers @? 'strict $.* ? (@.type() != "string")'
    and octet_length(headers::text) <= 16384)
);

-- Who did what, refusals included. `actor` of a signal is what the sender claimed to be, not proof.
create table outbox.audit (
  id          bigint generated always as identity primary key,
  at          timestamptz not null default now(),
  actor       text,
  via         text not null,
  workflow_id text collate "C",
  action      text not null,
  event_id    uuid,
  destination text collate "C",
  events      integer not null default 0,
  outcome     text not null,
  message     text not null,
  reason      text,
  command_id  text,
  constraint audit_outcome_is_known check (outcome in ('done', 'refused')),
  constraint audit_one_line_per_command unique (command_id)
);
create index audit_by_workflow on outbox.audit (workflow_id);

-- Which relay owns which lane, and which relays are alive. Leases run on this server's clock only.
create table outbox.relays (
  id        uuid primary key,
  label     text not null,
  started_at timestamptz not null default now(),
  seen_at   timestamptz not null default now()
);
create table outbox.lanes (
  name        text collate "C" primary key,
  owner       uuid,
  lease_until timestamptz not null default '-infinity',
  -- What a rate limit leaves to be sent, as of tokens_at; null: never asked, the bucket is full.
  tokens      double precision,
  tokens_at   timestamptz
) with (fillfactor = 50);
