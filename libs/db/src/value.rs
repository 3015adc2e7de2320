//! Types that both drivers can bind and read.

use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Encode, FromRow, Type};

use crate::Query;

/// A value that can be bound in both databases: `Uuid`, `&str`/`String`, `i64`, `bool`, `&[u8]`/`Vec<u8>`,
/// `DateTime<Utc>`, `f64`, and `Option` of the owned ones (an `Option<&str>` is cloned into an `Option<String>`).
pub trait Value:
    for<'q> Encode<'q, Postgres> + Type<Postgres> + for<'q> Encode<'q, Sqlite> + Type<Sqlite>
{
}

impl<T> Value for T where
    T: for<'q> Encode<'q, Postgres> + Type<Postgres> + for<'q> Encode<'q, Sqlite> + Type<Sqlite>
{
}

/// A row type that can be read from both databases: structs of [`record!`](crate::record) and tuples.
pub trait Record:
    for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
}

impl<T> Record for T where
    T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
}

/// A tuple of two to eight values.
pub trait Values {
    #[doc(hidden)]
    fn bind_to(self, query: Query<'_>) -> Query<'_>;
}

macro_rules! values {
    ($first:ident $($name:ident)+) => {
        impl<$first: Value, $($name: Value),+> Values for ($first, $($name),+) {
            #[expect(non_snake_case, reason = "a variable has the name of its type")]
            fn bind_to(self, query: Query<'_>) -> Query<'_> {
                let ($first, $($name),+) = self;
                query.bind($first)$(.bind($name))+
            }
        }
        values!($($name)+);
    };
    ($last:ident) => {};
}

values!(A B C D E F G H);
