//! `agon-box`: the helper process that owns one slot's container.

/// The helper's whole life. A program whose first argument is `box` calls this first of all, before any
/// thread or runtime exists; it returns the code to exit with.
pub fn main() -> i32 {
    78
}
