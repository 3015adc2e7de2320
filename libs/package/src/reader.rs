//! State and helpers that the readers of all parts of a package share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::constants;
use crate::error::Error;
use crate::finding::Report;
use crate::language::Languages;
use crate::size_limits::SizeLimits;
use crate::spool::{Blob, Spool};
use crate::tree::Tree;

pub struct Reader<'a> {
    pub tree: &'a Tree,
    pub report: &'a Report,
    pub size_limits: &'a SizeLimits,
    pub languages: &'a Languages,
    /// Receives the files that constants change.
    pub scratch: &'a Path,
    /// `type` of `problem.yaml`; absent if that could not be read.
    pub types: Option<&'a BTreeSet<String>>,
    /// `constants` of `problem.yaml`: values by name.
    pub constants: &'a BTreeMap<String, String>,
    pub validators: &'a BTreeSet<String>,
    /// Number of files that constants changed.
    pub changed: Cell<usize>,
    /// Files whose findings are already in the report.
    pub reported: RefCell<BTreeSet<String>>,
}

impl Reader<'_> {
    /// Loads a text file; a missing, large or binary one is reported.
    pub fn text(&self, path: &str) -> Option<String> {
        self.text_for(path, self.report)
    }

    /// Whether the problem is, or may be, of a type of the format.
    pub fn may_be(&self, kind: &str) -> bool {
        self.types.is_none_or(|types| types.contains(kind))
    }

    /// Whether an error that was already reported explains that something is missing at `path`: a finding that only
    /// follows from it would hide the cause.
    pub fn is_explained(&self, path: &str) -> bool {
        self.tree.is_refused(path) || self.report.has_errors_in(path)
    }

    /// Reports what is missing at `path`, unless another error explains it.
    pub fn missing(&self, path: &str, message: &str) {
        if !self.is_explained(path) {
            self.report.error(path, message);
        }
    }

    /// Whether this is the first call for a file.
    pub fn is_first_report(&self, file: &str) -> bool {
        self.reported.borrow_mut().insert(file.to_owned())
    }

    /// Like `text`, with another report.
    pub fn text_for(&self, path: &str, report: &Report) -> Option<String> {
        let Some(blob) = self.tree.file(path) else {
            if !self.is_explained(path) {
                report.error(path, "is missing");
            }
            return None;
        };
        if blob.size > self.size_limits.text {
            let max = self.size_limits.text;
            report.error(path, format!("is larger than {max} bytes, the maximum of such a text"));
            return None;
        }
        let bytes = self.bytes(path, blob)?;
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let Some(mut text) = text else {
            report.error(path, "is not UTF-8, or has NUL bytes; it must be a UTF-8 text");
            return None;
        };
        if text.starts_with('\u{feff}') {
            report.warn(path, "starts with a byte-order mark, which the format forbids");
            text.remove(0);
        }
        if text.contains('\r') {
            report.warn(path, "has line endings other than LF");
            text = text.replace("\r\n", "\n");
        }
        Some(text)
    }

    /// Loads a file; callers check its size first.
    pub fn bytes(&self, path: &str, blob: &Blob) -> Option<Vec<u8>> {
        let read = blob.read();
        if let Err(error) = &read {
            self.report.error(path, format!("cannot be read: {error}"));
        }
        read.ok()
    }

    /// The file of a program with constants replaced by their values.
    pub fn with_constants(&self, path: &str, blob: &Blob) -> Option<Blob> {
        if self.constants.is_empty() || blob.size > self.size_limits.text {
            return Some(blob.clone());
        }
        let bytes = self.bytes(path, blob)?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return Some(blob.clone()) };
        let replaced = constants::replace(text, self.constants);
        if replaced == text { Some(blob.clone()) } else { self.store(path, replaced.as_bytes()) }
    }

    fn store(&self, path: &str, bytes: &[u8]) -> Option<Blob> {
        self.changed.set(self.changed.get() + 1);
        let dir = self.scratch.join(format!("changed-{}", self.changed.get()));
        let stored = std::fs::create_dir(&dir)
            .map_err(Error::from)
            .and_then(|()| Spool::new(&dir, self.size_limits).store(path, bytes));
        if let Err(error) = &stored {
            self.report.error(path, format!("cannot be stored: {error}"));
        }
        stored.ok()
    }
}
