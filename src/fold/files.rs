//! What a fold does to the files of a directory.
//!
//! Owns each single change. In which order they are done is its caller's business.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
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

use super::{FoldFailure, Trouble};

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

/// `[fold.lock]`: has whoever watches the directory look at it: no watch tells of a lock.
pub(super) fn call(directory: &FoldDirectory) {
    let name = OsStr::new(".headcount.waits");
    let _made = write(directory, name, b"", &Readers::default());
    let _deleted = delete(directory, name);
}

/// `[fold.deny]`: whether files can be made and deleted in the directory.
pub(super) fn check_access(directory: &FoldDirectory) -> Result<(), FoldFailure> {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    let allowed = rustix::fs::accessat(directory.handle(), ".", wanted, AtFlags::EACCESS);
    allowed.map_err(|error| FoldFailure::Denied {
        source: error.into(),
    })
}

/// `[fold.order]`: deletes what an earlier fold has left; the first that it could not.
pub(super) fn clean(
    directory: &FoldDirectory,
    fold: &mut Fold,
) -> Result<Option<Trouble>, FoldFailure> {
    let mut trouble = delete(directory, UNFINISHED_LEDGER_NAME.as_ref()).err();
    let names = directory.names();
    let names = names.map_err(|source| FoldFailure::Missing { source })?;
    for name in names {
        let is_listed = match is_set_aside(&name) {
            true => {
                let opened = directory.open_file(&name).ok().flatten();
                opened.is_some_and(|file| fold.lists_file(&file))
            }
            false => fold.lists_store(&name),
        };
        if is_listed && let Err(error) = delete(directory, &name) {
            trouble = trouble.or(Some(error));
        }
    }
    delete_litter(directory);
    Ok(trouble)
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
            let _deleted = delete(directory, name);
        }
    }
}

/// Deletes a file, if it is there.
pub(super) fn delete(directory: &FoldDirectory, name: &OsStr) -> Result<(), Trouble> {
    match rustix::fs::unlinkat(directory.handle(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Trouble::undeleted(name, error.into())),
    }
}

/// Gives a file another name.
pub(super) fn rename(directory: &FoldDirectory, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let handle = directory.handle();
    Ok(rustix::fs::renameat(handle, from, handle, to)?)
}

/// Writes a file whole and over the one before, for whoever may read the directory.
pub(super) fn replace(directory: &FoldDirectory, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let unfinished = [b".", name.as_bytes(), b".new"].concat();
    let unfinished = OsStr::from_bytes(&unfinished);
    let metadata = directory.handle().metadata()?;
    let mut readers = Readers::default();
    readers.narrow(&metadata);
    write(directory, unfinished, bytes, &readers)?;
    rename(directory, unfinished, name)
}

/// Makes a file that was not there, and writes it.
pub(super) fn write(
    directory: &FoldDirectory,
    name: &OsStr,
    bytes: &[u8],
    readers: &Readers,
) -> io::Result<File> {
    // Of an earlier fold that failed: only who holds the lock makes it.
    let _deleted = delete(directory, name);
    let written = create(directory, name, readers).and_then(|mut file| {
        file.write_all(bytes)?;
        Ok(file)
    });
    if written.is_err() {
        let _deleted = delete(directory, name);
    }
    written
}

fn create(directory: &FoldDirectory, name: &OsStr, readers: &Readers) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let file = File::from(rustix::fs::openat(directory.handle(), name, flags, mode)?);
    if readers.group.is_some() {
        // Only root and members may give a file to a group; the others' files are their own group's.
        let _given = std::os::unix::fs::fchown(&file, None, readers.group);
    }
    // [ledger.mode]: whatever the umask.
    file.set_permissions(Permissions::from_mode(0o600 | readers.mode))?;
    Ok(file)
}

/// `[ledger.mode]`: who may read a ledger: whoever may read every file of which it tells.
#[derive(Debug)]
pub(super) struct Readers {
    /// The permissions of group and others.
    mode: u32,
    /// The group of the first of these files.
    group: Option<u32>,
}

impl Default for Readers {
    fn default() -> Readers {
        Readers {
            mode: 0o044,
            group: None,
        }
    }
}

impl Readers {
    /// Those of a ledger that is written anew; everybody where there is none yet.
    pub(super) fn of(ledger: Option<&File>) -> Readers {
        let mut readers = Readers::default();
        if let Some(metadata) = ledger.and_then(|ledger| ledger.metadata().ok()) {
            readers.narrow(&metadata);
        }
        readers
    }

    /// Takes out who may not read this file.
    pub(super) fn narrow(&mut self, metadata: &Metadata) {
        self.mode &= metadata.mode();
        self.group = self.group.or(Some(metadata.gid()));
    }
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
