//! `headcount demo`: a pool of real worker processes, and the sidecar beside it.
//!
//! Owns what happens when (a worker is killed now and then) and what the person at the terminal
//! reads. Knows the workers' metrics by name only, to show a total.

mod evolution;
pub(crate) mod worker;
mod workers;

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use headcount_collect::model::Value;
use tokio::time::{Instant, sleep_until};

use crate::cli::{FoldFlags, WebOptions};
use crate::demo::workers::{Change, Workers};
use crate::pool::{Pass, Pool};
use crate::print::Grouped;
use crate::scratch::{Scratch, ScratchError};
use crate::serve::{Server, StartError};
use crate::settings::Settings;
use crate::signals::{self, Termination};
use crate::{fail, limits, runtime};

/// `headcount demo`.
pub(crate) fn execute(options: WebOptions) -> ExitCode {
    limits::raise_open_files();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&StartError::System(error)),
    };
    let shown = runtime.block_on(demo(options));
    runtime.shutdown_background();
    shown.unwrap_or_else(|error| fail(&error))
}

async fn demo(options: WebOptions) -> Result<ExitCode, DemoError> {
    // Heard before there is anything to leave behind.
    let mut termination = Termination::new()?;
    let scratch = Scratch::new()?;
    let directories = vec![scratch.path().into()];
    let settings = Settings::default();
    let fold = settings.fold(&FoldFlags { fold: false });
    let server = Server::bind(&options, directories, settings, fold)
        .await?
        .start();
    let mut workers = Workers::start(scratch.path(), WORKERS)?;
    let introduction = Introduction {
        address: server.address(),
        telemetry_path: options.telemetry_path.as_str(),
        directory: scratch.path(),
    };
    tell(&introduction);
    let mut next_kill = Instant::now() + BETWEEN_KILLS;
    let mut next_look = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(next_kill) => {
                next_kill += BETWEEN_KILLS;
                workers.kill_next();
            }
            () = sleep_until(next_look) => {
                next_look += BETWEEN_LOOKS;
                for change in workers.replace_the_dead()? {
                    report(change, server.pool()).await;
                }
            }
            _ = termination.next() => break,
        }
    }
    tell(&"\nEnding the workers and removing their directory.\n");
    drop(workers);
    let outcome = server.finish(&mut termination).await;
    Ok(outcome.map_or(ExitCode::SUCCESS, |signal| {
        signals::exit_code(signal).into()
    }))
}

/// One line for what happened to a worker, with the total that it must not lower.
async fn report(change: Change, pool: &Pool) {
    let total = pool
        .scrape(|pass| evaluations(&pass))
        .await
        .unwrap_or_default();
    tell(&format_args!(
        "  {change:<44} {:>12} evaluations\n",
        Grouped(total as u64).to_string()
    ));
}

fn evaluations(pass: &Pass) -> f64 {
    let families = pass.collection.families.iter();
    let series = families
        .filter(|family| &*family.name == EVALUATIONS)
        .flat_map(|f| &f.series);
    let values = series.map(|series| match series.value {
        Value::Counter(total) => total,
        _ => 0.0,
    });
    values.sum()
}

/// Nobody may be reading; the demo goes on for whoever scrapes it.
fn tell(text: &dyn fmt::Display) {
    let mut stdout = io::stdout();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

struct Introduction<'a> {
    address: SocketAddr,
    telemetry_path: &'a str,
    directory: &'a Path,
}

impl fmt::Display for Introduction<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Introduction {
            address,
            telemetry_path,
            directory,
        } = self;
        let directory = directory.display();
        write!(
            formatter,
            "\
{WORKERS} worker processes evolve trading strategies and count what they do, each in a file of
its own in {directory}.
headcount merges the files whenever somebody asks.

  Open      http://{address}{telemetry_path}
  State     http://{address}/
  Or ask    curl -s http://{address}{telemetry_path} | grep ^genetic_

Look at genetic_population_evaluations_total: every {} s one worker is killed with
kill -9 and replaced, and the total never falls. genetic_workers_active counts the living only.
Ctrl-C ends everything and leaves nothing behind.

",
            BETWEEN_KILLS.as_secs(),
        )
    }
}

/// Why there is no demo.
#[derive(Debug)]
enum DemoError {
    Scratch(ScratchError),
    Start(StartError),
}

impl fmt::Display for DemoError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Scratch(error) => error.fmt(formatter),
            DemoError::Start(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for DemoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DemoError::Scratch(error) => Some(error),
            DemoError::Start(error) => Some(error),
        }
    }
}

impl From<ScratchError> for DemoError {
    fn from(error: ScratchError) -> DemoError {
        DemoError::Scratch(error)
    }
}

impl From<StartError> for DemoError {
    fn from(error: StartError) -> DemoError {
        DemoError::Start(error)
    }
}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> DemoError {
        DemoError::Start(StartError::System(error))
    }
}

const WORKERS: usize = 4;

const EVALUATIONS: &str = "genetic_population_evaluations";

const BETWEEN_KILLS: Duration = Duration::from_secs(20);

const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
