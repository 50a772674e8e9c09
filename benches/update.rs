//! What an update costs a worker, beside bare memory and the peers.
//!
//! Owns the contestants: each does the same thing in the way that its own documentation shows.
//! benches/README.md says how to run it and how to read the table.

#[path = "support/contest.rs"]
mod contest;
#[path = "support/contestants.rs"]
mod contestants;
mod support;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headcount_writer::Buckets;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{counter, gauge, histogram};
use rustix::time::ClockId;

use crate::contest::{Contest, Entry, OURS};
use crate::contestants::{
    BOUNDS, Labels, each_series, install_recorder, open, our_counter, our_family, pairs,
    peer_counter, peer_vector, recorder,
};
use crate::support::{Scratch, time};

const CONTESTS: [Entry; 7] = [
    ("increment, cached handle", increment),
    (
        "increment, cached handle, 2 threads on one metric",
        increment_pair,
    ),
    ("look up by 2 labels, then increment", look_up),
    (
        "look up by 2 labels, then increment, 2 threads on one series",
        look_up_pair,
    ),
    ("gauge set, cached handle", set),
    ("observe, 14 buckets, cached handle", observe),
    ("first use of a series with 2 labels", first_use),
];

/// How many series a registry gets before it makes room for the next.
const NEW_SERIES: u64 = 1000;

/// How many observations `metrics` keeps before it sorts them into buckets.
const UPKEEP: u64 = 4096;

/// A cell with a cache line and its neighbour to itself.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(AtomicU64);

fn main() {
    contest::run(&CONTESTS);
}

fn increment(contest: &mut Contest<'_, '_>) {
    let cell = Cell::default();
    contest.enter("floor: f64 load, add, store", || {
        add(black_box(&cell.0), 1.0)
    });
    let cell = Cell::default();
    contest.enter("atomic fetch_add of u64", || {
        black_box(&cell.0).fetch_add(1, Ordering::Relaxed);
    });
    let scratch = Scratch::new();
    let ours = our_counter(&scratch);
    contest.enter(OURS, || black_box(&ours).inc());
    let peer = peer_counter();
    contest.enter("prometheus Counter", || black_box(&peer).inc());
    let peer = prometheus::IntCounter::new("c", "C.").expect("a valid name");
    contest.enter("prometheus IntCounter", || black_box(&peer).inc());
    let peer = counter::Counter::<f64, AtomicU64>::default();
    contest.enter("prometheus-client Counter<f64>", || {
        black_box(&peer).inc();
    });
    let peer = counter::Counter::<u64>::default();
    contest.enter("prometheus-client Counter<u64>", || {
        black_box(&peer).inc();
    });
    let peer = metrics::with_local_recorder(&recorder(), || metrics::counter!("c"));
    contest.enter("metrics Counter", || black_box(&peer).increment(1));
}

fn increment_pair(contest: &mut Contest<'_, '_>) {
    let cell = Cell::default();
    contest.enter_pair("floor: f64 load, add, store; loses updates", || {
        add(black_box(&cell.0), 1.0);
    });
    let cell = Cell::default();
    contest.enter_pair("atomic fetch_add of u64", || {
        black_box(&cell.0).fetch_add(1, Ordering::Relaxed);
    });
    let scratch = Scratch::new();
    let ours = our_counter(&scratch);
    contest.enter_pair(OURS, || black_box(&ours).inc());
    let peer = peer_counter();
    contest.enter_pair("prometheus Counter", || black_box(&peer).inc());
    let peer = counter::Counter::<f64, AtomicU64>::default();
    contest.enter_pair("prometheus-client Counter<f64>", || {
        black_box(&peer).inc();
    });
    let peer = metrics::with_local_recorder(&recorder(), || metrics::counter!("c"));
    contest.enter_pair("metrics Counter", || black_box(&peer).increment(1));
}

