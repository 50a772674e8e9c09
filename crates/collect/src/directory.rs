//! One directory of a pool: what lies in it, and how a file in it is opened.
//!
//! Owns the listing, which is the truth about what there is, and the caution with which a name that
//! any worker may have planted is opened (`spec/merge.md`, chapter 1). Knows no dialect.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::report::{Damage, DamageReason};

/// A directory that is being watched over.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    handle: File,
    identity: FileIdentity,
}

/// What tells two files apart, whatever their names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
    /// Since an inode is used again at once; `None` where the file system does not tell.
    born: Option<SystemTime>,
}

impl FileIdentity {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> FileIdentity {
        FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: metadata.created().ok(),
        }
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// `[ledger.folded]`: inode number and time of birth, as a ledger lists them; `None` where the
    /// file system does not tell the last.
    pub(crate) fn key(&self) -> Option<(u64, u64)> {
        let born = self.born?.duration_since(UNIX_EPOCH).ok()?;
        let born = u64::try_from(born.as_nanos()).ok()?;
        Some((self.inode, born))
    }
}

/// Of when the bytes of a file are: how many there are, and when a system call changed them last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileVersion {
    bytes: u64,
    /// `None` where the file system does not tell.
    modified: Option<SystemTime>,
}

impl FileVersion {
    /// What a file is now.
    pub fn of(metadata: &std::fs::Metadata) -> FileVersion {
        FileVersion {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

/// A name, and the inode that the directory says it leads to; ordered by name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) inode: u64,
}

/// What a look at a directory found.
#[derive(Debug)]
pub(crate) struct Listing {
    /// In the order of their names.
    pub(crate) entries: Vec<Entry>,
    /// How many names there was no room for.
    pub(crate) left_out: u64,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Directory {
        Directory { path, open: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the path led to when it was opened last.
    pub(crate) fn handle(&self) -> Option<&File> {
        self.open.as_ref().map(|open| &open.handle)
    }

    /// Opens what the path leads to now; whether another directory has taken the place of the one
    /// that was known.
    ///
    /// # Errors
    ///
    /// When the directory is not there or cannot be opened. What was known of it stays known.
    pub(crate) fn renew(&mut self) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        let identity = FileIdentity::of(&handle.metadata()?);
        let was = self.open.as_ref().map(|open| open.identity);
        self.open = Some(Open { handle, identity });
        // [merge.directory.replaced]
        Ok(was.is_some_and(|was| was != identity))
    }

    /// `[merge.directory.listing]`: every name that a pool's file may have and that is known, and
    /// in the order of their names as many of the others as make `limit` with them.
    ///
    /// `[merge.directory.renamed]`: a listing is of no one instant, and a file that gets another
    /// name meanwhile may be missing from it under both. So a directory that has just changed is
    /// listed once more: no file gets another name twice before it is folded.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub(crate) fn list(
        &self,
        is_known: impl Fn(&Entry) -> bool,
        limit: usize,
    ) -> io::Result<Listing> {
        let Some(open) = &self.open else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let start = SystemTime::now();
        let (first, left_out) = entries(&open.handle, &is_known, limit)?;
        let changed = open.handle.metadata()?.modified()?;
        if changed.checked_add(RECENT).is_some_and(|then| then < start) {
            let entries = first;
            return Ok(Listing { entries, left_out });
        }
        let (second, left_out) = entries(&open.handle, &is_known, limit)?;
        let entries = match united(&open.handle, first, &second) {
            entries if entries.len() <= limit => entries,
            _ => united(&open.handle, Vec::new(), &second),
        };
        Ok(Listing { entries, left_out })
    }

    /// Which file a name leads to; `None` where there is none.
    pub(crate) fn identity_of(&self, name: &OsStr) -> Option<FileIdentity> {
        let found = std::fs::symlink_metadata(self.path.join(name)).ok()?;
        Some(FileIdentity::of(&found))
    }

    /// The text of a small file; `None` where there is none, or none that can be read.
    pub(crate) fn read_small(&self, name: &OsStr) -> Option<String> {
        let file = self.open(&name.to_owned()).ok()??;
        let mut text = String::new();
        file.take(SMALL).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// `[merge.file.open]`: opens a file of the directory, and nothing but a regular file with one
    /// name, without waiting and without following a link.
    ///
    /// # Errors
    ///
    /// [`Damage`] for anything else; `None` for what is gone.
    pub(crate) fn open(&self, name: &OsString) -> Result<Option<File>, Damage> {
        match &self.open {
            Some(open) => examine(open_beneath(&open.handle, name)),
            None => Ok(None),
        }
    }
}

/// For how long a directory has just changed: longer than any tick of the clock that says when.
const RECENT: Duration = Duration::from_millis(50);

/// Bytes that are read of a small file at most.
const SMALL: u64 = 4 << 20;

/// `[merge.file.open]`, for a file that a person has named, by whatever path.
///
/// # Errors
///
/// [`Damage`] for anything but a regular file with one name; `None` for what is not there.
pub(crate) fn open_path(path: &Path) -> Result<Option<File>, Damage> {
    let opened = rustix::fs::open(path, FLAGS, Mode::empty());
    examine(opened.map(File::from))
}

/// The file that was opened, if it is one that can be read.
fn examine(opened: Result<File, Errno>) -> Result<Option<File>, Damage> {
    let damage = |reason, detail: &str| {
        let detail = detail.to_owned();
        Err(Damage { reason, detail })
    };
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => {
            return damage(
                DamageReason::Hostile,
                "it is a symbolic link, which is not followed",
            );
        }
        Err(Errno::NXIO) => return damage(DamageReason::Hostile, "it is a socket"),
        Err(Errno::XDEV) => {
            return damage(DamageReason::Hostile, "it is mounted from elsewhere");
        }
        Err(Errno::AGAIN) => {
            return damage(
                DamageReason::Unreadable,
                "another process holds a lease on it",
            );
        }
        Err(error) => {
            let detail = format!("failed to open it: {}", io::Error::from(error));
            return damage(DamageReason::Unreadable, &detail);
        }
    };
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            return damage(
                DamageReason::Unreadable,
                &format!("failed to look at it: {error}"),
            );
        }
    };
    if metadata.is_dir() {
        return damage(DamageReason::Hostile, "it is a directory");
    }
    if !metadata.is_file() {
        return damage(DamageReason::Hostile, "it is a pipe or a device");
    }
    if metadata.nlink() > 1 {
        return damage(
            DamageReason::Hostile,
            "it has a second name, and would count twice",
        );
    }
    Ok(Some(file))
}

