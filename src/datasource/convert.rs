//! Any incoming Arrow representation to the one that travels between operators.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Schema as ArrowSchema};

use crate::base::{DataType, Error, ErrorClass, Field, Result, Schema};

/// The columns of `batch`, by position, in the representation of `schema`.
///
/// # Errors
/// `MalformedData` when a column is missing, does not fit its type, or has NULLs where none are allowed.
pub fn normalise(batch: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields.len() {
        let message = format!("{} columns where the schema has {}", batch.num_columns(), schema.fields.len());
        return Err(Error::new(ErrorClass::MalformedData, message));
    }
    let columns = batch.columns().iter().zip(&schema.fields).map(|(c, f)| normalise_column(c, f)).collect::<Result<Vec<_>>>()?;
    make_batch(&batch_schema(schema), columns, batch.num_rows())
}

/// The Arrow schema of batches of `schema`: every field nullable, as everywhere between operators.
pub fn batch_schema(schema: &Schema) -> Arc<ArrowSchema> {
    let fields = schema.fields.iter().map(|f| ArrowField::new(f.name.as_ref(), f.data_type.to_arrow(), true)).collect::<Vec<_>>();
    Arc::new(ArrowSchema::new(fields))
}

/// A batch that knows its row count even without columns.
///
/// # Errors
/// `Internal` where columns do not fit the schema.
pub fn make_batch(schema: &Arc<ArrowSchema>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &RecordBatchOptions::new().with_row_count(Some(rows)))?)
}

/// One column in the representation of `field`.
///
/// # Errors
/// As [`normalise`], naming the column.
pub fn normalise_column(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let cast = convert(column, &field.data_type).map_err(|e| malformed(field, e.message))?;
    if !field.nullable && cast.null_count() > 0 {
        return Err(malformed(field, "NULL in a column declared NOT NULL".into()));
    }
    Ok(cast)
}

/// `column` as [`DataType::to_arrow`] of `to`.
fn convert(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let target = to.to_arrow();
    if column.data_type() == &target {
        return Ok(column.clone());
    }
    if same_layout(column.data_type(), &target) {
        return relabel(column, target);
    }
    let via = match column.data_type() {
        ArrowType::FixedSizeBinary(_) => Some(ArrowType::Binary),
        _ => None,
    };
    match via {
        Some(via) if !can_cast_types(column.data_type(), &target) => cast(&cast(column, &via)?, &target),
        _ => cast(column, &target),
    }
}

fn cast(column: &ArrayRef, to: &ArrowType) -> Result<ArrayRef> {
    if !can_cast_types(column.data_type(), to) {
        return Err(Error::new(ErrorClass::MalformedData, format!("a value of Arrow type {} cannot be read as {to}", column.data_type())));
    }
    Ok(cast_with_options(column, to, &CastOptions { safe: false, ..Default::default() })?)
}

/// Types that differ only in names and nullability of nested fields, or in the time zone of an instant.
fn same_layout(a: &ArrowType, b: &ArrowType) -> bool {
    match (a, b) {
        (ArrowType::Timestamp(x, Some(_)), ArrowType::Timestamp(y, Some(_))) => x == y,
        (ArrowType::List(x), ArrowType::List(y)) | (ArrowType::Map(x, _), ArrowType::Map(y, _)) => {
            x.data_type() == y.data_type() || same_layout(x.data_type(), y.data_type())
        }
        (ArrowType::Struct(x), ArrowType::Struct(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(p, q)| p.data_type() == q.data_type() || same_layout(p.data_type(), q.data_type()))
        }
        _ => a == b,
    }
}

/// The same buffers under a type of the same layout.
fn relabel(column: &ArrayRef, to: ArrowType) -> Result<ArrayRef> {
    let data = column.to_data();
    let children = match &to {
        ArrowType::List(f) | ArrowType::Map(f, _) => vec![f.data_type().clone()],
        ArrowType::Struct(fs) => fs.iter().map(|f| f.data_type().clone()).collect(),
        _ => Vec::new(),
    };
    let children = data
        .child_data()
        .iter()
        .zip(children)
        .map(|(child, t)| Ok(relabel(&make_array(child.clone()), t)?.to_data()))
        .collect::<Result<Vec<_>>>()?;
    Ok(make_array(data.into_builder().data_type(to).child_data(children).build()?))
}

fn malformed(field: &Field, message: String) -> Error {
    Error::new(ErrorClass::MalformedData, format!("column `{}` ({}): {message}", field.name, field.data_type))
}

#[cfg(test)]
mod tests {
    use arrow::array::*;
    use arrow::datatypes::{Int32Type, TimeUnit};

    use super::*;

    fn round(column: ArrayRef, to: DataType) -> Result<ArrayRef> {
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        Ok(normalise(&batch, &Schema::new(vec![Field::new("c", to, true)]))?.column(0).clone())
    }

    #[test]
    fn representations_become_one() {
        for column in [
            Arc::new(StringArray::from(vec!["a", "bb"])) as ArrayRef,
            Arc::new(LargeStringArray::from(vec!["a", "bb"])),
            Arc::new(DictionaryArray::<Int32Type>::from_iter(["a", "bb"])),
        ] {
            let out = round(column, DataType::String).unwrap();
            assert_eq!(out.as_string_view().iter().flatten().collect::<Vec<_>>(), ["a", "bb"]);
        }
        let small = Decimal128Array::from(vec![Some(123), None]).with_precision_and_scale(10, 2).unwrap();
        let out = round(Arc::new(small), DataType::decimal(10, 2)).unwrap();
        assert_eq!(out.data_type(), &ArrowType::Decimal64(10, 2));
        let nanos = TimestampNanosecondArray::from(vec![1_500]).with_timezone("Europe/Paris");
        let out = round(Arc::new(nanos), DataType::Timestamp).unwrap();
        assert_eq!(out.data_type(), &ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        let bytes = FixedSizeBinaryArray::try_from_iter([[1u8, 2]].iter()).unwrap();
        assert_eq!(round(Arc::new(bytes), DataType::Binary).unwrap().as_binary_view().value(0), [1, 2]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        let out = round(Arc::new(list), DataType::Array(Box::new(DataType::Int))).unwrap();
        assert_eq!(out.data_type(), &DataType::Array(Box::new(DataType::Int)).to_arrow());
    }

    #[test]
    fn unfit_data_is_refused() {
        let batch = RecordBatch::try_from_iter([("c", Arc::new(Int32Array::from(vec![None, Some(1)])) as ArrayRef)]).unwrap();
        let e = normalise(&batch, &Schema::new(vec![Field::new("c", DataType::Int, false)])).unwrap_err();
        assert!(e.class == ErrorClass::MalformedData && e.message.contains("`c`"), "{e}");
        assert!(normalise(&batch, &Schema::default()).is_err());
    }
}
