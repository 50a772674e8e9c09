//! A directory in which a sidecar cannot fold: what the dead have counted is kept in memory, or waits
//! for room, and nothing of it is lost.

use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::Command;

use headcount_format::layout::LEDGER_NAME;
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::death::{
    fold_state, jobs, lives_and_dies, names, wait_for_state, wait_until_all_is_folded,
};
use crate::liveness::worker::started_by;
use crate::pool::worker::{start, tell};
use crate::sidecar::life::stranger;
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually, files};

// [fold.deny] [merge.rest]
#[test]
fn what_the_dead_counted_is_kept_in_memory_behind_a_mount_for_reading_only() {
    let (pool, elsewhere) = (TempDir::new(), TempDir::new());
    let path = elsewhere.join("pool");
    fs::create_dir(&path).unwrap();
    let serve = headcount("serve");
    let mut inner = Command::new("sh");
    inner.args(["-c", MOUNT, "sh"]).arg(pool.path()).arg(&path);
    inner.arg(serve.get_program()).args(serve.get_args());
    inner.args([ANY_PORT, TIME_TO_LIVE]).arg(&path);
    let mut command = started_by("unshare", &["--mount", "--"], &inner);
    command.env_remove("HEADCOUNT_DIR");
    keeps_in_memory(&pool, command, "Read-only file system");
}

// [fold.deny] [merge.rest]
#[test]
fn what_the_dead_counted_is_kept_in_memory_where_the_sidecar_may_only_read() {
    let (_program, stranger) = stranger();
    let pool = TempDir::new();
    let mut command = stranger("serve");
    command.args([ANY_PORT, TIME_TO_LIVE]).arg(pool.path());
    keeps_in_memory(&pool, command, "Permission denied");
}

// [fold.order]: a fold that fails leaves what was there.
#[test]
fn a_fold_that_finds_no_room_loses_nothing_and_is_done_once_there_is_some() {
    let disk = Disk::new("1m");
    let sidecar = Sidecar::serve(disk.path());
    let mut worker = start(disk.path(), "");
    tell(&mut worker, "work 5");
    let mut other = start(disk.path(), "");
    tell(&mut other, "work 3");
    let filler = disk.path().join("filler");
    files::write(&filler, b"");
    fill(&filler);
    let before = names(disk.path());
    worker.kill();
    let line = sidecar
        .process
        .wait_for_line("the fold", |line| line.contains("Cannot fold."));
    for part in ["No space left on device", "make room for its"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    wait_for_state(&sidecar, "failed");
    for _ in 0..3 {
        assert_eq!(jobs(&sidecar), 8.0);
        assert_eq!(names(disk.path()), before);
    }
    assert_eq!(jobs(&Sidecar::serve(disk.path())), 8.0);

    fs::remove_file(filler).unwrap();
    wait_for_state(&sidecar, "folds");
    eventually("the store to be folded", || {
        (names(disk.path()).len() == 2).then_some(())
    });
    tell(&mut other, "work 1");
    assert_eq!(jobs(&sidecar), 9.0);
    other.kill();
    wait_until_all_is_folded(disk.path());
    assert_eq!(jobs(&sidecar), 9.0);
    assert_eq!(jobs(&Sidecar::serve(disk.path())), 9.0);
}

/// Lets workers die beside a sidecar that may not write.
fn keeps_in_memory(pool: &TempDir, serve: Command, reason: &str) {
    lives_and_dies(pool.path(), 1);
    let mut worker = start(pool.path(), "");
    tell(&mut worker, "work 5");
    tell(&mut worker, "gauge max 7");
    let mut survivor = start(pool.path(), "");
    tell(&mut survivor, "work 2");
    files::set_mode(pool.path(), 0o755);
    for file in files::named(pool.path(), "") {
        files::set_mode(&file, 0o644);
    }
    let sidecar = Sidecar::start(serve);
    assert_eq!(jobs(&sidecar), 8.0);
    worker.kill();
    wait_for_state(&sidecar, "memory");
    let line = sidecar
        .process
        .wait_for_line("the fold", |line| line.contains("Cannot fold."));
    for part in [reason, "kept in memory"] {
        assert!(line.contains(part), "{part} in {line}");
    }

    // [merge.dead.ttl]
    eventually("the gauge of the dead worker to go", || {
        let served = sidecar.metrics();
        assert_eq!(served.sum("jobs_total", &[]), 8.0);
        served.value("level_max").is_none().then_some(())
    });
    // A look at the watch's leisure may come in between; the dead are asked about then, never read.
    let reads = Reads::of(&files::named(pool.path(), ""));
    for _ in 0..3 {
        tell(&mut survivor, "work 1");
        sidecar.metrics();
    }
    assert_eq!(reads.files(), 1, "the store of the survivor alone is read");
    assert_eq!(jobs(&sidecar), 11.0);
    assert_eq!(names(pool.path()).len(), 3, "no file is deleted");
    assert_eq!(fold_state(&sidecar.self_metrics()), "memory");
    let log = sidecar.process.stderr.text();
    assert_eq!(log.matches("Cannot fold.").count(), 1, "{log}");
    assert!(!pool.join(LEDGER_NAME).exists());
}

/// Which of some files are read from now on, by whomever.
struct Reads(rustix::fd::OwnedFd);

impl Reads {
    fn of(files: &[PathBuf]) -> Reads {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify has room");
        for file in files {
            inotify::add_watch(&watch, file, inotify::WatchFlags::ACCESS)
                .expect("a file can be watched");
        }
        Reads(watch)
    }

    /// How many have been read.
    fn files(self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut files = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => files.push(event.wd()),
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => panic!("{error}"),
            }
        }
        files.sort_unstable();
        files.dedup();
        files.len()
    }
}

/// A file system in memory of its own; unmounted on drop.
struct Disk {
    mounted: PathBuf,
    _place: TempDir,
}

impl Disk {
    fn new(size: &str) -> Disk {
        let place = TempDir::new();
        let mounted = place.join("disk");
        fs::create_dir(&mounted).expect("a directory can be made");
        let options = std::ffi::CString::new(format!("size={size}")).expect("no zero in it");
        if let Err(error) = mount("tmpfs", &mounted, "tmpfs", MountFlags::empty(), &*options) {
            panic!(
                "failed to mount a tmpfs: {error}; run this test as root, as CI does, in a \
                 container with CAP_SYS_ADMIN"
            );
        }
        Disk {
            mounted,
            _place: place,
        }
    }

    fn path(&self) -> &Path {
        &self.mounted
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.mounted, UnmountFlags::DETACH);
    }
}

/// Takes all the room that is left.
fn fill(filler: &Path) {
    let mut size = 1 << 20;
    let file = fs::OpenOptions::new().append(true).open(filler).unwrap();
    while size > 0 {
        let length = file.metadata().unwrap().len();
        let more = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), length, size);
        match more {
            Ok(()) => {}
            Err(Errno::NOSPC) => size /= 2,
            Err(error) => panic!("{error}"),
        }
    }
}

const TIME_TO_LIVE: &str = "--gauge.ttl=2s";

/// Shows the first directory at the second for reading only, and starts the rest.
const MOUNT: &str = r#"
mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" || exit
! touch "$2/a" 2>/dev/null || exit
shift 2
exec "$@"
"#;
