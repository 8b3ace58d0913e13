-- Content of a pool: who talks where, and what was said. Times are microseconds since 1970 UTC; lists are JSON arrays of text.
create table users (
    id text primary key,
    uri text,
    name text not null,
    email text,
    internal boolean not null,
    kind text not null,
    state text not null,
    created_us bigint not null,
    updated_us bigint not null
);
create table user_groups (
    user_id text not null,
    group_id text not null,
    primary key (user_id, group_id)
);
create index user_groups_by_group on user_groups (group_id);

create table categories (
    id text primary key,
    name text not null,
    name_key text not null unique,
    allowed text not null,
    denied text not null,
    creators text not null,
    invitations boolean not null,
    files boolean not null,
    history boolean not null,
    version bigint not null,
    created_us bigint not null,
    updated_us bigint not null
);

create table rooms (
    id text primary key,
    category_id text not null references categories (id),
    name text not null,
    name_key text not null unique,
    description text not null,
    kind text not null,
    privacy text not null,
    invitations text not null,
    addin_url text,
    disabled boolean not null,
    last_seq bigint not null,
    -- Grows whenever somebody may have lost the right to read: live subscriptions are judged anew when they see it change.
    epoch bigint not null,
    version bigint not null,
    snapshot_due_us bigint not null,
    created_us bigint not null,
    updated_us bigint not null
);
create index rooms_by_category on rooms (category_id);
create index rooms_by_snapshot on rooms (snapshot_due_us);

create table room_members (
    room_id text not null,
    user_id text not null,
    role text not null,
    added_us bigint not null,
    primary key (room_id, user_id)
);
create index room_members_by_user on room_members (user_id);

-- One row for each place in a room's order: a post (with its current text), or the fact of an edit, a deletion or a replacement.
create table messages (
    row_id integer primary key,
    room_id text not null,
    room_seq bigint not null,
    id text not null,
    action text not null,
    author_id text not null,
    kind text not null,
    title text,
    body text,
    reply_to text,
    attachments text not null,
    mentions text not null,
    client_id text,
    time_us bigint not null,
    edited_seq bigint,
    deleted boolean not null,
    reason text,
    unique (room_id, room_seq)
);
create unique index messages_by_id on messages (id) where action = 'posted';
create unique index messages_by_client_id on messages (room_id, author_id, client_id) where client_id is not null;

create virtual table message_search using fts5 (title, body, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0");
create trigger messages_search_insert after insert on messages when new.action = 'posted' begin
    insert into message_search (rowid, title, body) values (new.row_id, new.title, new.body);
end;
create trigger messages_search_update after update of title, body on messages when new.action = 'posted' begin
    delete from message_search where rowid = old.row_id;
    insert into message_search (rowid, title, body) values (new.row_id, new.title, new.body);
end;
create trigger messages_search_delete after delete on messages when old.action = 'posted' begin
    delete from message_search where rowid = old.row_id;
end;

-- What a message said before an edit or a replacement.
create table message_versions (
    message_id text not null,
    room_seq bigint not null,
    title text,
    body text,
    time_us bigint not null,
    primary key (message_id, room_seq)
);

create table reactions (
    message_id text not null,
    user_id text not null,
    value text not null,
    time_us bigint not null,
    primary key (message_id, user_id, value)
);

create table files (
    id text primary key,
    room_id text not null,
    name text not null,
    media_type text not null,
    size bigint not null,
    sha256 text not null,
    uploader_id text not null,
    time_us bigint not null
);
create index files_by_room on files (room_id);

create table nodes (
    id text primary key,
    run_id text not null,
    client_url text not null,
    peer_address text not null,
    state text not null,
    version text not null,
    started_us bigint not null,
    beat_us bigint not null
);

create table leases (
    name text primary key,
    holder text not null,
    fence bigint not null,
    expires_us bigint not null
);
