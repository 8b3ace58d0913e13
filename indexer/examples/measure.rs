//! Measures the split build against raw Tantivy over the same fields: `measure EVENTS.jsonl [ROWS_A_SPLIT]`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use arrow::array::{Array, AsArray, RecordBatch};
use holdfast_indexer::build_split;
use holdfast_schemas::columns::{RowBuilder, name};
use holdfast_schemas::decode::decode;
use holdfast_schemas::{Intake, Row};
use tantivy::schema::{FAST, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{LowerCaser, SimpleTokenizer, TextAnalyzer};
use tantivy::{Index, SingleSegmentIndexWriter, TantivyDocument};

fn batches(path: &str, rows: usize) -> Vec<RecordBatch> {
    let text = std::fs::read(path).unwrap();
    let mut builder = RowBuilder::with_capacity(rows);
    let mut all = Vec::new();
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let event = decode(line).unwrap();
        builder.append(&Row { event, intake: Intake { ingest_time_us: 1_700_000_000_000_000 + all.len() as i64, ..Intake::default() } });
        if builder.len() == rows {
            all.push(builder.finish().unwrap());
        }
    }
    if !builder.is_empty() {
        all.push(builder.finish().unwrap());
    }
    all
}

const KEYS: [&str; 15] = [
    name::EVENT_ID, name::EVENT_TYPE, name::ORIGIN, name::ROOM_ID, name::ROOM_NAME, name::CATEGORY, name::ACTOR_ID, name::ACTOR_URI,
    name::ACTOR_EMAIL, name::ACTOR_KIND, name::TARGET_ID, name::MESSAGE_ID, name::MESSAGE_KIND, name::REPLY_TO, name::SOURCE,
];
const TEXTS: [&str; 3] = [name::TITLE, name::BODY, name::ACTOR_NAME];

fn raw(batch: &RecordBatch) -> usize {
    let mut schema = Schema::builder();
    let indexing = |tok: &str, opt| TextOptions::default().set_indexing_options(TextFieldIndexing::default().set_tokenizer(tok).set_index_option(opt).set_fieldnorms(false));
    let texts = TEXTS.map(|t| schema.add_text_field(t, indexing("lower", IndexRecordOption::WithFreqsAndPositions)));
    let keys = KEYS.map(|t| schema.add_text_field(t, indexing("raw", IndexRecordOption::Basic)));
    let times = [name::EVENT_TIME, name::INGEST_TIME].map(|t| schema.add_i64_field(t, FAST));
    let index = Index::create_in_ram(schema.build());
    index.tokenizers().register("lower", TextAnalyzer::builder(SimpleTokenizer::default()).filter(LowerCaser).build());
    let mut writer: SingleSegmentIndexWriter = Index::builder().schema(index.schema()).tokenizers(index.tokenizers().clone())
        .single_segment_index_writer(tantivy::directory::RamDirectory::create(), 500_000_000).unwrap();
    for row in 0..batch.num_rows() {
        let mut doc = TantivyDocument::new();
        for (field, column) in texts.iter().zip(TEXTS).chain(keys.iter().zip(KEYS)) {
            let array = batch.column_by_name(column).unwrap().as_string::<i32>();
            if array.is_valid(row) {
                doc.add_text(*field, array.value(row));
            }
        }
        for (field, column) in times.iter().zip([name::EVENT_TIME, name::INGEST_TIME]) {
            doc.add_i64(*field, batch.column_by_name(column).unwrap().as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(row));
        }
        writer.add_document(doc).unwrap();
    }
    let index = writer.finalize().unwrap();
    index.searchable_segments().unwrap().len()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rows = args.get(2).map_or(500_000, |n| n.parse().unwrap());
    let batches = batches(&args[1], rows);
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    for _ in 0..2 {
        let start = Instant::now();
        let bytes: usize = batches.iter().map(|batch| build_split(batch, "01J00000000000000000000000").unwrap().len()).sum();
        let us = start.elapsed().as_micros() as f64;
        println!("split  {total} events {:.2} us an event, {:.1} bytes an event", us / total as f64, bytes as f64 / total as f64);
    }
    if args.get(3).is_none() {
        let start = Instant::now();
        batches.iter().for_each(|batch| { raw(batch); });
        println!("tantivy {total} events {:.2} us an event", start.elapsed().as_micros() as f64 / total as f64);
    }
}
