//! Packed rows of the aggregation and join tables.

/// How a value is held, in a row and in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// Also booleans (0 or 1).
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    /// A [`super::StrRef`].
    Str,
}

impl FieldKind {
    /// Bytes in a row.
    pub fn size(self) -> usize {
        match self {
            FieldKind::I8 => 1,
            FieldKind::I16 => 2,
            FieldKind::I32 | FieldKind::F32 => 4,
            FieldKind::I64 | FieldKind::F64 => 8,
            FieldKind::I128 | FieldKind::Str => 16,
        }
    }
}

/// A field of a packed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowField {
    pub kind: FieldKind,
    /// Bytes from the row's start.
    pub offset: usize,
    /// Where the byte is that says that the value is NULL (1) or not (0); absent when it never is.
    pub null: Option<usize>,
}

/// Where the fields of a packed row are: widest first, then the null bytes; after a header of `header` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLayout {
    pub fields: Vec<RowField>,
    /// Bytes of a row, a multiple of 8.
    pub size: usize,
}

impl RowLayout {
    /// Lays out `fields` (kind, nullable) behind a header of `header` bytes (a multiple of 8).
    pub fn new(header: usize, fields: &[(FieldKind, bool)]) -> Self {
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(fields[*i].0.size()));
        let mut out: Vec<RowField> = fields.iter().map(|(kind, _)| RowField { kind: *kind, offset: 0, null: None }).collect();
        let mut at = header;
        for i in order {
            out[i].offset = at;
            at += fields[i].0.size();
        }
        for (field, (_, nullable)) in out.iter_mut().zip(fields) {
            if *nullable {
                field.null = Some(at);
                at += 1;
            }
        }
        Self { fields: out, size: at.next_multiple_of(8).max(8) }
    }
}
