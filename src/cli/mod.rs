//! The command line, which is the manual too.
//!
//! Owns every flag, its default, its environment variable and its help. Knows nothing of what a
//! command does with them.

mod texts;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use headcount_collect::budget::Budgets;
use headcount_collect::rules::WorkerLabel;

use crate::serve::listen::ListenAddress;
use crate::serve::telemetry_path::TelemetryPath;
use crate::settings::{Size, Span};
use texts::{
    ABOUT, CHECK, CHECK_EXAMPLE, COLLECT, COLLECT_EXAMPLE, COMPACT, COMPACT_EXAMPLE, DEMO,
    EXAMPLES, FOLD, INSPECT, INSPECT_EXAMPLE, RULES, RUN, RUN_EXAMPLE, SERVE, SERVE_EXAMPLE,
};

/// One set of Prometheus metrics for a whole pool of worker processes.
#[derive(Debug, Parser)]
#[command(name = "headcount", version, max_term_width = 100)]
#[command(after_help = EXAMPLES, long_about = ABOUT, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) logs: LogOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Reads the command line of this process, and ends it where that asks for help or cannot be
    /// understood. An environment variable that is empty counts as unset.
    pub(crate) fn read() -> Arguments {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let command = without_variables(Arguments::command(), &is_empty);
        let read = command
            .try_get_matches()
            .and_then(|matches| Arguments::from_arg_matches(&matches));
        read.unwrap_or_else(|error| match error.kind() {
            // The help names every variable, empty or not.
            ErrorKind::DisplayHelp => Arguments::parse(),
            _ => error.exit(),
        })
    }
}

/// `command`, which does not look at the environment variables that are `ignored`.
fn without_variables(command: clap::Command, ignored: &impl Fn(&OsStr) -> bool) -> clap::Command {
    let command = command.mut_args(|argument| {
        if argument.get_env().is_some_and(ignored) {
            argument.env(Resettable::Reset)
        } else {
            argument
        }
    });
    command.mut_subcommands(|subcommand| without_variables(subcommand, ignored))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a small pool of real worker processes, and the sidecar beside it
    #[command(long_about = DEMO)]
    Demo(WebOptions),
    /// Serve the merged metrics of the pools in one or more directories
    #[command(long_about = SERVE, after_help = SERVE_EXAMPLE)]
    Serve(ServeOptions),
    /// Start a command in a fresh directory and serve its pool until it ends
    #[command(long_about = RUN, after_help = RUN_EXAMPLE)]
    Run(RunOptions),
    /// Print the merged metrics once, on standard output
    #[command(long_about = COLLECT, after_help = COLLECT_EXAMPLE)]
    Collect(CollectOptions),
    /// Show what one file holds, as annotated text
    #[command(long_about = INSPECT, after_help = INSPECT_EXAMPLE)]
    Inspect(InspectOptions),
    /// Tell what is wrong in a directory, worst first
    #[command(long_about = CHECK, after_help = CHECK_EXAMPLE)]
    Check(CheckOptions),
    /// Fold what dead workers have left into the ledger, once
    #[command(long_about = COMPACT, after_help = COMPACT_EXAMPLE)]
    Compact(CompactOptions),
    #[command(hide = true)]
    DemoWorker(DemoWorkerOptions),
    #[command(hide = true)]
    GiveTerminal(GiveTerminalOptions),
}

#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// The least severe messages to log [default: info for serve and run, warn for the others]
    #[arg(
        id = "log.level",
        long = "log.level",
        global = true,
        env = "HEADCOUNT_LOG_LEVEL",
        value_name = "LEVEL"
    )]
    #[arg(hide_env_values = true, help_heading = "Logs")]
    pub(crate) level: Option<LogLevel>,
    /// How log messages are written, on standard error
    #[arg(
        id = "log.format",
        long = "log.format",
        global = true,
        env = "HEADCOUNT_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    #[arg(
        hide_env_values = true,
        help_heading = "Logs",
        default_value = "logfmt"
    )]
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Logfmt,
    Json,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WebOptions {
    /// Where to listen: HOST:PORT, or :PORT for every interface
    #[arg(
        long = "web.listen-address",
        env = "HEADCOUNT_WEB_LISTEN_ADDRESS",
        value_name = "ADDRESS"
    )]
    #[arg(
        hide_env_values = true,
        help_heading = "Web",
        default_value = "127.0.0.1:14323"
    )]
    pub(crate) listen_address: ListenAddress,
    /// The path of the metrics; those of headcount alone are at this path with /self after it
    #[arg(
        long = "web.telemetry-path",
        env = "HEADCOUNT_WEB_TELEMETRY_PATH",
        value_name = "PATH"
    )]
    #[arg(
        hide_env_values = true,
        help_heading = "Web",
        default_value = "/metrics"
    )]
    pub(crate) telemetry_path: TelemetryPath,
}

