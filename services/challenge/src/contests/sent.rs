//! What a stream of a list has sent, so that it sends only what changed.

use std::collections::HashMap;

pub struct Sent<T> {
    count: i64,
    items: HashMap<String, T>,
}

/// The message that leads from what was sent to the current list.
pub struct Update<T> {
    /// The number of the message in its stream, from 1. A number of the log would reveal hidden verdicts.
    pub sequence: i64,
    pub changed: Vec<T>,
    /// The ids of the whole list, in order.
    pub ids: Vec<String>,
}

impl<T: Clone + PartialEq> Sent<T> {
    pub fn new() -> Self {
        Self { count: 0, items: HashMap::new() }
    }

    pub fn update(&mut self, items: Vec<T>, id: impl Fn(&T) -> &String) -> Update<T> {
        let ids = items.iter().map(|item| id(item).clone()).collect();
        let changed = items.iter().filter(|item| self.items.get(id(item)) != Some(*item));
        let changed = changed.cloned().collect();
        self.items = items.into_iter().map(|item| (id(&item).clone(), item)).collect();
        self.count += 1;
        Update { sequence: self.count, changed, ids }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_and_changed_items_are_sent() {
        let mut sent = Sent::new();
        let mut update = |items: &[(&str, i32)]| {
            let items = items.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect();
            let update = sent.update(items, |(id, _)| id);
            let changed: Vec<i32> = update.changed.iter().map(|(_, value)| *value).collect();
            (update.sequence, changed, update.ids.concat())
        };
        assert_eq!(update(&[("a", 1), ("b", 2)]), (1, vec![1, 2], "ab".to_owned()));
        assert_eq!(update(&[("c", 3), ("a", 1), ("b", 4)]), (2, vec![3, 4], "cab".to_owned()));
        assert_eq!(update(&[("a", 1)]), (3, vec![], "a".to_owned()));
        assert_eq!(update(&[("a", 1), ("b", 4)]), (4, vec![4], "ab".to_owned()));
    }
}
