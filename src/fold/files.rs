//! What a fold does to the files of a directory.
//!
//! Owns each single change. In which order they are done is its caller's business.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headcount_collect::fold::{Fold, FoldDirectory};
use headcount_format::identity::Incarnation;
use headcount_format::layout::{LockKind, UNFINISHED_LEDGER_NAME, unfinished_file_name};
use headcount_format::lock::{Probe, probe};
use rustix::fs::{Access, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::FoldFailure;

/// `[fold.lock]`: takes the lock of the directory, for as long as it stays open.
pub(super) fn lock(directory: &FoldDirectory) -> Result<(), FoldFailure> {
    match rustix::fs::flock(directory.handle(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(FoldFailure::NotOurs),
        Err(error) => Err(FoldFailure::Denied {
            source: error.into(),
        }),
    }
}

/// `[fold.deny]`: whether files can be made and deleted in the directory.
pub(super) fn check_access(directory: &FoldDirectory) -> Result<(), FoldFailure> {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    let allowed = rustix::fs::accessat(directory.handle(), ".", wanted, AtFlags::EACCESS);
    allowed.map_err(|error| FoldFailure::Denied {
        source: error.into(),
    })
}

/// `[fold.order]`: deletes what an earlier fold has left; whether all of it has gone.
pub(super) fn clean(directory: &FoldDirectory, fold: &mut Fold) -> Result<bool, FoldFailure> {
    delete(directory, UNFINISHED_LEDGER_NAME.as_ref());
    let names = directory.names();
    let names = names.map_err(|source| FoldFailure::Missing { source })?;
    let mut is_clean = true;
    for name in names {
        let is_listed = match is_set_aside(&name) {
            true => {
                let opened = directory.open_file(&name).ok().flatten();
                opened.is_some_and(|file| fold.lists_file(&file))
            }
            false => fold.lists_store(&name),
        };
        is_clean &= !is_listed || delete(directory, &name);
    }
    delete_litter(directory);
    Ok(is_clean)
}

/// Deletes stores that their writers have not finished, and never will.
fn delete_litter(directory: &FoldDirectory) {
    let Ok(entries) = rustix::fs::Dir::read_from(directory.handle()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let digits = name.to_str().and_then(|name| name.get(1..33));
        let incarnation = digits.and_then(Incarnation::parse);
        let is_store = |incarnation| *name == *unfinished_file_name(incarnation);
        if !incarnation.is_some_and(is_store) {
            continue;
        }
        // Between its making and its lock a writer needs microseconds.
        let is_litter = |file: &File| {
            let age = file.metadata().and_then(|metadata| metadata.modified());
            let age = age
                .ok()
                .and_then(|time| SystemTime::now().duration_since(time).ok());
            probe(file, LockKind::Description) == Probe::Free && age.is_some_and(|age| age > LITTER)
        };
        let opened = directory.open_file(name).ok().flatten();
        if opened.as_ref().is_some_and(is_litter) {
            delete(directory, name);
        }
    }
}

/// Deletes a file; whether it is gone.
pub(super) fn delete(directory: &FoldDirectory, name: &OsStr) -> bool {
    let deleted = rustix::fs::unlinkat(directory.handle(), name, AtFlags::empty());
    matches!(deleted, Ok(()) | Err(Errno::NOENT))
}

/// Gives a file another name.
pub(super) fn rename(
    directory: &FoldDirectory,
    from: &OsStr,
    to: &OsStr,
) -> Result<(), FoldFailure> {
    let handle = directory.handle();
    let renamed = rustix::fs::renameat(handle, from, handle, to);
    renamed.map_err(|error| FoldFailure::Change {
        what: "rename a file of the pool",
        source: error.into(),
    })
}

/// Writes a file of which nothing is lost with the machine, whole and over the one before.
pub(super) fn replace(
    directory: &FoldDirectory,
    name: &OsStr,
    bytes: &[u8],
) -> Result<(), FoldFailure> {
    let unfinished = [b".", name.as_bytes(), b".new"].concat();
    let unfinished = OsStr::from_bytes(&unfinished);
    write(directory, unfinished, bytes)?;
    rename(directory, unfinished, name)
}

/// Makes a file that was not there, and writes it.
pub(super) fn write(
    directory: &FoldDirectory,
    name: &OsStr,
    bytes: &[u8],
) -> Result<File, FoldFailure> {
    // Of an earlier fold that failed: only who holds the lock makes it.
    delete(directory, name);
    let written = create(directory, name).and_then(|mut file| {
        file.write_all(bytes)?;
        Ok(file)
    });
    written.map_err(|source| {
        delete(directory, name);
        let what = "write the new ledger";
        FoldFailure::Change { what, source }
    })
}

fn create(directory: &FoldDirectory, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o640);
    let file = File::from(rustix::fs::openat(directory.handle(), name, flags, mode)?);
    // [store.file.mode]: whatever the umask.
    file.set_permissions(Permissions::from_mode(0o640))?;
    Ok(file)
}

/// `[fold.peer]`: whether a name is one that a file has while it waits to be folded.
pub(super) fn is_set_aside(name: &OsStr) -> bool {
    name.as_bytes().ends_with(FOLDING)
}

/// `[fold.peer]`: the name under which a file waits; `None` where its file system does not tell when
/// it was born.
pub(super) fn folding_name(name: &OsStr, file: &File) -> Option<OsString> {
    let metadata = file.metadata().ok()?;
    let born = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let identity = format!(".{:x}-{:x}", metadata.ino(), born.as_nanos());
    Some(OsString::from_vec(
        [name.as_bytes(), identity.as_bytes(), FOLDING].concat(),
    ))
}

const FOLDING: &[u8] = b".folding";

/// What an unfinished store is at least old to be litter.
const LITTER: Duration = Duration::from_secs(60);
