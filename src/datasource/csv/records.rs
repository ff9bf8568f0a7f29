//! Bytes of a CSV file to fields.

use std::io::Read;

use memchr::{memchr, memchr3};

use super::Dialect;
use crate::base::{Error, ErrorClass, Result};

/// Some records: the text of all fields, one after the other, without quotes.
#[derive(Debug, Default)]
pub(super) struct RecordBlock {
    bytes: Vec<u8>,
    /// Where each field ends, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    /// Line on which each record begins, from 1.
    lines: Vec<u64>,
    /// Number of the first field of each record.
    starts: Vec<usize>,
}

impl RecordBlock {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.lines.clear();
        self.starts.clear();
    }

    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Bytes of all fields.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }

    /// Fields of a record.
    pub fn width(&self, row: usize) -> usize {
        self.starts.get(row + 1).copied().unwrap_or(self.ends.len()) - self.starts[row]
    }

    /// Bytes of a field, and whether it was quoted.
    pub fn field(&self, row: usize, column: usize) -> (&[u8], bool) {
        let index = self.starts[row] + column;
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        let (end, quoted) = self.ends[index];
        (&self.bytes[start..end], quoted)
    }
}

/// Splits a stream into records.
pub(super) struct RecordReader<R> {
    input: R,
    dialect: Dialect,
    buffer: Vec<u8>,
    position: usize,
    filled: usize,
    /// Bytes of the stream before the buffer.
    before: u64,
    line: u64,
    columns: Option<usize>,
}

const BUFFER: usize = 256 * 1024;

impl<R: Read> RecordReader<R> {
    /// `line` is that of the first byte; a blank line is a record only where there is a single column.
    pub fn new(input: R, dialect: &Dialect, line: u64, columns: Option<usize>) -> Self {
        Self { input, dialect: dialect.clone(), buffer: vec![0; BUFFER], position: 0, filled: 0, before: 0, line, columns }
    }

    /// Says how many columns there are, once that is known.
    pub fn set_columns(&mut self, columns: usize) {
        self.columns = Some(columns);
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.before + self.position as u64
    }

