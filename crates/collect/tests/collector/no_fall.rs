//! No counter ever falls: files of all dialects that are damaged, healed, moved, replaced and deleted
//! at random, under rules and budgets that change, while a watcher looks at every pass.
//!
//! What is served is compared with a model in which every worker knows what it has counted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use headcount_collect::model::Value;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::no_fall_deeds::{Deed, Event, Thing, budgets, event, foreign, rules};
use crate::no_fall_model::{Client, Kind, Totals, Worker, le};
use crate::pool::{Directory, Pass, Pool};
use crate::python::{counter, gauge};

/// Where a worker's file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Away,
    Gone,
    Here,
}

/// What has happened to it there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Damaged,
    /// Something else has its name, and it is at hand.
    Ousted,
    Whole,
}

struct File {
    worker: Worker,
    place: Place,
    state: State,
    /// Whether a collector that keeps files open has it open, and reads it once more.
    is_held: bool,
    /// Whether the clauses leave open what is served of it: it was damaged before it was read, or
    /// looked like another worker's, or nobody could read the last that it counted.
    is_vague: bool,
    /// Whether its name is new since the last look that no budget kept from it.
    is_renamed: bool,
    name: String,
}

struct World {
    pool: Pool,
    away: Directory,
    files: Vec<File>,
    keeps_open: bool,
    budget: usize,
    joined: u32,
    ever: Totals,
}

impl World {
    fn new(keeps_open: bool) -> World {
        let mut pool = Pool::with(&[
            ("gauge_all_1.db", gauge("level", 1.0, 0.0)),
            ("counter_2.db", counter("other", 4.0)),
        ]);
        pool.collector
            .set_descriptors(if keeps_open { 1024 } else { 0 });
        let mut world = World {
            pool,
            away: Directory::new(),
            files: Vec::new(),
            keeps_open,
            budget: 0,
            joined: 0,
            ever: Totals::new(),
        };
        for client in Client::ALL {
            let kind = match client {
                Client::Python16 | Client::GitLab | Client::Direct0 => Kind::Took,
                Client::Python3 => Kind::Size,
                _ => Kind::Jobs,
            };
            world.join(client, kind);
        }
        world
    }

    fn join(&mut self, client: Client, kind: Kind) {
        self.joined += 1;
        let mut worker = Worker::new(client, kind, self.joined, &self.away);
        worker.count(1, 3.0);
        let file = File {
            name: worker.name(),
            worker,
            place: Place::Here,
            state: State::Whole,
            is_held: false,
            is_vague: false,
            is_renamed: false,
        };
        self.files.push(file);
        self.publish(self.files.len() - 1);
    }

    /// Where the worker's own file is.
    fn path(&self, file: &File) -> PathBuf {
        match (file.place, file.state) {
            (Place::Here, State::Ousted) => self.pool.directory.join(&format!(".{}", file.name)),
            (Place::Here, _) => self.pool.directory.join(&file.name),
            _ => self.away.join(&file.name),
        }
    }

    /// What the worker has written reaches its file, unless others have written there.
    fn publish(&self, index: usize) {
        let file = &self.files[index];
        if file.place == Place::Gone || file.state == State::Damaged {
            return;
        }
        let (bytes, _) = file.worker.content();
        let path = self.path(file);
        match (file.worker.client, file.place, file.state) {
            (Client::Text, Place::Here, State::Whole) => {
                self.pool.directory.replace(&file.name, &bytes);
            }
            (Client::Text, ..) => fs::write(path, bytes).expect("a file can be written"),
            (_, Place::Here, State::Whole) => self.pool.directory.write(&file.name, &bytes),
            (_, Place::Here, _) => {
                self.pool
                    .directory
                    .write(&format!(".{}", file.name), &bytes);
            }
            _ => self.away.write(&file.name, &bytes),
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Budget(number) => {
                self.budget = *number;
                self.pool.collector.set_budgets(budgets(*number));
            }
            Event::Deed(index, deed) => {
                let index = index.index(self.files.len());
                if self.files[index].place != Place::Gone {
                    self.suffer(index, deed);
                }
            }
            Event::Join(client, kind) => self.join(*client.get(&Client::ALL), *kind),
            Event::Rules(number) => self.pool.collector.set_rules(rules(*number)),
        }
    }