fn look_up(contest: &mut Contest<'_, '_>) {
    let scratch = Scratch::new();
    let ours = our_family(&open(&scratch));
    each_series(|method, code| ours.with([method, code]).inc());
    contest.enter(OURS, || ours.with(black_box(["GET", "200"])).inc());
    let peer = peer_vector();
    each_series(|method, code| peer.with_label_values(&[method, code]).inc());
    contest.enter("prometheus CounterVec", || {
        peer.with_label_values(&black_box(["GET", "200"])).inc();
    });
    let peer = Family::<Labels, counter::Counter>::default();
    each_series(|method, code| {
        peer.get_or_create(&Labels { method, code }).inc();
    });
    let (method, code) = ("GET", "200");
    contest.enter("prometheus-client Family<struct>", || {
        peer.get_or_create(black_box(&Labels { method, code }))
            .inc();
    });
    let peer = Family::<Vec<(String, String)>, counter::Counter>::default();
    each_series(|method, code| {
        peer.get_or_create(&pairs(method, code)).inc();
    });
    contest.enter("prometheus-client Family<Vec<(String, String)>>", || {
        peer.get_or_create(&pairs(black_box("GET"), black_box("200")))
            .inc();
    });
    install_recorder();
    each_series(|method, code| {
        metrics::counter!("lookup", "method" => method, "code" => code).increment(1);
    });
    contest.enter("metrics counter!, literal labels", || {
        metrics::counter!("lookup", "method" => "GET", "code" => "200").increment(1);
    });
    contest.enter("metrics counter!, String labels", || {
        let (method, code) = (black_box("GET").to_owned(), black_box("200").to_owned());
        metrics::counter!("lookup", "method" => method, "code" => code).increment(1);
    });
}

fn look_up_pair(contest: &mut Contest<'_, '_>) {
    let scratch = Scratch::new();
    let ours = our_family(&open(&scratch));
    contest.enter_pair(OURS, || ours.with(black_box(["GET", "200"])).inc());
    let peer = peer_vector();
    contest.enter_pair("prometheus CounterVec", || {
        peer.with_label_values(&black_box(["GET", "200"])).inc();
    });
    let peer = Family::<Labels, counter::Counter>::default();
    let (method, code) = ("GET", "200");
    contest.enter_pair("prometheus-client Family<struct>", || {
        peer.get_or_create(black_box(&Labels { method, code }))
            .inc();
    });
    install_recorder();
    contest.enter_pair("metrics counter!, literal labels", || {
        metrics::counter!("lookup", "method" => "GET", "code" => "200").increment(1);
    });
}

fn set(contest: &mut Contest<'_, '_>) {
    let cell = Cell::default();
    contest.enter("floor: f64 store", || {
        let value = black_box(1.5_f64).to_bits();
        black_box(&cell.0).store(value, Ordering::Relaxed);
    });
    let scratch = Scratch::new();
    let registry = open(&scratch);
    let ours = registry.gauge("g", "G.").register().expect("a valid name");
    contest.enter(OURS, || black_box(&ours).set(black_box(1.5)));
    let peer = prometheus::Gauge::new("g", "G.").expect("a valid name");
    contest.enter("prometheus Gauge", || black_box(&peer).set(black_box(1.5)));
    let peer = gauge::Gauge::<f64, AtomicU64>::default();
    contest.enter("prometheus-client Gauge<f64>", || {
        black_box(&peer).set(black_box(1.5));
    });
    let peer = metrics::with_local_recorder(&recorder(), || metrics::gauge!("g"));
    contest.enter("metrics Gauge", || black_box(&peer).set(black_box(1.5)));
}

