-- Nothing but that roles.sql is run again: it grants by name what a consumer calls, where it granted every function before.
comment on schema outbox_inbox is 'what was processed, by message id: temporal-outbox/inbox';