    fn suffer(&mut self, index: usize, deed: &Deed) {
        let is_here = self.files[index].place == Place::Here;
        match deed {
            Deed::Count(cell, amount) => {
                self.files[index].worker.count(*cell, f64::from(*amount));
                self.publish(index);
            }
            Deed::Grow => {
                self.files[index].worker.grow();
                self.publish(index);
            }
            Deed::BeginAgain => self.begin_again(index),
            Deed::Heal { by_rename } if is_here => self.heal(index, *by_rename),
            Deed::Rename if is_here => self.rename(index),
            Deed::Leave if is_here && self.files[index].state != State::Ousted => {
                self.doubt(index);
                let from = self.path(&self.files[index]);
                self.files[index].place = Place::Away;
                let to = self.path(&self.files[index]);
                fs::rename(from, to).expect("a file can be moved");
            }
            Deed::Return if self.files[index].place == Place::Away => {
                let from = self.path(&self.files[index]);
                self.files[index].place = Place::Here;
                let to = self.path(&self.files[index]);
                fs::rename(from, to).expect("a file can be moved");
                self.files[index].is_held = false;
                self.files[index].is_vague |= self.files[index].state == State::Damaged;
            }
            Deed::Delete if is_here && self.files[index].state != State::Ousted => {
                self.doubt(index);
                let path = self.path(&self.files[index]);
                fs::remove_file(path).expect("it is there");
                self.files[index].place = Place::Gone;
            }
            _ if is_here => self.damage(index, deed),
            _ => {}
        }
    }

    fn begin_again(&mut self, index: usize) {
        let is_whole = |world: &World| {
            let file = &world.files[index];
            file.state == State::Whole && file.place == Place::Here && world.budget == 0
        };
        if is_whole(self) {
            self.look();
            self.files[index].worker.begin_again();
            self.publish(index);
            self.look();
        } else if self.files[index].worker.kind == Kind::Jobs
            && self.files[index].place == Place::Away
            && self.files[index].worker.is_seen()
        {
            // What it counts next is less than what it has left.
            self.files[index].worker.begin_again();
            self.publish(index);
        }
    }

    /// What nobody has seen of a file that cannot be read now may be lost.
    fn doubt(&mut self, index: usize) {
        let is_damaged = self.files[index].state == State::Damaged || self.budget != 0;
        let file = &mut self.files[index];
        file.is_vague |= is_damaged && !file.worker.is_seen();
    }

    fn heal(&mut self, index: usize, by_rename: bool) {
        let own = self.path(&self.files[index]);
        let name = self.files[index].name.clone();
        let path = self.pool.directory.join(&name);
        if self.files[index].state == State::Ousted {
            if path.is_dir() {
                fs::remove_dir(&path).expect("it is empty");
            } else {
                fs::remove_file(&path).expect("it is there");
            }
            fs::rename(own, &path).expect("a file can be moved");
        }
        self.files[index].state = State::Whole;
        let (bytes, _) = self.files[index].worker.content();
        let is_another = !matches!(
            self.files[index].worker.client,
            Client::Text | Client::Store
        );
        if !by_rename || self.budget != 0 || is_another {
            unlock(&path);
            fs::write(&path, &bytes).expect("a file can be written");
        }
        if !by_rename || self.budget != 0 {
            return;
        }
        if is_another {
            // [merge.file.returned]: another worker's, that counts beside it. The old one is seen
            // for the last time.
            self.look();
            let mut old = self.files[index].worker.clone();
            std::mem::swap(&mut old, &mut self.files[index].worker);
            let mut gone = File {
                worker: old,
                name: name.clone(),
                ..self.files[index]
            };
            gone.place = Place::Gone;
            self.files.push(gone);
            for cell in &mut self.files[index].worker.cells {
                cell.forget();
            }
            self.files[index].is_held = false;
        }
        self.pool.directory.replace(&name, &bytes);
    }

    fn rename(&mut self, index: usize) {
        let file = &mut self.files[index];
        // The names of the others are what they are.
        if matches!(file.worker.client, Client::Text | Client::Store) || file.state == State::Ousted
        {
            return;
        }
        let name = file.worker.ident.clone();
        let other = file.name.replace(&name, &format!("{name}x"));
        if other.contains("xxx") {
            return;
        }
        let at = |name: &str| self.pool.directory.join(name);
        fs::rename(at(&file.name), at(&other)).expect("a file can be renamed");
        file.worker.ident.push('x');
        file.name = other;
        // What is damaged is read as it is when its name is new.
        file.is_vague |= file.state == State::Damaged;
        file.is_renamed = true;
        self.doubt(index);
    }

