-- What a node was when others noted that it is down: it is that again when it turns out to live.
alter table nodes add column lived_as text not null default 'active';
update nodes set lived_as = state where state <> 'down';
