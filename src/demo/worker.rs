//! One worker of the demo's pool: a process that does its work and counts it.
//!
//! Owns which metrics there are and what they count; it is written as a user would write a worker
//! of one's own, against `headcount-writer` alone.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use headcount_writer::{Buckets, Counter, Gauge, Histogram, Mode, Registry};

use crate::cli::DemoWorkerOptions;
use crate::demo::evolution::{Chance, Evolution};
use crate::fail;

/// `headcount demo-worker`: evolves strategies until its supervisor is gone.
pub(crate) fn execute(options: DemoWorkerOptions) -> ExitCode {
    // The supervisor holds the other end of the pipe. However it ends, the pipe ends with it.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    match work(options.slot) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("a worker of the demo failed: {error}")),
    }
}

fn work(slot: u64) -> Result<(), Box<dyn Error>> {
    let registry = Registry::from_env()?;
    let evaluations = registry
        .counter(
            "genetic_population_evaluations",
            "Individuals evaluated, by strategy.",
        )
        .register_family(["strategy_type"])?;
    let evaluation_seconds = registry
        .histogram(
            "genetic_fitness_evaluation_seconds",
            "Time to evaluate one individual.",
        )
        .buckets(Buckets::exponential(0.001, 2.0, 14)?)
        .register_family(["strategy_type"])?;
    let best_fitness = registry
        .gauge(
            "genetic_best_fitness",
            "Best fitness that any worker has found; 1 is the top.",
        )
        .mode(Mode::Max)
        .register_family(["strategy_type"])?;
    // A gauge and not a label: generations grow for ever, and with a label so would the series.
    let generation = registry
        .gauge(
            "genetic_generation",
            "Latest generation that any worker has bred.",
        )
        .mode(Mode::Max)
        .register()?;
    // Only workers that live count, so a killed one leaves the sum by itself.
    registry
        .gauge(
            "genetic_workers_active",
            "Workers that evolve strategies right now.",
        )
        .mode(Mode::LiveSum)
        .register()?
        .set(1.0);

    let seed = (u64::from(std::process::id()) << 8) | slot;
    let mut chance = Chance::new(seed);
    let mut strategies = STRATEGIES.map(|strategy| Strategy {
        evolution: Evolution::new(seed ^ strategy.name.len() as u64, strategy.target),
        evaluations: evaluations.with([strategy.name]),
        seconds: evaluation_seconds.with([strategy.name]),
        best_fitness: best_fitness.with([strategy.name]),
        best: 0.0,
        backtest: strategy.backtest,
    });
    loop {
        for strategy in &mut strategies {
            let fitness = {
                let _timer = strategy.seconds.start_timer();
                // Where a real worker would run a backtest. Most are short, a few are long.
                thread::sleep(strategy.backtest.mul_f64(chance.between(0.2, 1.2).powi(3)));
                strategy.evolution.evaluate_next()
            };
            strategy.evaluations.inc();
            if fitness > strategy.best {
                strategy.best = fitness;
                strategy.best_fitness.set(fitness);
            }
            generation.set(strategy.evolution.generation() as f64);
        }
    }
}

/// One strategy, how it is evolved, and the handles that count it.
struct Strategy {
    evolution: Evolution,
    evaluations: Counter,
    seconds: Histogram,
    best_fitness: Gauge,
    best: f64,
    backtest: Duration,
}

struct Setting {
    name: &'static str,
    target: f64,
    /// How long an evaluation takes at most, about.
    backtest: Duration,
}

const STRATEGIES: [Setting; 3] = [
    Setting {
        name: "breakout",
        target: -2.0,
        backtest: Duration::from_millis(24),
    },
    Setting {
        name: "mean_reversion",
        target: 0.5,
        backtest: Duration::from_millis(12),
    },
    Setting {
        name: "momentum",
        target: 3.0,
        backtest: Duration::from_millis(36),
    },
];