    fn damage(&mut self, index: usize, deed: &Deed) {
        if self.files[index].state == State::Ousted {
            return;
        }
        let name = self.files[index].name.clone();
        let path = self.pool.directory.join(&name);
        let is_text = self.files[index].worker.client == Client::Text;
        unlock(&path);
        let length = fs::metadata(&path).expect("it is there").len();
        match deed {
            Deed::Flip(at, bit) => self.flip(index, *at, *bit),
            Deed::Truncate(at) => {
                let length = at.index(usize::try_from(length).expect("it is small") + 1);
                self.pool.directory.truncate(&name, length as u64);
            }
            Deed::Exaggerate if !is_text => {
                self.pool
                    .directory
                    .write(&name, &0x00ff_fff0_u32.to_le_bytes());
            }
            Deed::Scribble(bytes) => {
                // Random bytes can be half an entry that nobody wrote.
                self.files[index].is_vague |= !self.files[index].is_read();
                self.pool.directory.write(&name, bytes);
            }
            Deed::Copy => {
                // [python.overwritten]: it is another worker's now.
                self.files[index].is_vague = true;
                fs::write(&path, foreign(&self.files[index].worker)).expect("it can be written");
            }
            Deed::Lock => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("it is ours");
            }
            Deed::Substitute(thing) => {
                self.doubt(index);
                let is_whole = self.files[index].state == State::Whole;
                // Healing brings back what the worker wrote.
                self.files[index].state = State::Ousted;
                let aside = self.path(&self.files[index]);
                fs::rename(&path, aside).expect("a file can be renamed");
                if is_whole {
                    self.publish(index);
                } else {
                    self.files[index].is_vague = true;
                }
                self.put(*thing, &path, index);
                return;
            }
            _ => return,
        }
        self.files[index].state = State::Damaged;
    }

    fn put(&self, thing: Thing, path: &Path, index: usize) {
        match thing {
            Thing::Directory => fs::create_dir(path).expect("a directory can be made"),
            Thing::File => {
                fs::write(path, foreign(&self.files[index].worker)).expect("it can be written");
            }
            Thing::Link => symlink("counter_2.db", path).expect("a link can be made"),
            Thing::Pipe => {
                let mode = rustix::fs::Mode::RUSR;
                rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                    .expect("a pipe can be made");
            }
        }
    }

    /// One bit of the file, of what is written there and is no value.
    fn flip(&mut self, index: usize, at: Index, bit: u8) {
        let file = &mut self.files[index];
        let path = self.pool.directory.join(&file.name);
        let (bytes, values) = file.worker.content();
        let is_entries = !matches!(file.worker.client, Client::Text | Client::Store);
        // [python.overwritten]: a smaller count of used bytes may be another worker's.
        let first = if is_entries { 4 } else { 0 };
        let end = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(1, |last| last + 1);
        let is_structure = |place: &usize| values.iter().all(|value| !value.contains(place));
        let places: Vec<usize> = (first..end).filter(is_structure).collect();
        // Text says nothing of which of its bytes is wrong; and what was never read is read as it is.
        file.is_vague |= file.worker.client == Client::Text || !file.is_read() || file.is_renamed;
        file.is_vague |= file.state == State::Damaged;
        let place = places[at.index(places.len())];
        let mut bytes = fs::read(&path).expect("it can be read");
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << (bit % 8);
            self.pool.directory.write(&file.name, &bytes);
        }
    }

    /// One pass, and what must hold in each.
    fn look(&mut self) {
        for file in &mut self.files {
            // A text is replaced by each writing, so what is held open may be what it was before.
            let is_text = file.worker.client == Client::Text;
            let is_last_look = file.is_held && self.keeps_open && self.budget == 0 && !is_text;
            let is_looked_at = file.place == Place::Here && file.state != State::Ousted;
            if file.state != State::Damaged && self.budget == 0 && (is_looked_at || is_last_look) {
                file.worker.be_seen();
            }
            // An order of events that the model does not follow.
            file.is_vague |= file.is_held && self.budget != 0 && !file.worker.is_seen();
            file.is_vague |= is_text && file.place == Place::Gone && !file.worker.is_seen();
            file.is_held = is_looked_at;
            file.is_renamed &= self.budget != 0;
        }
        let pass = self.pool.pass();
        watch(&pass, &mut self.ever);
        self.compare(&pass);
    }

    fn compare(&self, pass: &Pass) {
        let served = pass.samples();
        assert_eq!(served.get("other_total"), Some(&4.0));
        if self.budget != 0 {
            return;
        }
        let mut expected = Totals::new();
        for file in &self.files {
            file.worker.add_to(&mut expected);
        }
        let is_open = |file: &&File| {
            let is_damaged = file.state == State::Damaged && file.place == Place::Here;
            let is_text = file.worker.client == Client::Text;
            file.is_vague || is_damaged || (is_text && !file.worker.is_seen())
        };
        let open: Vec<String> = self
            .files
            .iter()
            .filter(is_open)
            .flat_map(|file| {
                file.worker
                    .cells
                    .iter()
                    .map(|cell| file.worker.sample(&cell.part))
            })
            .collect();
        let mut below = 0.0;
        let mut is_open_below = false;
        for (sample, is_bucket) in samples(&expected) {
            if !is_bucket {
                if !open.contains(&sample) {
                    assert_eq!(served.get(&sample), expected.get(&sample), "{sample}");
                }
                continue;
            }
            below += expected[&sample];
            is_open_below |= open.contains(&sample);
            if !is_open_below {
                assert_eq!(served.get(&sample), Some(&below), "{sample}");
            }
        }
    }
}

