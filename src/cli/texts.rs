//! The long texts of the manual.
//!
//! Owns what each command says of itself. The flags are its parent's.

pub(super) const ABOUT: &str = "\
One set of Prometheus metrics for a whole pool of worker processes.

Each worker of a pool (gunicorn, uvicorn, Celery, a Rust pre-fork server) keeps its metrics in a \
file of its own, in a directory that all share. headcount reads that directory, merges the files \
and serves one exposition. No worker is asked anything, and what a killed worker counted stays.";

pub(super) const RULES: &str = "\
A YAML file that says what is wanted otherwise than the workers say

It may give labels to directories, and of the families that a pattern matches set the \
multiprocess mode, type, help and buckets, rename and drop labels, and drop the family:

  directories:
    - path: /dev/shm/web
      labels: {app: web}
  rules:
    - match: http_*
      mode: max
      drop_labels: [user_id]

A file with a mistake is refused as a whole, with its line and key.";

pub(super) const FOLD: &str = "\
Fold files of other clients, too, once their worker is dead

What a dead worker of prometheus_client or of a Ruby client counted is added to headcount.ledger, \
and its file is deleted, so that neither scrapes nor the disk grow with every restart. Off unless \
you say so, because the client's own reader, such as a MultiProcessCollector in the application, \
does not know the ledger and would see totals fall. Without it those files stay, and cost memory \
and, whenever a worker dies, a little time. Stores of headcount-writer are always folded.";

pub(super) const COMPACT: &str = "\
Fold what dead workers have left into the ledger, once.

Adds what dead workers counted to headcount.ledger in each directory and deletes their files, as \
`headcount serve` does by itself all the time. For a pool without a sidecar: from cron, or as the \
last step when a pool stops. Beside a running sidecar it waits a few seconds until that has done so, \
says it, and leaves.

The exit code is 0 where nothing is left that can be folded, whoever has folded it, and 2 where \
something is.";

pub(super) const COMPACT_EXAMPLE: &str = "\
Example:
  headcount compact /var/lib/pool/metrics";

pub(super) const EXAMPLES: &str = "\
Examples:
  headcount demo
  headcount serve /dev/shm/metrics
  headcount run -- gunicorn --workers 4 app:app
  headcount collect /dev/shm/metrics | grep requests

`headcount COMMAND --help` says more about each command.";

pub(super) const DEMO: &str = "\
Start a small pool of real worker processes, and the sidecar beside it.

Four workers count what they do. Now and then one of them is killed with SIGKILL and replaced, so \
that you can watch the totals go on. Ctrl-C ends it all and leaves nothing behind.";

pub(super) const SERVE: &str = "\
Serve the merged metrics of the pools in one or more directories.

Start it with the directory that the workers have in HEADCOUNT_DIR (headcount-writer), \
PROMETHEUS_MULTIPROC_DIR (Python's prometheus_client) or prometheus_multiproc_dir (GitLab's \
prometheus-client-mmap); with the same variable in its own environment it needs no argument. It \
also reads the files of Ruby's DirectFileStore (.bin), which need --rules.file to say what they are, \
and Prometheus text files (.prom). It must be allowed to read the files: run it as the \
workers' user. The directory may appear later, and may be replaced when the pool restarts. Best is \
a tmpfs, such as /dev/shm; a network file system is refused.

Paths:
  /metrics       the pool, and headcount's own metrics where no name of the pool's clashes
  /metrics/self  headcount's own metrics
  /-/healthy     200 as long as the process answers
  /-/ready       200 once every directory has been read
  /              a page for people

SIGHUP has it read the rules file again: a good one applies from the next scrape on; with a bad \
one the rules stay as they were, which the log says and headcount_rules_reload_successful. \
SIGTERM and SIGINT end it once the scrapes in flight are answered, after 10 s at the latest; a \
second signal ends it at once.";

pub(super) const SERVE_EXAMPLE: &str = "\
Example:
  PROMETHEUS_MULTIPROC_DIR=/dev/shm/metrics headcount serve --web.listen-address :14323";

pub(super) const RUN: &str = "\
Start a command in a fresh directory and serve its pool until it ends.

Makes a directory (on /dev/shm where that has room, else in the temporary directory), names it to \
the command in HEADCOUNT_DIR, PROMETHEUS_MULTIPROC_DIR and prometheus_multiproc_dir, and serves its \
metrics as `headcount serve` does. When the command ends the directory is removed, and headcount ends with the same exit \
code: 128 and the number of the signal where one killed it, 127 where there is no such command, \
126 where it cannot be executed, 2 where headcount itself cannot start.

SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are passed on to the command. \
SIGHUP is the command's alone: a rules file is read once, at the start, and has no labels for \
directories, since this one is made anew each time. As process 1 of a container it reaps the \
processes that nobody waits for.

Only the user who starts it may read the directory: a command that changes to another user needs \
a directory of its own, and `headcount serve`.";

pub(super) const RUN_EXAMPLE: &str = "\
Example:
  headcount run --web.listen-address :14323 -- gunicorn --workers 4 app:app";

pub(super) const COLLECT: &str = "\
Print the merged metrics once, on standard output.

Prints what the pool counts, without headcount's own metrics. A file that cannot be read is named \
on standard error, and everything else is printed.";

pub(super) const COLLECT_EXAMPLE: &str = "\
Example:
  headcount collect --format openmetrics /dev/shm/metrics";

pub(super) const INSPECT: &str = "\
Show what one file holds, as annotated text.

Reads stores of headcount-writer and files of the other clients that headcount knows, damaged ones \
too.";

pub(super) const INSPECT_EXAMPLE: &str = "\
Example:
  headcount inspect /dev/shm/metrics/counter_4711.db";

pub(super) const CHECK: &str = "\
Tell what is wrong in a directory, worst first.

Looks for directories that cannot be read or lie on a network file system, for files that are \
damaged or over a budget, and for workers that do not agree about a metric, and says what to do \
about each kind. It first tells what loses counts now, then what stands still, then conflicts, and \
last what is only worth knowing. However many files are bad it is one screen: of a kind with more \
than five, the first three are named; `headcount collect DIR > /dev/null` names every one.

The exit code is 0 where all is well, 1 with findings, 2 where it could not look. Files that are \
passed over, such as those of Vinted's exemplars, are told and are no finding.";

pub(super) const CHECK_EXAMPLE: &str = "\
Example:
  headcount check /dev/shm/metrics";
