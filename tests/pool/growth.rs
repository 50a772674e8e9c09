//! A worker that grows from ten series to ten thousand and dies by kill -9, scraped all the time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use headcount_writer::{Counter, Family, Registry};

use super::actor::{Actor, say, told};
use super::worker::actor;
use crate::support::exposition::Exposition;
use crate::support::http::Connection;
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, eventually};

#[test]
fn a_worker_that_grows_and_dies_while_it_is_scraped_is_never_seen_torn() {
    let directory = TempDir::new();
    let mut grower = Actor::start(actor("grower", directory.path()));
    grower.ask(&FIRST.to_string());
    let sidecar = Sidecar::serve(directory.path());
    // How many series the worker has acknowledged, and how often it was scraped.
    let (grown, scraped) = (AtomicUsize::new(FIRST), AtomicUsize::new(0));
    let ended = AtomicBool::new(false);
    let scraper = || {
        let mut connection = Connection::open(sidecar.address).unwrap();
        let mut seen = Seen::new();
        for _ in 0..SCRAPES {
            // Asked first, so that nothing grows or ends between this and the scrape.
            let (least, is_last) = (grown.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
            let response = connection.request("GET", "/metrics", &[]).unwrap();
            assert_eq!(response.status, 200);
            seen.check(&Exposition::parse(&response.text()), least);
            scraped.fetch_add(1, Ordering::SeqCst);
            if is_last {
                return seen;
            }
        }
        panic!("{SCRAPES} scrapes were not enough to see it grow and die");
    };
    let await_scrapes = |count: usize| {
        let before = scraped.load(Ordering::SeqCst);
        eventually("more scrapes", || {
            (scraped.load(Ordering::SeqCst) >= before + count).then_some(())
        });
    };
    let seen = thread::scope(|scope| {
        let scraper = scope.spawn(scraper);
        for count in (FIRST + STEP..LAST).step_by(STEP).chain([LAST]) {
            assert_eq!(grower.ask(&count.to_string()), count.to_string());
            grown.store(count, Ordering::SeqCst);
            await_scrapes(1);
        }
        grower.tell("for ever");
        await_scrapes(5);
        grower.kill();
        await_scrapes(2);
        ended.store(true, Ordering::SeqCst);
        scraper.join().unwrap()
    });
    assert_eq!(seen.values.len(), LAST);
    assert!(seen.values.values().all(|&value| value > 0.0));
}

/// Grows to the number of series that it is told, and counts in all of them meanwhile; told
/// anything else it counts for ever.
pub(crate) fn grower() {
    let registry = Registry::from_env().unwrap();
    let family = registry.counter("grown", "Multiples of a number.");
    let mut grower = Grower {
        family: family.register_family(["number", "text"]).unwrap(),
        counters: Vec::new(),
    };
    for line in told() {
        let Ok(count) = line.parse() else {
            loop {
                grower.count();
            }
        };
        while grower.counters.len() < count {
            grower.add();
        }
        say(count);
    }
}

struct Grower {
    family: Family<Counter, 2>,
    counters: Vec<Counter>,
}

impl Grower {
    fn add(&mut self) {
        let number = self.counters.len();
        let counter = self.family.with([&number.to_string(), text(number)]);
        counter.inc_by(step(number));
        self.counters.push(counter);
        // One of the older ones, now here and now there.
        let older = number * 7919 % self.counters.len();
        self.counters[older].inc_by(step(older));
    }

    fn count(&self) {
        for (number, counter) in self.counters.iter().enumerate() {
            counter.inc_by(step(number));
        }
    }
}

/// What every scrape so far has shown.
struct Seen {
    /// Each sample that may ever be, as it is printed, and its number.
    numbers: HashMap<String, usize>,
    values: HashMap<usize, f64>,
}

impl Seen {
    fn new() -> Seen {
        let sample = |number| {
            let text = text(number).replace('\\', "\\\\");
            let text = text.replace('"', "\\\"").replace('\n', "\\n");
            format!("grown_total{{number=\"{number}\",text=\"{text}\"}}")
        };
        Seen {
            numbers: (0..LAST).map(|number| (sample(number), number)).collect(),
            values: HashMap::new(),
        }
    }

    fn check(&mut self, scrape: &Exposition, least: usize) {
        let mut found = 0;
        for sample in scrape.samples.keys().filter(|key| key.starts_with("grown")) {
            let number = self.numbers.get(sample);
            let number = *number.unwrap_or_else(|| panic!("{sample:?} was never written"));
            let value = scrape.value(sample).expect("it is there");
            assert_eq!(value % step(number), 0.0, "{sample} is {value}");
            let before = self.values.insert(number, value).unwrap_or(0.0);
            assert!(value >= before, "{sample} fell from {before} to {value}");
            found += 1;
        }
        assert_eq!(found, self.values.len(), "a series has gone");
        assert!(found >= least, "{found} of {least} series");
    }
}

/// A series holds nothing but multiples of this.
fn step(number: usize) -> f64 {
    number as f64 + 1.0
}

/// A label value that is easily torn or wrongly escaped.
fn text(number: usize) -> &'static str {
    [
        "",
        "plain",
        "a \"quote\" and a \\",
        "two\nlines, \u{e9}\u{4e2d}",
    ][number % 4]
}

const FIRST: usize = 10;
const LAST: usize = 10_000;
const STEP: usize = 97;
const SCRAPES: usize = 5_000;