/// The samples of the totals, and which are buckets: these in the order of their bounds.
fn samples(totals: &Totals) -> Vec<(String, bool)> {
    let bounds = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, f64::INFINITY];
    let bucket = |bound: f64| (format!("took_bucket{{le=\"{}\"}}", le(bound)), true);
    let plain = totals
        .keys()
        .filter(|sample| !sample.starts_with("took_bucket"));
    let plain = plain.map(|sample| (sample.clone(), false));
    let buckets = bounds.into_iter().map(bucket);
    plain
        .chain(buckets.filter(|(sample, _)| totals.contains_key(sample)))
        .collect()
}

impl File {
    fn is_read(&self) -> bool {
        self.worker.cells.iter().all(|cell| cell.seen.is_some())
    }
}

/// Lets its worker write it again.
fn unlock(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// Whatever was served once of what only grows is served, and has not fallen.
fn watch(pass: &Pass, ever: &mut Totals) {
    let mut now: Totals = BTreeMap::new();
    for family in &pass.0.families {
        for series in &family.series {
            let of = |part: &str| {
                let labels: Vec<_> = series.labels.iter().collect();
                format!("{} {part} {labels:?}", family.name)
            };
            match &series.value {
                Value::Counter(value) => {
                    now.insert(of("total"), *value);
                }
                Value::Histogram { buckets, .. } => {
                    assert!(
                        buckets.is_sorted_by(|low, high| low.upper_bound < high.upper_bound
                            && low.count <= high.count),
                        "{buckets:?}"
                    );
                    assert_eq!(
                        buckets.last().map(|last| last.upper_bound),
                        Some(f64::INFINITY)
                    );
                    for bucket in buckets {
                        now.insert(of(&le(bucket.upper_bound)), bucket.count);
                    }
                }
                Value::Summary { count, .. } => {
                    now.extend(count.map(|count| (of("count"), count)));
                }
                _ => {}
            }
        }
    }
    for (sample, old) in &*ever {
        let new = now.get(sample);
        assert!(
            new.is_some_and(|new| new >= old),
            "{sample}: {old}, then {new:?}"
        );
    }
    ever.extend(now);
    let served = pass.samples();
    assert_eq!(
        served.get("took_count"),
        served.get("took_bucket{le=\"+Inf\"}")
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    // [merge.file.damage] [merge.file.kept] [merge.file.returned] [merge.file.nameless]
    // [merge.counter.fall] [merge.departed] [merge.histogram.cumulate] [merge.histogram.count]
    // [merge.histogram.inf] [merge.histogram.mixed] [merge.budget.whole] [python.overwritten]
    // [gitlab.cumulative] [text.rewritten] [rules.reload]
    #[test]
    fn no_counter_ever_falls_through_any_of_it(
        events in prop::collection::vec((event(), prop::bool::weighted(0.7)), 1..60),
        keeps_open in any::<bool>(),
    ) {
        let mut world = World::new(keeps_open);
        world.look();
        for (event, is_watched) in &events {
            world.happen(event);
            if *is_watched {
                world.look();
            }
        }
        // All heals, and what was taken away comes back.
        world.happen(&Event::Budget(0));
        for index in 0..world.files.len() {
            if world.files[index].place != Place::Gone {
                world.suffer(index, &Deed::Return);
                world.heal(index, false);
            }
        }
        for _ in 0..2 {
            world.look();
        }
        for file in world.files.iter().filter(|file| !file.is_vague && file.place == Place::Here) {
            prop_assert!(file.worker.is_seen());
            prop_assert_eq!(world.pool.pass().state(&file.name), "good", "{}", file.name);
        }
    }
}
