//! The places of workers in their pool: numbers that the next worker takes over.
//!
//! Owns which number is whose (`spec/merge.md`, chapter 7), and how they are written down. Knows
//! neither files nor values.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use crate::intake::DirectoryId;

/// The places in all directories.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The place of each worker that has a file, dead or alive.
    by_worker: HashMap<(DirectoryId, Arc<str>), u32>,
    /// Who holds each place that is not free.
    held: HashMap<DirectoryId, BTreeMap<u32, Arc<str>>>,
    /// In which directories that has changed since somebody asked.
    changed: HashSet<DirectoryId>,
}

impl Places {
    /// Whether anybody has a place.
    pub(crate) fn is_used(&self) -> bool {
        !self.by_worker.is_empty()
    }

    /// The place of a worker, if it has one.
    pub(crate) fn find(&self, directory: DirectoryId, worker: &Arc<str>) -> Option<u32> {
        let key = (directory, Arc::clone(worker));
        self.by_worker.get(&key).copied()
    }

    /// `[life.place]`: the place of a worker, and for one that has none the lowest that is free.
    pub(crate) fn of(&mut self, directory: DirectoryId, worker: &Arc<str>) -> u32 {
        if let Some(place) = self.find(directory, worker) {
            return place;
        }
        let held = self.held.entry(directory).or_default();
        let taken = (0..).zip(held.keys());
        let place = taken.take_while(|(number, held)| number == *held).count() as u32;
        held.insert(place, Arc::clone(worker));
        self.by_worker
            .insert((directory, Arc::clone(worker)), place);
        self.changed.insert(directory);
        place
    }

    /// Frees the places of those that do not live any more, and forgets those of whom nothing is
    /// known, unless not all `is_told`; whether somebody who lives again had to get another place.
    pub(crate) fn update(
        &mut self,
        directory: DirectoryId,
        living: &HashSet<&Arc<str>>,
        known: &HashSet<&Arc<str>>,
        is_told: bool,
    ) -> bool {
        let may_live = |worker: &Arc<str>| !is_told && !known.contains(worker);
        let held = self.held.entry(directory).or_default();
        let before = held.len();
        held.retain(|_, worker| living.contains(worker) || may_live(worker));
        if held.len() != before {
            self.changed.insert(directory);
        }
        let is_known = |worker: &Arc<str>| known.contains(worker) || !is_told;
        self.by_worker
            .retain(|(own, worker), _| *own != directory || is_known(worker));
        let mut is_moved = false;
        for worker in living {
            let Some(place) = self.find(directory, worker) else {
                continue;
            };
            let held = self.held.entry(directory).or_default();
            match held.entry(place) {
                Entry::Vacant(free) => {
                    free.insert(Arc::clone(worker));
                    self.changed.insert(directory);
                }
                Entry::Occupied(taken) if taken.get() != *worker => {
                    self.by_worker.remove(&(directory, Arc::clone(worker)));
                    is_moved = true;
                }
                Entry::Occupied(_) => {}
            }
        }
        is_moved
    }

    /// `[merge.directory.replaced]`: forgets all that is known of a directory.
    pub(crate) fn forget(&mut self, directory: DirectoryId) {
        self.held.remove(&directory);
        self.by_worker.retain(|(own, _), _| *own != directory);
    }

