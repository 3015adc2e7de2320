//! How large a package may be.

/// Limits on the size of a package. A package that exceeds one is refused, and the file is named.
#[derive(Clone, Debug)]
pub struct SizeLimits {
    /// Bytes of the archive. Enforced by the code that receives it, not by [`read`](crate::read()).
    pub upload: u64,
    /// Bytes of all unpacked files.
    pub unpacked: u64,
    /// Bytes of one unpacked file.
    pub file: u64,
    /// Files, directories and links.
    pub entries: usize,
    /// Tests, samples included.
    pub tests: usize,
    pub solutions: usize,
    /// Bytes of a text that is loaded into memory: YAML, statements.
    pub text: u64,
    /// Bytes of the images of one statement.
    pub images: u64,
}

impl Default for SizeLimits {
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
