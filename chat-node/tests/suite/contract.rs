//! The outbox's tables are what `schemas` says readers will find.

use holdfast_chat_node::args;
use holdfast_schemas::outbox::{
    Column, ORIGINS, ORIGINS_COLUMNS, OUTBOX, OUTBOX_COLUMNS, READERS, READERS_COLUMNS,
};

use crate::on_both;
use crate::support::{Backend, World};

async fn ar1_the_tables_are_those_of_the_contract(backend: Backend) {
    let world = World::start(backend).await;
    for (table, columns) in [
        (OUTBOX, &OUTBOX_COLUMNS[..]),
        (ORIGINS, &ORIGINS_COLUMNS),
        (READERS, &READERS_COLUMNS),
    ] {
        let sql = match backend {
            // A key of SQLite is never null, whether it says so or not.
            Backend::Sqlite => {
                "select name, lower(type), \"notnull\" = 0 and pk = 0 from pragma_table_info($1) order by cid"
            }
            Backend::Postgres => {
                "select cast(column_name as text), cast(data_type as text), is_nullable = 'YES' from information_schema.columns \
                 where table_name = $1 order by ordinal_position"
            }
        };
        let rows = world.db().all(sql, args![table]).await.unwrap();
        let found: Vec<(String, String, bool)> = rows
            .iter()
            .map(|row| {
                (
                    row.text(0).unwrap(),
                    row.text(1).unwrap(),
                    row.bool(2).unwrap(),
                )
            })
            .collect();
        let typed = |column: &Column| match backend {
            Backend::Sqlite => column.sqlite,
            Backend::Postgres => column.postgres,
        };
        let expected: Vec<(String, String, bool)> = columns
            .iter()
            .map(|column| {
                (
                    column.name.to_owned(),
                    typed(column).to_owned(),
                    column.nullable,
                )
            })
            .collect();
        assert_eq!(found, expected, "{table}");
    }
}

on_both!(ar1_the_tables_are_those_of_the_contract);
