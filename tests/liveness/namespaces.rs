//! Workers and a sidecar in containers of their own, which share a directory and nothing else.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use super::worker::{
    Client, arguments, at_work, jobs, known_by, level, new_files, started_by, wait_for_release,
};
use crate::support::processes::{children, exists, kill};
use crate::support::sidecar::{Sidecar, headcount};
use crate::support::{TempDir, eventually, files};

// [life.lease] [life.lock]: neither sees a process of the other, and the sidecar cannot write.
#[test]
fn who_lives_is_known_across_pid_and_mount_namespaces_through_a_mount_for_reading_only() {
    let (pool, rules, elsewhere) = (TempDir::new(), TempDir::new(), TempDir::new());
    let sidecar = Sidecar::start(contained(&pool, &elsewhere, &rules));
    let mut workers = Vec::new();
    for (client, own_level) in Client::ALL.into_iter().zip([1, 2, 4, 8]) {
        let before = files::named(pool.path(), "");
        // Each is pid 1. As root or not at all: a failure ends with what unshare says.
        let container = ["--pid", "--fork", "--mount", "--mount-proc", "--"];
        // Python's and Ruby's would be one worker of one identifier.
        let identifier: &[&str] = match client {
            Client::Python => &["python"],
            _ => &[],
        };
        let command = client.command(pool.path(), identifier);
        let worker = at_work(started_by("unshare", &container, &command), own_level);
        workers.push((client, own_level, worker, new_files(pool.path(), &before)));
    }
    let served = sidecar.metrics();
    assert_eq!((level(&served), jobs(&served)), (15.0, 4.0));
    let own = sidecar.self_metrics();
    assert_eq!(
        own.value("headcount_workers{state=\"live\"}"),
        Some(4.0),
        "{own:?}"
    );
    let mut expected = 15;
    for (client, own_level, outer, files) in workers {
        let [worker] = children(outer.pid())[..] else {
            panic!("unshare has one child")
        };
        kill(worker, Signal::KILL);
        eventually("the worker to be gone", || (!exists(worker)).then_some(()));
        wait_for_release(&files);
        expected -= own_level;
        let served = sidecar.metrics();
        assert_eq!(level(&served), f64::from(expected), "{client:?}");
        assert_eq!(jobs(&served), 4.0, "{client:?}");
    }
    assert_eq!(known_by(&sidecar.self_metrics(), "none"), 0.0);
}

/// A sidecar in namespaces of its own, with the pool at another path that it cannot write to.
fn contained(pool: &TempDir, elsewhere: &TempDir, rules: &TempDir) -> Command {
    let path = elsewhere.join("pool");
    fs::create_dir(&path).expect("a directory can be made");
    let serve = headcount("serve");
    let mut inner = Command::new("sh");
    inner.args(["-c", MOUNT, "sh"]).arg(pool.path()).arg(&path);
    inner.arg(serve.get_program()).args(serve.get_args());
    inner.args(arguments(&path, rules));
    let container = ["--pid", "--fork", "--mount", "--mount-proc", "--"];
    let mut command = started_by("unshare", &container, &inner);
    command.env_remove("HEADCOUNT_DIR");
    command
}

/// Shows the first directory at the second for reading only, and starts the rest.
const MOUNT: &str = r#"
mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" || exit
! touch "$2/a" 2>/dev/null || exit
shift 2
exec "$@"
"#;
