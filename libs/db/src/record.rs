//! Rows as structs. Replaces the driver's derive macro, so that only this crate depends on the driver.

/// Defines a struct that is read from a row of either database, each field from the column of the same name. A last field
/// `..name: Type` is another record, read from the columns of its own fields.
///
/// ```
/// db::record! {
///     #[derive(Debug)]
///     pub struct Session {
///         pub id: uuid::Uuid,
///         pub revoked_at: Option<chrono::DateTime<chrono::Utc>>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty ),*
            $(, .. $inner_vis:vis $inner:ident : $inner_ty:ty )? $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $ty, )*
            $( $inner_vis $inner: $inner_ty, )?
        }
        $crate::record!(@read $name, $crate::driver::PgRow, $($field)* $(.. $inner $inner_ty)?);
        $crate::record!(@read $name, $crate::driver::SqliteRow, $($field)* $(.. $inner $inner_ty)?);
    };
    (@read $name:ident, $row:ty, $($field:ident)* $(.. $inner:ident $inner_ty:ty)?) => {
        impl<'r> $crate::driver::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> ::std::result::Result<Self, $crate::driver::Error> {
                ::std::result::Result::Ok(Self {
                    $( $field: $crate::driver::Row::try_get(row, stringify!($field))?, )*
                    $( $inner: $crate::driver::FromRow::from_row(row)?, )?
                })
            }
        }
    };
}
