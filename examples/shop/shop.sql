-- The PostgreSQL side of the shop, beside the schemas outbox and outbox_inbox.
create schema billing;
create schema shipping;

-- Nothing here keeps an order from being charged twice: that is what the inbox is for.
create table billing.ledger (
  entry    bigint generated always as identity primary key,
  order_id text not null,
  -- Cents: positive for a charge, negative for a refund.
  amount   integer not null check (amount <> 0),
  at       timestamptz not null default now()
);

create table shipping.shipments (
  order_id text primary key,
  state    text not null default 'new' check (state in ('new', 'shipped', 'cancelled'))
);

-- What left the house. Nothing keeps it from leaving twice but the state of its shipment.
create table shipping.parcels (
  parcel   bigint generated always as identity primary key,
  order_id text not null references shipping.shipments,
  country  text not null
);

-- Compensation begins where a person gives up: whoever discards a dead letter of shipping, by a signal or on the command line, writes
-- this event in the same transaction. It only says what was decided; shipping itself knows whether the parcel has left after all.
--
-- An error in here would keep the discard from being carried out, so there is none to be had: without a key, shipping refuses
-- the event, and it waits for a person.
create function shipping.announce_discard() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  -- What is parked for longer than days are kept has been moved.
  v_order text := (select key from outbox.events where id = new.event_id
                   union all select key from outbox.events_kept where id = new.event_id limit 1);
begin
  insert into outbox.events (type, key, payload)
  values ('shipment.discarded', v_order, jsonb_build_object('orderId', v_order, 'by', new.resolved_by, 'reason', new.resolution_reason));
  return null;
end $$;

create trigger announce_discard after update on outbox.dead_letters
for each row when (
  old.resolution is null and new.resolution = 'discard' and new.destination = 'shipping' and new.event_type = 'order.paid'
) execute function shipping.announce_discard();