fn observe(contest: &mut Contest<'_, '_>) {
    let cells: [Cell; BOUNDS.len() + 2] = Default::default();
    contest.enter(
        "floor: count bounds, f64 load, add, store twice",
        observing(|value| {
            let bucket: usize = BOUNDS.iter().map(|&bound| usize::from(bound < value)).sum();
            add(&cells[bucket].0, 1.0);
            add(&cells[BOUNDS.len() + 1].0, value);
        }),
    );
    let scratch = Scratch::new();
    let registry = open(&scratch);
    let ours = registry
        .histogram("h", "H.")
        .buckets(Buckets::new(BOUNDS).expect("valid bounds"))
        .register()
        .expect("a valid name");
    contest.enter(OURS, observing(|value| black_box(&ours).observe(value)));
    let options = prometheus::HistogramOpts::new("h", "H.").buckets(BOUNDS.to_vec());
    let peer = prometheus::Histogram::with_opts(options).expect("valid bounds");
    contest.enter(
        "prometheus Histogram",
        observing(|value| black_box(&peer).observe(value)),
    );
    let peer = histogram::Histogram::new(BOUNDS);
    contest.enter(
        "prometheus-client Histogram",
        observing(|value| black_box(&peer).observe(value)),
    );
    let recorder = recorder();
    let upkeep = recorder.handle();
    let peer = metrics::with_local_recorder(&recorder, || metrics::histogram!("h"));
    let mut since_upkeep = 0;
    contest.enter(
        "metrics Histogram, with its share of run_upkeep",
        observing(move |value| {
            black_box(&peer).record(value);
            since_upkeep += 1;
            if since_upkeep == UPKEEP {
                since_upkeep = 0;
                upkeep.run_upkeep();
            }
        }),
    );
}

fn first_use(contest: &mut Contest<'_, '_>) {
    let users: Vec<String> = (0..NEW_SERIES)
        .map(|user| format!("user-{user:06}"))
        .collect();
    contest.enter_timed(OURS, |count| {
        in_chunks(count, || {
            let scratch = Scratch::new();
            let registry = open(&scratch);
            let family = our_family(&registry);
            let lone = registry
                .counter("lone", "L.")
                .register()
                .expect("a valid name");
            // The store is made at the first update of all, which is not what is measured.
            lone.inc();
            let users = &users;
            let first_uses = move |count: usize| {
                users[..count]
                    .iter()
                    .for_each(|user| family.with([user, "200"]).inc());
            };
            (first_uses, (scratch, registry))
        })
    });
    contest.enter_timed("prometheus CounterVec", |count| {
        in_chunks(count, || {
            let (peer, users) = (peer_vector(), &users);
            let first_uses = move |count: usize| {
                let new = users[..count].iter();
                new.for_each(|user| peer.with_label_values(&[user, "200"]).inc());
            };
            (first_uses, ())
        })
    });
    contest.enter_timed("prometheus-client Family<Vec<(String, String)>>", |count| {
        in_chunks(count, || {
            let peer = Family::<Vec<(String, String)>, counter::Counter>::default();
            let users = &users;
            let first_uses = move |count: usize| {
                for user in &users[..count] {
                    peer.get_or_create(&pairs(user, "200")).inc();
                }
            };
            (first_uses, ())
        })
    });
    contest.enter_timed("metrics counter!, String labels", |count| {
        in_chunks(count, || {
            let (recorder, users) = (recorder(), &users);
            let first_uses = move |count: usize| {
                metrics::with_local_recorder(&recorder, || {
                    for user in users[..count].iter().cloned() {
                        metrics::counter!("new", "user" => user, "code" => "200").increment(1);
                    }
                });
            };
            (first_uses, ())
        })
    });
}

/// Times `count` first uses, each registry that `make` yields serving for some; what it yields
/// beside is dropped when the clock stands.
fn in_chunks<F: Fn(usize), K>(count: u64, make: impl Fn() -> (F, K)) -> Duration {
    let mut taken = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let chunk = left.min(NEW_SERIES);
        left -= chunk;
        let (first_uses, _kept) = make();
        let start = time(ClockId::ThreadCPUTime);
        first_uses(usize::try_from(chunk).expect("at most NEW_SERIES"));
        taken += time(ClockId::ThreadCPUTime) - start;
    }
    taken
}

/// Feeds values of every bucket to `observe`, one at each call.
fn observing(mut observe: impl FnMut(f64)) -> impl FnMut() {
    let spread = |number: usize| (number * 2_654_435_761 % 1000) as f64 / 1000.0;
    let values: [f64; 1024] = std::array::from_fn(|number| spread(number).powi(3) * 12.0);
    let mut next = 0;
    move || {
        observe(values[next % values.len()]);
        next += 1;
    }
}

fn add(cell: &AtomicU64, amount: f64) {
    let sum = f64::from_bits(cell.load(Ordering::Relaxed)) + amount;
    cell.store(sum.to_bits(), Ordering::Relaxed);
}