    /// The line of the next byte.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Ensures that there is a byte to read; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.position < self.filled {
            return Ok(true);
        }
        self.before += self.filled as u64;
        self.position = 0;
        self.filled = loop {
            match self.input.read(&mut self.buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        Ok(self.filled > 0)
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(if self.fill()? { Some(self.buffer[self.position]) } else { None })
    }

    /// Passes over a byte order mark at the start of a file.
    pub fn skip_mark(&mut self) -> Result<()> {
        if self.fill()? && self.buffer[..self.filled].starts_with(b"\xEF\xBB\xBF") {
            self.position = 3;
        }
        Ok(())
    }

    /// Appends the next record; `false` at the end.
    pub fn read(&mut self, block: &mut RecordBlock) -> Result<bool> {
        loop {
            match self.peek()? {
                None => return Ok(false),
                Some(b'\n' | b'\r') if self.columns != Some(1) => self.end_line()?,
                Some(c) if Some(c) == self.dialect.comment => self.skip_line()?,
                Some(_) => break,
            }
        }
        block.lines.push(self.line);
        block.starts.push(block.ends.len());
        loop {
            let quoted = self.peek()?.is_some_and(|c| Some(c) == self.dialect.quote);
            if quoted {
                self.quoted(block)?;
            } else {
                self.unquoted(block)?;
            }
            block.ends.push((block.bytes.len(), quoted));
            match self.peek()? {
                Some(c) if c == self.dialect.delimiter => self.position += 1,
                Some(b'\n' | b'\r') => {
                    self.end_line()?;
                    return Ok(true);
                }
                None => return Ok(true),
                Some(c) => {
                    let message = format!("line {}: `{}` after a closing quote", self.line, char::from(c));
                    return Err(Error::new(ErrorClass::MalformedData, message));
                }
            }
        }
    }

    fn unquoted(&mut self, block: &mut RecordBlock) -> Result<()> {
        while self.fill()? {
            let rest = &self.buffer[self.position..self.filled];
            let end = memchr3(self.dialect.delimiter, b'\n', b'\r', rest);
            block.bytes.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            self.position += end.unwrap_or(rest.len());
            if end.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn quoted(&mut self, block: &mut RecordBlock) -> Result<()> {
        let (first_line, quote) = (self.line, self.dialect.quote.unwrap_or(b'"'));
        let escape = self.dialect.escape.unwrap_or(quote);
        self.position += 1;
        while self.fill()? {
            let rest = &self.buffer[self.position..self.filled];
            let end = memchr3(quote, escape, b'\n', rest);
            block.bytes.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            let Some(end) = end else {
                self.position = self.filled;
                continue;
            };
            let found = rest[end];
            self.position += end + 1;
            let next = self.peek()?;
            if found == b'\n' {
                self.line += 1;
                block.bytes.push(b'\n');
            } else if found == escape && next.is_some_and(|n| n == quote || (escape != quote && n == escape)) {
                block.bytes.push(next.unwrap_or(quote));
                self.position += 1;
            } else if found == quote {
                return Ok(());
            } else {
                block.bytes.push(found);
            }
        }
        Err(Error::new(ErrorClass::MalformedData, format!("line {first_line}: a quoted field has no end")))
    }

    /// Passes over `\n`, `\r\n` or `\r`.
    fn end_line(&mut self) -> Result<()> {
        let carriage_return = self.peek()? == Some(b'\r');
        self.position += 1;
        if carriage_return && self.peek()? == Some(b'\n') {
            self.position += 1;
        }
        self.line += 1;
        Ok(())
    }

    fn skip_line(&mut self) -> Result<()> {
        while self.fill()? {
            match memchr(b'\n', &self.buffer[self.position..self.filled]) {
                Some(end) => {
                    self.position += end;
                    return self.end_line();
                }
                None => self.position = self.filled,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a byte at a time, so that every state meets the end of the buffer.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    /// A record's line and its fields, each with whether it was quoted.
    type Parsed = (u64, Vec<(String, bool)>);

    fn records(text: &str) -> Result<Vec<Parsed>> {
        let mut outcome = Vec::new();
        let inputs: [Box<dyn Read>; 2] = [Box::new(text.as_bytes()), Box::new(Dribble(text.as_bytes()))];
        for input in inputs {
            let mut reader = RecordReader::new(input, &Dialect::default(), 1, None);
            let mut block = RecordBlock::default();
            let mut all = Vec::new();
            while reader.read(&mut block)? {}
            for row in 0..block.rows() {
                let field = |c| (String::from_utf8(block.field(row, c).0.to_vec()).unwrap(), block.field(row, c).1);
                all.push((block.line(row), (0..block.width(row)).map(field).collect()));
            }
            assert_eq!(reader.offset(), text.len() as u64);
            outcome.push(all);
        }
        assert_eq!(outcome[0], outcome[1]);
        Ok(outcome.remove(0))
    }

    fn plain(fields: &[&str]) -> Vec<(String, bool)> {
        fields.iter().map(|f| (f.to_string(), false)).collect()
    }

    #[test]
    fn quotes_lines_and_ends() {
        let got = records("a,b\r\n\n\"x\"\"y\n2\",\n,z").unwrap();
        assert_eq!(got[0], (1, plain(&["a", "b"])));
        assert_eq!(got[1], (3, vec![("x\"y\n2".into(), true), (String::new(), false)]));
        assert_eq!(got[2], (5, plain(&["", "z"])));
        assert_eq!(records("").unwrap(), []);
    }

    #[test]
    fn broken_quotes() {
        assert!(records("a\n\"b").unwrap_err().message.contains("line 2"));
        assert!(records("\"a\"b\n").unwrap_err().message.contains("line 1"));
    }
}