    /// `[life.place.file]`: takes over what was written down; what makes no sense is passed over.
    pub(crate) fn restore(&mut self, directory: DirectoryId, text: &str) {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return;
        }
        let held = self.held.entry(directory).or_default();
        for line in lines {
            let Some((number, worker)) = line.split_once(' ') else {
                continue;
            };
            let Some(place) = number.parse().ok().filter(|place| *place < MOST) else {
                continue;
            };
            let worker: Arc<str> = worker.into();
            let key = (directory, Arc::clone(&worker));
            if !held.contains_key(&place) && !self.by_worker.contains_key(&key) {
                held.insert(place, worker);
                self.by_worker.insert(key, place);
            }
        }
    }

    /// `[life.place.file]`: takes over what another has written down meanwhile, whatever was known. Who
    /// is not in it keeps a place that nobody in it has.
    pub(crate) fn follow(&mut self, directory: DirectoryId, text: &str) {
        let mut theirs = Places::default();
        theirs.restore(directory, text);
        let held = theirs.held.remove(&directory).unwrap_or_default();
        self.held.insert(directory, held);
        self.by_worker.extend(theirs.by_worker);
    }

    /// `[life.place.file]`: what is to be written down, if that has changed since this was asked
    /// last.
    pub(crate) fn written(&mut self, directory: DirectoryId) -> Option<String> {
        if !self.changed.remove(&directory) {
            return None;
        }
        let mut text = format!("{HEAD}\n");
        for (place, worker) in self.held.get(&directory)? {
            // An identifier that does not fit its line has no place after a restart.
            if !worker.contains('\n') {
                let _written = writeln!(text, "{place} {worker}");
            }
        }
        Some(text)
    }
}

/// The first line of a list of places.
const HEAD: &str = "headcount slots, version 1";

/// More workers than that in one directory are unheard of.
const MOST: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(workers: &[Arc<str>]) -> HashSet<&Arc<str>> {
        workers.iter().collect()
    }

    // [life.place]
    #[test]
    fn a_worker_gets_the_lowest_place_that_is_free_and_keeps_it() {
        let workers: Vec<Arc<str>> = ["a", "b", "c", "d", "e"].map(Arc::from).into();
        let mut places = Places::default();
        let given: Vec<u32> = workers[..3]
            .iter()
            .map(|worker| places.of(0, worker))
            .collect();
        assert_eq!(given, [0, 1, 2]);
        assert_eq!(places.of(1, &workers[0]), 0, "of another directory");
        // The second has died, and still has its file.
        let living = [Arc::clone(&workers[0]), Arc::clone(&workers[2])];
        assert!(!places.update(0, &set(&living), &set(&workers), true));
        assert_eq!(places.find(0, &workers[1]), Some(1));
        assert_eq!(places.of(0, &workers[3]), 1);
        assert_eq!(places.of(0, &workers[4]), 3);
        // It lives again, and its place is another's.
        assert!(places.update(0, &set(&workers), &set(&workers), true));
        assert_eq!(places.of(0, &workers[1]), 4);
        // What is forgotten has none.
        assert!(!places.update(0, &set(&workers[..1]), &set(&workers[..1]), true));
        assert_eq!(places.find(0, &workers[4]), None);
        assert_eq!(places.of(0, &workers[4]), 1);
    }

    // [life.place.file]
    #[test]
    fn places_are_restored_as_they_were_written() {
        let workers: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).into();
        let mut places = Places::default();
        assert_eq!(places.written(0), None);
        workers.iter().for_each(|worker| _ = places.of(0, worker));
        let living = [Arc::clone(&workers[0]), Arc::clone(&workers[2])];
        places.update(0, &set(&living), &set(&living), true);
        let text = places.written(0).unwrap();
        assert_eq!(text, "headcount slots, version 1\n0 a\n2 c\n");
        assert_eq!(places.written(0), None, "nothing has changed");
        let mut restored = Places::default();
        restored.restore(0, &text);
        assert_eq!(restored.of(0, &workers[2]), 2);
        assert_eq!(restored.of(0, &workers[1]), 1);
        let mut hostile = Places::default();
        hostile.restore(
            0,
            "headcount slots, version 1\n0 a\n0 b\nx c\n99999999 d\n\n1 a\n",
        );
        assert_eq!(hostile.written(0), None);
        assert_eq!(hostile.held[&0].len(), 1);
        hostile.restore(0, "headcount slots, version 2\n1 b\n");
        assert_eq!(hostile.held[&0].len(), 1);
    }
}