#[derive(Debug, Args)]
pub(crate) struct DirectoryOptions {
    /// Where the workers write; without one, $HEADCOUNT_DIR, $PROMETHEUS_MULTIPROC_DIR or $prometheus_multiproc_dir
    #[arg(value_name = "DIR")]
    pub(crate) directories: Vec<PathBuf>,
}

/// What a command wants of its collector, beside the directories.
#[derive(Clone, Debug, Args)]
pub(crate) struct SettingsOptions {
    #[command(flatten)]
    pub(crate) rules: RulesOptions,
    #[command(flatten)]
    pub(crate) budgets: BudgetOptions,
    #[command(flatten)]
    pub(crate) life: LifeOptions,
    #[command(flatten)]
    pub(crate) worker: WorkerOptions,
}

/// How workers are told apart.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Life and death")]
pub(crate) struct WorkerOptions {
    /// What tells workers apart in gauges of which each has its own
    #[arg(
        id = "worker.label",
        long = "worker.label",
        env = "HEADCOUNT_WORKER_LABEL"
    )]
    #[arg(value_name = "LABEL", hide_env_values = true, default_value = "pid")]
    pub(crate) label: WorkerLabelName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WorkerLabelName {
    /// A label pid: a new series with each worker
    Pid,
    /// A label worker: the lowest number that is free in the pool, which the next worker takes over
    Slot,
}

impl From<WorkerLabelName> for WorkerLabel {
    fn from(name: WorkerLabelName) -> WorkerLabel {
        match name {
            WorkerLabelName::Pid => WorkerLabel::Pid,
            WorkerLabelName::Slot => WorkerLabel::Slot,
        }
    }
}

/// What becomes of what the dead have left.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Life and death")]
pub(crate) struct LifeOptions {
    /// How long gauges of dead workers stay that are not for the living alone; 0s for not at all
    #[arg(id = "gauge.ttl", long = "gauge.ttl", env = "HEADCOUNT_GAUGE_TTL")]
    #[arg(value_name = "TIME", hide_env_values = true, default_value = "1h")]
    pub(crate) gauge_ttl: Span,
}

/// Which files of the dead are folded.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Life and death")]
pub(crate) struct FoldFlags {
    /// Fold files of other clients, too, once their worker is dead
    #[arg(
        long,
        env = "HEADCOUNT_FOLD",
        hide_env_values = true,
        value_parser = BoolishValueParser::new(),
        long_help = FOLD
    )]
    pub(crate) fold: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RulesOptions {
    /// A YAML file that says what is wanted otherwise than the workers say
    #[arg(
        id = "rules.file",
        long = "rules.file",
        env = "HEADCOUNT_RULES_FILE",
        value_name = "PATH"
    )]
    #[arg(hide_env_values = true, help_heading = "Rules", long_help = RULES)]
    pub(crate) file: Option<PathBuf>,
}

/// What is over a budget is left out from its first sample on, and everything else is served.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Budgets")]
pub(crate) struct BudgetOptions {
    /// The most files that are read, over all directories
    #[arg(
        id = "budget.files",
        long = "budget.files",
        env = "HEADCOUNT_BUDGET_FILES"
    )]
    #[arg(value_name = "COUNT", hide_env_values = true, default_value_t = Budgets::default().files)]
    pub(crate) files: usize,
    /// The largest file that is read; bytes, or with KiB, MiB or GiB
    #[arg(id = "budget.file-bytes", long = "budget.file-bytes")]
    #[arg(env = "HEADCOUNT_BUDGET_FILE_BYTES", hide_env_values = true)]
    #[arg(value_name = "SIZE", default_value_t = Size(Budgets::default().file_bytes))]
    pub(crate) file_bytes: Size,
    /// The most series, over all families
    #[arg(
        id = "budget.series",
        long = "budget.series",
        env = "HEADCOUNT_BUDGET_SERIES"
    )]
    #[arg(value_name = "COUNT", hide_env_values = true, default_value_t = Budgets::default().series)]
    pub(crate) series: usize,
    /// The most series of one family
    #[arg(id = "budget.family-series", long = "budget.family-series")]
    #[arg(env = "HEADCOUNT_BUDGET_FAMILY_SERIES", hide_env_values = true)]
    #[arg(value_name = "COUNT", default_value_t = Budgets::default().family_series)]
    pub(crate) family_series: usize,
    /// The most labels of one series
    #[arg(
        id = "budget.labels",
        long = "budget.labels",
        env = "HEADCOUNT_BUDGET_LABELS"
    )]
    #[arg(value_name = "COUNT", hide_env_values = true, default_value_t = Budgets::default().labels)]
    pub(crate) labels: usize,
    /// The most that the labels of one series take together; bytes, or with KiB, MiB or GiB
    #[arg(id = "budget.label-bytes", long = "budget.label-bytes")]
    #[arg(env = "HEADCOUNT_BUDGET_LABEL_BYTES", hide_env_values = true)]
    #[arg(value_name = "SIZE", default_value_t = default_label_bytes())]
    pub(crate) label_bytes: Size,
}

