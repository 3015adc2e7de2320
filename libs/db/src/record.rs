//! Rows as structs, without the driver's derive, so that only this crate knows the driver.

/// Defines a struct that can be read from a row of either database, each field from the column of its name.
///
/// ```
/// db::record! {
///     /// A session as it is stored.
///     #[derive(Debug)]
///     pub struct Session {
///         /// Its id.
///         pub id: uuid::Uuid,
///         /// When it was ended, if it was.
///         pub revoked_at: Option<chrono::DateTime<chrono::Utc>>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $ty, )*
        }
        $crate::record!(@read $name, $crate::driver::PgRow, $($field)*);
        $crate::record!(@read $name, $crate::driver::SqliteRow, $($field)*);
    };
    (@read $name:ident, $row:ty, $($field:ident)*) => {
        impl<'r> $crate::driver::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> ::std::result::Result<Self, $crate::driver::Error> {
                ::std::result::Result::Ok(Self {
                    $( $field: $crate::driver::Row::try_get(row, stringify!($field))?, )*
                })
            }
        }
    };
}
