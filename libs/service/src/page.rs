//! Pages of lists, by keyset cursor (AIP-158).

use rpc::PageKey;
use rpc::page::{self, ArgsDigest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;

/// Items on a page when `page_size` is 0.
const DEFAULT_SIZE: i64 = 50;
/// The most items on a page; larger sizes are clamped.
const MAX_SIZE: i64 = 200;

/// One page of a list that is sorted by the cursor `C`.
pub struct Page<'a, C> {
    key: &'a PageKey,
    args: ArgsDigest,
    size: usize,
    /// The page starts after this item; `None` on the first page.
    pub after: Option<C>,
}

impl<'a, C: Serialize + DeserializeOwned> Page<'a, C> {
    /// Reads `page_size` and `page_token`. The token is valid only for the same `rpc` and `args`: every other argument
    /// of the list, and the viewer when the content depends on it.
    ///
    /// INVALID_ARGUMENT names the field that is wrong.
    pub fn open(
        key: &'a PageKey,
        rpc: &str,
        args: &[&[u8]],
        page_size: i32,
        page_token: &str,
    ) -> Result<Self, Status> {
        let size = page::page_size(page_size, DEFAULT_SIZE, MAX_SIZE)?;
        let args = page::digest(rpc, args);
        let after = key.parse(&args, page_token)?;
        Ok(Self { key, args, size: usize::try_from(size).unwrap_or_default(), after })
    }

    /// Rows to read: one more than the page holds, which tells whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX - 1) + 1
    }

    /// Cuts the rows that were read to the page, and makes the token of the next page; empty on the last one.
    pub fn close<T>(self, mut rows: Vec<T>, cursor: impl FnOnce(&T) -> C) -> (Vec<T>, String) {
        if rows.len() <= self.size {
            return (rows, String::new());
        }
        rows.truncate(self.size);
        let token = rows.last().map(|last| self.key.token(&self.args, &cursor(last)));
        (rows, token.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use rpc::RootSecret;

    use super::*;

    fn list(key: &PageKey, size: i32, token: &str) -> Result<(Vec<i64>, String), Status> {
        let page = Page::<i64>::open(key, "ListNumbers", &[b"even"], size, token)?;
        let numbers = (0..10).map(|n| n * 2).filter(|n| page.after.is_none_or(|after| *n > after));
        let rows = numbers.take(usize::try_from(page.limit()).unwrap()).collect();
        Ok(page.close(rows, |last| *last))
    }

    #[test]
    fn pages_cover_the_list_once() {
        let key = PageKey::new(&RootSecret::from_bytes([1; 32]));
        for size in [1, 3, 5, 10, 11] {
            let (mut all, mut token) = (Vec::new(), String::new());
            loop {
                let (rows, next) = list(&key, size, &token).unwrap();
                assert!(!rows.is_empty(), "size {size}: a page is empty");
                all.extend(rows);
                token = next;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(all, (0..10).map(|n| n * 2).collect::<Vec<_>>(), "size {size}");
        }
    }

    #[test]
    fn tokens_of_other_lists_are_refused() {
        let key = PageKey::new(&RootSecret::from_bytes([1; 32]));
        let (_, token) = list(&key, 3, "").unwrap();
        assert!(Page::<i64>::open(&key, "ListNumbers", &[b"odd"], 3, &token).is_err());
        assert!(Page::<i64>::open(&key, "ListNumbers", &[b"even"], -1, &token).is_err());
    }
}
