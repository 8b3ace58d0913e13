//! What a commit says about itself in commitInfo.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use delta_kernel::KernelResult;
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::schema::StructType;

use crate::commit::{CommitKind, Counts};

/// What commitInfo says besides the kernel's own fields.
#[derive(Debug, Clone)]
pub(crate) struct CommitInfo {
    pub(crate) commit_id: uuid::Uuid,
    pub(crate) kind: CommitKind,
    pub(crate) counts: Counts,
    pub(crate) merkle_root: Option<[u8; 32]>,
    pub(crate) previous_commit_sha256: Option<[u8; 32]>,
}

/// The row that the kernel merges into commitInfo.
pub(super) fn row(info: &CommitInfo) -> KernelResult<(Box<ArrowEngineData>, Arc<StructType>)> {
    let text = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let count =
        |value: u64| Arc::new(Int64Array::from(vec![i64::try_from(value).ok()])) as ArrayRef;
    let count_names = ["consumed", "archived", "quarantined", "duplicates"];
    let count_fields: Fields = count_names
        .iter()
        .map(|name| Field::new(*name, DataType::Int64, true))
        .collect();
    let Counts {
        consumed,
        archived,
        quarantined,
        duplicates,
    } = info.counts;
    let counts = StructArray::new(
        count_fields.clone(),
        vec![
            count(consumed),
            count(archived),
            count(quarantined),
            count(duplicates),
        ],
        None,
    );
    let schema = Schema::new(vec![
        Field::new("commit_id", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("counts", DataType::Struct(count_fields), true),
        Field::new("merkle_root", DataType::Utf8, true),
        Field::new("previous_commit_sha256", DataType::Utf8, true),
    ]);
    let kernel_schema: StructType = (&schema).try_into_kernel()?;
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            text(Some(info.commit_id.to_string())),
            text(Some(info.kind.as_str().to_owned())),
            Arc::new(counts),
            text(info.merkle_root.map(hex::encode)),
            text(info.previous_commit_sha256.map(hex::encode)),
        ],
    )?;
    Ok((
        Box::new(ArrowEngineData::new(batch)),
        Arc::new(kernel_schema),
    ))
}