fn default_label_bytes() -> Size {
    Size(
        Budgets::default()
            .label_bytes
            .try_into()
            .unwrap_or(u64::MAX),
    )
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    pub(crate) directories: DirectoryOptions,
    #[command(flatten)]
    pub(crate) settings: SettingsOptions,
}

#[derive(Debug, Args)]
pub(crate) struct CompactOptions {
    #[command(flatten)]
    pub(crate) directories: DirectoryOptions,
    #[command(flatten)]
    pub(crate) life: LifeOptions,
    #[command(flatten)]
    pub(crate) fold: FoldFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    pub(crate) directories: DirectoryOptions,
    #[command(flatten)]
    pub(crate) web: WebOptions,
    #[command(flatten)]
    pub(crate) settings: SettingsOptions,
    #[command(flatten)]
    pub(crate) fold: FoldFlags,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) web: WebOptions,
    #[command(flatten)]
    pub(crate) settings: SettingsOptions,
    #[command(flatten)]
    pub(crate) fold: FoldFlags,
    /// The command and its arguments, after --
    #[arg(value_name = "CMD", required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct CollectOptions {
    #[command(flatten)]
    pub(crate) directories: DirectoryOptions,
    #[command(flatten)]
    pub(crate) settings: SettingsOptions,
    /// How to print the metrics
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CollectFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CollectFormat {
    /// The Prometheus text format, version 0.0.4
    Text,
    /// OpenMetrics, version 1.0
    Openmetrics,
    /// One JSON document, for scripts
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct InspectOptions {
    /// A store, or a file of another client
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoWorkerOptions {
    /// Which place in the pool the worker takes.
    #[arg(long)]
    pub(crate) slot: u64,
}

#[derive(Debug, Args)]
pub(crate) struct GiveTerminalOptions {
    /// The process group that gets it.
    #[arg(long)]
    pub(crate) to: i32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["headcount"], arguments].concat())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_belongs_to_the_command() {
        let parsed = parse(&["run", "--", "gunicorn", "--log.level", "debug"]).unwrap();
        let Command::Run(options) = parsed.command else {
            panic!("{parsed:?}")
        };
        assert_eq!(options.command, ["gunicorn", "--log.level", "debug"]);
        assert!(parsed.logs.level.is_none());
        assert!(parse(&["run"]).is_err());
    }

    #[test]
    fn the_format_of_an_exposition_is_not_that_of_the_log() {
        let parsed = parse(&["collect", "--format", "json", "--log.format", "json"]).unwrap();
        let Command::Collect(options) = parsed.command else {
            panic!("{parsed:?}")
        };
        assert!(matches!(options.format, CollectFormat::Json));
        assert!(matches!(parsed.logs.format, LogFormat::Json));
    }

    #[test]
    fn budgets_are_those_of_the_collector_unless_a_flag_says_otherwise() {
        let parsed = parse(&["serve", "--budget.file-bytes", "1MiB", "--budget.labels=0"]);
        let Command::Serve(options) = parsed.unwrap().command else {
            panic!("not serve")
        };
        let budgets = Settings::read(&options.settings, &[]).unwrap().budgets;
        let mut expected = Budgets::default();
        expected.file_bytes = 1 << 20;
        expected.labels = 0;
        assert_eq!(budgets, expected);
    }

    #[test]
    fn a_variable_that_is_empty_is_not_looked_at() {
        let variables = |command: &clap::Command| -> Vec<OsString> {
            let arguments = command.get_arguments();
            arguments
                .filter_map(|argument| Some(argument.get_env()?.to_owned()))
                .collect()
        };
        let is_empty =
            |name: &OsStr| name == "HEADCOUNT_RULES_FILE" || name == "HEADCOUNT_LOG_LEVEL";
        let command = without_variables(Arguments::command(), &is_empty);
        assert_eq!(variables(&command), ["HEADCOUNT_LOG_FORMAT"]);
        for name in ["serve", "run", "collect", "check"] {
            let subcommand = command.find_subcommand(name).unwrap();
            let left = variables(subcommand);
            assert!(
                !left.contains(&"HEADCOUNT_RULES_FILE".into()),
                "{name}: {left:?}"
            );
            assert!(
                left.contains(&"HEADCOUNT_BUDGET_SERIES".into()),
                "{name}: {left:?}"
            );
        }
    }

    #[test]
    fn flags_of_the_log_stand_before_or_after_the_command() {
        for arguments in [
            ["--log.level", "debug", "serve"],
            ["serve", "--log.level", "debug"],
        ] {
            assert!(matches!(
                parse(&arguments).unwrap().logs.level,
                Some(LogLevel::Debug)
            ));
        }
    }

    #[test]
    fn an_address_or_path_that_cannot_be_is_refused() {
        for (flag, value) in [
            ("--web.listen-address", "14323"),
            ("--web.listen-address", "localhost:http"),
            ("--web.telemetry-path", "metrics"),
            ("--web.telemetry-path", "/-/ready"),
        ] {
            assert!(parse(&["serve", flag, value]).is_err(), "{flag} {value}");
        }
    }
}
