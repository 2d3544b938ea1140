//! What is kept of an environment between calls: which deployment is in place, which was before it, and which was under way.
//!
//! It is written before anything is done, so that after a crash the next call sees what was begun: [`Book::leftovers`] are
//! then removed, and whatever is not in the book is not touched. Pure: it reads text and makes text.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// How many deployments there were: the last one's number.
    count: u64,
    /// What is in place.
    current: Option<Entry>,
    /// What was in place before that, stopped.
    previous: Option<Entry>,
    /// What is under way.
    pending: Option<Entry>,
    /// What is to be removed, until it was.
    #[serde(default)]
    retired: BTreeSet<String>,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it and its container are called.
    pub id: String,
    /// From which image.
    pub image: String,
}

/// How a deployment stands in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In place.
    Current,
    /// It was before what is in place now, and can be gone back to.
    Previous,
    /// Under way.
    Pending,
}

impl Book {
    /// What is in place.
    pub fn current(&self) -> Option<&Entry> {
        self.current.as_ref()
    }

    /// What can be gone back to.
    pub fn previous(&self) -> Option<&Entry> {
        self.previous.as_ref()
    }

    /// The deployment `id`, or, where none is named, the one in place; failing that, the one under way.
    pub fn find(&self, id: Option<&str>) -> Option<(&Entry, Standing)> {
        let all = [
            (&self.current, Standing::Current),
            (&self.pending, Standing::Pending),
            (&self.previous, Standing::Previous),
        ];
        let mut all = all.into_iter().filter_map(|(entry, standing)| Some((entry.as_ref()?, standing)));
        match id {
            Some(id) => all.find(|(entry, _)| entry.id == id),
            None => all.find(|(_, standing)| *standing != Standing::Previous),
        }
    }

    /// What must not be there any more: it was given up, or a call that began it died.
    pub fn leftovers(&self) -> BTreeSet<String> {
        self.retired.iter().cloned().chain(self.pending.iter().map(|entry| entry.id.clone())).collect()
    }

    /// The leftovers are gone.
    pub fn tidied(&mut self) {
        self.retired.clear();
        self.pending = None;
    }

    /// Begins a deployment, under an id that no other one of this environment has had.
    pub fn begin(&mut self, image: &str) -> Entry {
        self.count += 1;
        let entry = Entry { id: format!("d{}", self.count), image: image.to_owned() };
        self.pending = Some(entry.clone());
        entry
    }

    /// What was under way is in place; what was in place is what can be gone back to.
    pub fn succeeded(&mut self) {
        if let Some(new) = self.pending.take() {
            let before = self.current.replace(new);
            self.retired.extend(std::mem::replace(&mut self.previous, before).map(|old| old.id));
        }
    }

    /// What was under way did not come up.
    pub fn failed(&mut self) {
        self.retired.extend(self.pending.take().map(|entry| entry.id));
    }

    /// What was before is in place again; what was in place can be gone back to in turn.
    pub fn rolled_back(&mut self) {
        if self.previous.is_some() {
            std::mem::swap(&mut self.current, &mut self.previous);
        }
    }

    /// Gives a deployment up, or all of them.
    pub fn retire(&mut self, id: Option<&str>) {
        for place in [&mut self.current, &mut self.previous, &mut self.pending] {
            if place.as_ref().is_some_and(|entry| id.is_none_or(|id| entry.id == id)) {
                self.retired.extend(place.take().map(|entry| entry.id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `current previous pending | retired`.
    fn shown(book: &Book) -> String {
        let id = |entry: &Option<Entry>| entry.as_ref().map_or("-".to_owned(), |entry| entry.id.clone());
        let retired = book.retired.iter().cloned().collect::<Vec<_>>().join(" ");
        format!("{} {} {} | {retired}", id(&book.current), id(&book.previous), id(&book.pending))
    }

    #[test]
    fn deployments_one_after_another() {
        let mut book = Book::default();
        let mut after = |act: &dyn Fn(&mut Book), expect: &str| {
            act(&mut book);
            assert_eq!(shown(&book).trim_end(), expect);
        };
        after(&|book| drop(book.begin("app:1")), "- - d1 |");
        after(&Book::succeeded, "d1 - - |");
        after(&|book| drop(book.begin("app:2")), "d1 - d2 |");
        after(&Book::failed, "d1 - - | d2");
        after(&Book::tidied, "d1 - - |");
        after(&|book| drop(book.begin("app:3")), "d1 - d3 |");
        after(&Book::succeeded, "d3 d1 - |");
        after(&Book::rolled_back, "d1 d3 - |");
        after(&Book::rolled_back, "d3 d1 - |");
        after(&|book| drop(book.begin("app:4")), "d3 d1 d4 |");
        after(&Book::succeeded, "d4 d3 - | d1");
        after(&|book| book.retire(Some("d9")), "d4 d3 - | d1");
        after(&|book| book.retire(Some("d3")), "d4 - - | d1 d3");
        after(&Book::rolled_back, "d4 - - | d1 d3");
        after(&|book| book.retire(None), "- - - | d1 d3 d4");
        after(&Book::tidied, "- - - |");
        after(&|book| drop(book.begin("app:5")), "- - d5 |");
    }

    #[test]
    fn which_deployment_is_meant() {
        let mut book = Book::default();
        assert_eq!(book.find(None), None);
        book.begin("app:1");
        let id = |book: &Book, id: Option<&str>| book.find(id).map(|(entry, standing)| (entry.id.clone(), standing));
        assert_eq!(id(&book, None), Some(("d1".to_owned(), Standing::Pending)));
        book.succeeded();
        book.begin("app:2");
        assert_eq!(id(&book, None), Some(("d1".to_owned(), Standing::Current)));
        assert_eq!(id(&book, Some("d2")), Some(("d2".to_owned(), Standing::Pending)));
        assert_eq!(book.leftovers(), ["d2".to_owned()].into(), "a call that died has left it");
        book.succeeded();
        assert_eq!(id(&book, Some("d1")), Some(("d1".to_owned(), Standing::Previous)));
        assert_eq!(id(&book, Some("d0")), None);
    }

    proptest! {
        /// Whatever happens in whatever order: nothing is in two places, nothing in place is to be removed, and no id comes twice.
        #[test]
        fn nothing_is_in_two_places(acts in proptest::collection::vec(0..6_u8, 0..60)) {
            let (mut book, mut given) = (Book::default(), BTreeSet::new());
            for act in acts {
                match act {
                    0 => prop_assert!(given.insert(book.begin("app").id)),
                    1 => book.succeeded(),
                    2 => book.failed(),
                    3 => book.rolled_back(),
                    4 => book.tidied(),
                    _ => book.retire(Some("d2")),
                }
                let places = [&book.current, &book.previous, &book.pending];
                let ids: Vec<_> = places.into_iter().flatten().map(|entry| entry.id.clone()).collect();
                let unique: BTreeSet<_> = ids.iter().cloned().collect();
                prop_assert_eq!(unique.len(), ids.len());
                prop_assert!(book.retired.is_disjoint(&unique));
                let again: Book = serde_json::from_str(&serde_json::to_string(&book).expect("JSON")).expect("a book");
                prop_assert_eq!(&again, &book);
            }
        }
    }
}
