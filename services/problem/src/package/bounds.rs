//! How large a package may be.

/// Bounds of a package. Whatever exceeds one is refused with the file named.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Bytes of the uploaded file.
    pub upload: u64,
    /// Bytes of all files, unpacked.
    pub unpacked: u64,
    /// Bytes of one file, unpacked.
    pub file: u64,
    /// Files and directories.
    pub entries: usize,
    /// Tests, samples included.
    pub tests: usize,
    /// Jury solutions.
    pub solutions: usize,
    /// Bytes of a text that is read whole: YAML, statements.
    pub text: u64,
    /// Bytes of the images that a statement carries.
    pub images: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            upload: 256 << 20,
            unpacked: 1 << 30,
            file: 256 << 20,
            entries: 20_000,
            tests: 1000,
            solutions: 100,
            text: 512 << 10,
            images: 8 << 20,
        }
    }
}
