-- docs/outbox-format.md describes these tables: they are read by other programs.
create table outbox_origins (
    origin text primary key,
    pool text not null,
    incarnation bigint not null,
    identity text not null,
    last_sequence bigint not null,
    digest text not null,
    created_us bigint not null,
    unique (pool, incarnation)
);
create table outbox (
    id integer primary key autoincrement,
    room_id text,
    event text not null,
    created_us bigint not null,
    origin text,
    sequence bigint,
    partition bigint,
    delivered_us bigint,
    unique (origin, sequence)
);
create index outbox_unsequenced on outbox (id) where sequence is null;
create index outbox_undelivered on outbox (origin, sequence) where delivered_us is null;
create table outbox_readers (
    reader text not null,
    origin text not null,
    through_sequence bigint not null,
    updated_us bigint not null,
    primary key (reader, origin)
);
