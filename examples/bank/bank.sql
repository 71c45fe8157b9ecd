-- The bank's own database, beside the inbox (`temporal-outbox inbox migrate`).
create table accounts (
  id      integer primary key,
  balance bigint not null
);

-- Nothing here keeps a transfer from being entered twice: that is what the inbox is for.
create table ledger (
  entry        bigint generated always as identity primary key,
  transfer     integer not null,
  from_account integer not null references accounts,
  to_account   integer not null references accounts,
  amount       bigint not null check (amount > 0)
);

insert into accounts select number, 1000000 from generate_series(1, 100) number;
