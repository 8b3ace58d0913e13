//! From the rows of a segment to the bytes of its split.

use arrow::array::{
    Array, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use holdfast_query::analyzer::{Analyzer, fold_keyword};
use holdfast_query::limits::VALUE_POSITION_GAP;
use holdfast_query::plan::reaction;
use holdfast_schemas::columns::{Rows, name};
use tantivy::columnar::column_values::serialize_u64_based_column_values;
use tantivy::columnar::{ColumnarWriter, column_values};
use tantivy::directory::{RamDirectory, TerminatingWrite};
use tantivy::fieldnorm::FieldNormsSerializer;
use tantivy::index::SegmentComponent;
use tantivy::postings::InvertedIndexSerializer;
use tantivy::{Directory, Index, Segment, TERMINATED};

use super::bundle::{BundleWriter, SPLIT_FILES, split_file_name, tantivy_segment_id};
use super::filter::WordsFilter;
use crate::error::IndexError;
use crate::invert::hashed;
use crate::invert::keys::{write_key, write_pairs};
use crate::invert::text::{RepeatedText, TextInverter};
use crate::schema::{
    EVENT_TIMES, Hashed, INGEST_TIMES, Key, SPLIT_SCHEMA, WORDS_FILTER, size_term,
};

/// Builds the split of a segment. Row `n` of the batch is document `n` (promise AR-3).
///
/// `batch` holds the segment's rows in their order, with the columns of `holdfast_schemas::columns::segment_schema()`.
/// Takes about as much memory as the split's postings (8 bytes a term occurrence at the most) beside the batch.
///
/// # Errors
/// A column is missing or of another type, or there are more rows than a split can number (2^31 - 1).
pub fn build_split(batch: &RecordBatch, segment_id: &str) -> Result<Bytes, IndexError> {
    if batch.num_rows() >= TERMINATED as usize {
        return Err(IndexError::TooManyRows {
            rows: batch.num_rows(),
            max: TERMINATED as usize - 1,
        });
    }
    let rows = Rows::new(batch)?;
    let columns = Columns { batch };
    let ram = RamDirectory::create();
    let index = Index::create(
        ram.clone(),
        SPLIT_SCHEMA.schema.clone(),
        tantivy::IndexSettings::default(),
    )?;
    let meta = index.new_segment_meta(tantivy_segment_id()?, batch.num_rows() as u32);
    let segment = index.segment(meta);
    let attachments = Attachments::of(&columns, &rows)?;
    let words = write_postings(&segment, &columns, &rows, &attachments)?;
    write_empty_parts(&segment, batch.num_rows() as u32)?;
    let mut bundle = BundleWriter::new(segment_id, batch.num_rows() as u64, attachments.count);
    for (column, id) in [
        (name::EVENT_ID, Hashed::Id),
        (name::MESSAGE_ID, Hashed::Message),
    ] {
        bundle.add_with(id.file(), |into| {
            hashed::write(&hashes(columns.text(column)?), into);
            Ok(())
        })?;
    }
    for (column, file) in [
        (name::INGEST_TIME, INGEST_TIMES),
        (name::EVENT_TIME, EVENT_TIMES),
    ] {
        bundle.add_with(file, |into| write_times(columns.time(column)?, into))?;
    }
    for component in SPLIT_FILES {
        let bytes = ram
            .open_read(&segment.relative_path(component.clone()))
            .map_err(tantivy::TantivyError::from)?;
        bundle.add(split_file_name(&component), &bytes.read_bytes()?);
    }
    bundle.add_with(WORDS_FILTER, |into| {
        words.write(into);
        Ok(())
    })?;
    Ok(bundle.finish())
}

/// The columns of a batch by name; every one that is indexed must be there.
struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn text(&self, column: &'static str) -> Result<&'a StringArray, IndexError> {
        self.batch
            .column_by_name(column)
            .and_then(|array| array.as_string_opt::<i32>())
            .ok_or(IndexError::ColumnMissing { column })
    }

    fn time(&self, column: &'static str) -> Result<&'a TimestampMicrosecondArray, IndexError> {
        self.batch
            .column_by_name(column)
            .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or(IndexError::ColumnMissing { column })
    }
}

/// The attachments of a segment, flat.
struct Attachments<'a> {
    /// Row and name.
    names: Vec<(u32, &'a str)>,
    /// Row and size as a term.
    sizes: Vec<(u32, [u8; 8])>,
    /// Rows with at least one.
    rows: Vec<u32>,
    count: u64,
}

impl<'a> Attachments<'a> {
    fn of(columns: &Columns<'a>, rows: &Rows<'a>) -> Result<Self, IndexError> {
        let list = columns
            .batch
            .column_by_name(name::ATTACHMENTS)
            .and_then(|array| array.as_list_opt::<i32>())
            .ok_or(IndexError::ColumnMissing {
                column: name::ATTACHMENTS,
            })?;
        let mut all = Self {
            names: Vec::new(),
            sizes: Vec::new(),
            rows: Vec::new(),
            count: 0,
        };
        if rows.is_empty() || list.null_count() == list.len() {
            return Ok(all);
        }
        let elements = list
            .values()
            .as_struct_opt()
            .ok_or(IndexError::ColumnMissing {
                column: name::ATTACHMENTS,
            })?;
        let names = elements
            .column_by_name("name")
            .and_then(|array| array.as_string_opt::<i32>());
        let sizes: Option<&Int64Array> = elements
            .column_by_name("size")
            .and_then(|array| array.as_primitive_opt::<Int64Type>());
        for (row, ends) in list.value_offsets().windows(2).enumerate() {
            if ends[0] == ends[1] || list.is_null(row) {
                continue;
            }
            all.rows.push(row as u32);
            for at in ends[0] as usize..ends[1] as usize {
                all.count += 1;
                if let Some(names) = names.filter(|names| names.is_valid(at)) {
                    all.names.push((row as u32, names.value(at)));
                }
                if let Some(sizes) = sizes.filter(|sizes| sizes.is_valid(at)) {
                    all.sizes.push((row as u32, size_term(sizes.value(at))));
                }
            }
        }
        Ok(all)
    }
}

fn write_postings(
    segment: &Segment,
    columns: &Columns<'_>,
    rows: &Rows<'_>,
    attachments: &Attachments<'_>,
) -> Result<WordsFilter, IndexError> {
    let fields = &*SPLIT_SCHEMA;
    let mut words = WordsFilter::default();
    let mut analyzer = Analyzer::new();
    let mut serializer = InvertedIndexSerializer::open(segment)?;
    for (field, column) in [(fields.title, name::TITLE), (fields.body, name::BODY)] {
        let column = columns.text(column)?;
        let mut text = TextInverter::new();
        for row in 0..column.len() {
            if column.is_valid(row) {
                text.add(&mut analyzer, row as u32, 0, column.value(row));
            }
        }
        write_text(&text, field, &mut serializer, &mut words)?;
    }
    write_text(
        &filenames(attachments, &mut analyzer),
        fields.filename,
        &mut serializer,
        &mut words,
    )?;
    let names = columns.text(name::ACTOR_NAME)?;
    let mut persons = RepeatedText::new();
    for row in 0..names.len() {
        if names.is_valid(row) {
            persons.add(&mut analyzer, row as u32, names.value(row));
        }
    }
    write_text(persons.text(), fields.person, &mut serializer, &mut words)?;
    write_keys(&mut serializer, columns, rows, attachments)?;
    serializer.close()?;
    Ok(words)
}

fn write_text(
    text: &TextInverter,
    field: tantivy::schema::Field,
    serializer: &mut InvertedIndexSerializer,
    words: &mut WordsFilter,
) -> Result<(), IndexError> {
    text.each_term(|term| words.add(field, term));
    let mut into = serializer.new_field(field, text.occurrences(), None)?;
    text.write(&mut into)?;
    into.close()?;
    Ok(())
}

/// Every name is a value of its own: a gap keeps phrases and NEAR from reaching across.
fn filenames(attachments: &Attachments<'_>, analyzer: &mut Analyzer) -> TextInverter {
    let mut text = TextInverter::new();
    let (mut row, mut base) = (u32::MAX, 0);
    for (of, name) in &attachments.names {
        if *of != row {
            (row, base) = (*of, 0);
        }
        base = text.add(analyzer, row, base, name) + VALUE_POSITION_GAP;
    }
    text
}

fn write_keys(
    serializer: &mut InvertedIndexSerializer,
    columns: &Columns<'_>,
    rows: &Rows<'_>,
    attachments: &Attachments<'_>,
) -> Result<(), IndexError> {
    let reactions = reactions(columns, rows)?;
    let mut into = serializer.new_field(SPLIT_SCHEMA.keys, 0, None)?;
    // In the order of the keys' bytes: terms must ascend.
    let mut key = |key: Key, names: &[&'static str]| -> Result<(), IndexError> {
        let arrays = names
            .iter()
            .map(|column| columns.text(column))
            .collect::<Result<Vec<_>, _>>()?;
        match key {
            Key::HasAttachment => write_pairs(
                key,
                attachments.rows.iter().map(|row| (*row, b"1".as_slice())),
                &mut into,
            ),
            Key::Size => write_pairs(
                key,
                attachments
                    .sizes
                    .iter()
                    .map(|(row, size)| (*row, size.as_slice())),
                &mut into,
            ),
            Key::Reaction => write_pairs(
                key,
                reactions
                    .iter()
                    .map(|(row, value)| (*row, value.as_bytes())),
                &mut into,
            ),
            _ => write_key(key, &arrays, rows.len(), &mut into),
        }
    };
    key(
        Key::Actor,
        &[name::ACTOR_ID, name::ACTOR_URI, name::ACTOR_EMAIL],
    )?;
    key(Key::Category, &[name::CATEGORY])?;
    key(Key::ActorKind, &[name::ACTOR_KIND])?;
    key(Key::HasAttachment, &[])?;
    key(Key::Kind, &[name::MESSAGE_KIND])?;
    key(Key::RoomName, &[name::ROOM_NAME])?;
    key(Key::Origin, &[name::ORIGIN])?;
    key(Key::ReplyTo, &[name::REPLY_TO])?;
    key(Key::RoomId, &[name::ROOM_ID])?;
    key(Key::Size, &[])?;
    key(Key::Type, &[name::EVENT_TYPE])?;
    key(Key::Target, &[name::TARGET_ID])?;
    key(Key::Reaction, &[])?;
    into.close()?;
    Ok(())
}

/// Rows that are reactions, with the folded value.
fn reactions(columns: &Columns<'_>, rows: &Rows<'_>) -> Result<Vec<(u32, String)>, IndexError> {
    let extra = columns.text(name::EXTRA)?;
    let mut found = Vec::new();
    for row in 0..extra.len() {
        let candidate = extra.is_valid(row) && extra.value(row).contains("\"value\"");
        if let Some(value) = candidate.then(|| reaction(&rows.event(row))).flatten() {
            found.push((row as u32, fold_keyword(&value).into_owned()));
        }
    }
    Ok(found)
}

fn hashes(column: &StringArray) -> Vec<(u32, u64)> {
    (0..column.len())
        .filter(|row| column.is_valid(*row) && !column.value(*row).is_empty())
        .map(|row| (row as u32, hashed::hash(&fold_keyword(column.value(row)))))
        .collect()
}

fn write_times(times: &TimestampMicrosecondArray, into: &mut Vec<u8>) -> Result<(), IndexError> {
    if times.is_empty() {
        return Ok(());
    }
    let values: &[i64] = times.values();
    let codecs = [
        column_values::CodecType::Bitpacked,
        column_values::CodecType::BlockwiseLinear,
    ];
    serialize_u64_based_column_values::<i64>(&values, &codecs, into)?;
    Ok(())
}

/// Parts that Tantivy opens and we leave empty: no documents, no field norms, no columns of its own.
fn write_empty_parts(segment: &Segment, rows: u32) -> Result<(), IndexError> {
    let open = |component| {
        segment
            .open_write(component)
            .map_err(tantivy::TantivyError::from)
    };
    FieldNormsSerializer::from_write(open(SegmentComponent::FieldNorms)?)?.close()?;
    let mut columns = open(SegmentComponent::FastFields)?;
    ColumnarWriter::default().serialize(rows, None, &mut columns)?;
    columns.terminate()?;
    open(SegmentComponent::Store)?.terminate()?;
    Ok(())
}
