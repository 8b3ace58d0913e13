-- A transaction of its own: it locks out reads, and must not do so while the other index is built.
drop index messages_by_text;
