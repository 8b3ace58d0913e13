//! Reading segments: some rows, some columns, row ids.

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use holdfast_archive::Archive;
use holdfast_archive::read::{COMMIT_VERSION, ROW_ID, ReadOptions, SegmentReader};

use crate::common::{append, local, memory, rows};

#[tokio::test(flavor = "multi_thread")]
async fn readers_skip_rows_and_columns() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    append(&archive, "other", 1..11).await;
    append(&archive, "main", 1..5001).await;
    let (memory_store, url) = memory();
    let remote = Archive::create_in(memory_store, url).await.unwrap();
    append(&remote, "other", 1..11).await;
    append(&remote, "main", 1..5001).await;
    for archive in [&archive, &remote] {
        let snapshot = archive.snapshot().await.unwrap();
        let segments = snapshot.segments().await.unwrap();
        let segment = segments.iter().find(|s| s.rows == 5000).unwrap();
        let reader = SegmentReader::open(archive, segment).await.unwrap();
        assert!(reader.is_original());
        assert_eq!(
            reader.footer().unwrap().positions,
            [("outbox/main".to_owned(), 5000)]
        );
        let wanted = [0u32, 1, 1023, 1024, 4000, 4999];
        let options = ReadOptions {
            columns: Some(&["body", "origin_seq"]),
            rows: Some(&wanted),
            with_row_versions: true,
            batch_rows: 2,
        };
        let batches: Vec<_> = reader.read(&options).unwrap().try_collect().await.unwrap();
        let all = concat_batches(&reader.schema(&options).unwrap(), &batches).unwrap();
        let names: Vec<_> = all
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["origin_seq", "body", ROW_ID, COMMIT_VERSION]);
        let numbers = |at: usize| all.column(at).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(numbers(0), [1, 2, 1024, 1025, 4001, 5000]);
        assert_eq!(numbers(2), [10, 11, 1033, 1034, 4010, 5009]);
        assert_eq!(numbers(3), [2; 6]);
        assert_eq!(
            all.column(1).as_string::<i32>().value(3),
            "message number 1025 of main"
        );
        let whole = ReadOptions::default();
        let batches: Vec<_> = reader.read(&whole).unwrap().try_collect().await.unwrap();
        let all = concat_batches(&reader.schema(&whole).unwrap(), &batches).unwrap();
        assert_eq!(all, rows("main", 1..5001));
        for bad in [&[3u32, 2][..], &[5000], &[1, 1]] {
            assert!(
                reader
                    .read(&ReadOptions {
                        rows: Some(bad),
                        ..ReadOptions::default()
                    })
                    .is_err()
            );
        }
        assert!(
            reader
                .read(&ReadOptions {
                    columns: Some(&["nope"]),
                    ..ReadOptions::default()
                })
                .is_err()
        );
        let none = ReadOptions {
            columns: Some(&[]),
            rows: Some(&[]),
            ..ReadOptions::default()
        };
        let batches: Vec<_> = reader.read(&none).unwrap().try_collect().await.unwrap();
        assert_eq!(
            batches
                .iter()
                .map(arrow::array::RecordBatch::num_rows)
                .sum::<usize>(),
            0
        );
    }
}
