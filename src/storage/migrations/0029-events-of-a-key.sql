-- "What became of order o-1?" Newest first, of one key. Producers that give no key pay nothing for it.
-- Measured: docs/decisions.md. Where a partition has such an index already, made concurrently before the upgrade, it is taken.
create index events_by_key on outbox.events (key, id) where key is not null;
create index events_kept_by_key on outbox.events_kept (key, id) where key is not null;