/// `[merge.budget.files]` `[merge.budget.order]`: the candidates, and how many there was no room
/// for. However many there are, no more than `limit` unknown names are held at a time.
fn entries(
    handle: &File,
    is_known: &impl Fn(&Entry) -> bool,
    limit: usize,
) -> io::Result<(Vec<Entry>, u64)> {
    let mut entries = Vec::new();
    // The greatest name first, which is the first that has to go.
    let mut others = BinaryHeap::new();
    let mut left_out = 0;
    for entry in rustix::fs::Dir::read_from(handle)? {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if !crate::dialect::is_candidate(name) {
            continue;
        }
        let entry = Entry {
            name: name.to_owned(),
            inode: entry.ino(),
        };
        match is_known(&entry) {
            true => entries.push(entry),
            false => others.push(entry),
        }
        // What is known stays, even where there are more of it than the limit.
        if entries.len() + others.len() > limit && others.pop().is_some() {
            left_out += 1;
        }
    }
    entries.extend(others);
    entries.sort_unstable();
    Ok((entries, left_out))
}

/// What two listings in a row have, in the order of their names: of a file that has got another
/// name meanwhile, the one that it has now.
fn united(handle: &File, first: Vec<Entry>, second: &[Entry]) -> Vec<Entry> {
    let both = first.into_iter().chain(second.iter().cloned());
    let names: BTreeMap<OsString, u64> = both.map(|entry| (entry.name, entry.inode)).collect();
    let mut times: HashMap<u64, usize> = HashMap::new();
    for inode in names.values() {
        *times.entry(*inode).or_default() += 1;
    }
    let leads_to = |name: &OsString, inode: u64| {
        let found = rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| found.st_ino == inode)
    };
    let entries = names.into_iter();
    let entries = entries.filter(|(name, inode)| times[inode] == 1 || leads_to(name, *inode));
    entries.map(|(name, inode)| Entry { name, inode }).collect()
}

/// Neither a link nor a pipe nor a lease makes us wait or leads us elsewhere.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

fn open_beneath(directory: &File, name: &OsString) -> Result<File, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let opened = match rustix::fs::openat2(directory, name, FLAGS, Mode::empty(), resolve) {
        // A kernel before 5.6, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            rustix::fs::openat(directory, name, FLAGS, Mode::empty())
        }
        outcome => outcome,
    };
    opened.map(File::from)
}
