//! The directories of a command: which they are, and whether a pool can live there.
//!
//! Owns the look at a directory before it is used, and the words for what is wrong with it. Knows
//! no file in it: that is the collector's.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use crate::cli::DirectoryOptions;
use crate::filesystem::{self, FileSystem};

/// Why a directory cannot be used. The message says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum DirectoryError {
    /// Nobody may enter or list it as the user that this process runs as.
    Denied { path: PathBuf, owner: Option<Owner> },
    /// It does not exist (yet).
    Missing { path: PathBuf },
    /// It lies on another machine.
    Network { path: PathBuf, name: &'static str },
    /// Neither an argument nor the environment names one.
    NoneGiven,
    /// It is something else.
    NotADirectory { path: PathBuf },
    /// The operating system refuses for another reason.
    Unreadable { path: PathBuf, error: io::Error },
}

/// Whose a directory is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    uid: u32,
    gid: u32,
    /// Permission bits only.
    mode: u32,
}

/// The directories that the command line names, else the one that the environment names; each once.
///
/// # Errors
///
/// [`DirectoryError::NoneGiven`].
pub(crate) fn given(options: DirectoryOptions) -> Result<Vec<PathBuf>, DirectoryError> {
    choose(options.directories, |name| std::env::var_os(name))
}

/// Looks whether a pool can live in `path`.
///
/// # Errors
///
/// Every [`DirectoryError`] that has a path.
pub(crate) fn examine(path: &Path) -> Result<FileSystem, DirectoryError> {
    let metadata = fs::metadata(path).map_err(|error| DirectoryError::of(path, error))?;
    if !metadata.is_dir() {
        return Err(DirectoryError::NotADirectory { path: path.into() });
    }
    let list = fs::read_dir(path).and_then(|mut entries| entries.next().transpose());
    list.map_err(|error| DirectoryError::of(path, error))?;
    let statfs =
        rustix::fs::statfs(path).map_err(|error| DirectoryError::of(path, error.into()))?;
    // The field's type differs between architectures; the numbers have 32 bits on all of them.
    match filesystem::classify(statfs.f_type as u32) {
        FileSystem::Network(name) => Err(DirectoryError::Network {
            path: path.into(),
            name,
        }),
        filesystem => Ok(filesystem),
    }
}

fn choose(
    named: Vec<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<PathBuf>, DirectoryError> {
    if named.is_empty() {
        let set = VARIABLES
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty());
        return Ok(vec![set.ok_or(DirectoryError::NoneGiven)?.into()]);
    }
    // A directory that is read twice would count twice.
    let mut distinct: Vec<(PathBuf, PathBuf)> = Vec::new();
    for path in named {
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if distinct.iter().all(|(_, known)| *known != real) {
            distinct.push((path, real));
        }
    }
    Ok(distinct.into_iter().map(|(path, _)| path).collect())
}

impl DirectoryError {
    fn of(path: &Path, error: io::Error) -> DirectoryError {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::NotFound => DirectoryError::Missing { path },
            io::ErrorKind::NotADirectory => DirectoryError::NotADirectory { path },
            io::ErrorKind::PermissionDenied => {
                let owner = fs::metadata(&path).ok().map(|metadata| Owner {
                    uid: metadata.uid(),
                    gid: metadata.gid(),
                    mode: metadata.mode() & 0o7777,
                });
                DirectoryError::Denied { path, owner }
            }
            _ => DirectoryError::Unreadable { path, error },
        }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        match self {
            DirectoryError::Denied {
                path,
                owner:
                    Some(Owner {
                        uid: owner,
                        gid: group,
                        mode,
                    }),
            } => {
                write!(
                    formatter,
                    "{}: permission denied: headcount runs as uid {uid}, gid {gid}; the directory \
                     belongs to uid {owner}, gid {group}, with mode {mode:04o}. Run headcount as \
                     the workers' user, or put both into one group and give the directory mode \
                     2770, so that the files in it get that group too",
                    path.display(),
                )
            }
            DirectoryError::Denied { path, owner: None } => write!(
                formatter,
                "{}: permission denied: headcount runs as uid {uid}, gid {gid}, which may not \
                 enter a directory on the way; run headcount as the workers' user, or allow it \
                 to enter (chmod a+x) each directory above",
                path.display(),
            ),
            DirectoryError::Missing { path } => write!(
                formatter,
                "{} does not exist: check the name, or create it before the workers start; they \
                 and headcount must have the same directory",
                path.display(),
            ),
            DirectoryError::Network { path, name } => write!(
                formatter,
                "{} lies on a network file system ({name}), which does not show one process what \
                 another writes through a mapping; use a directory on tmpfs, such as /dev/shm, or \
                 on a local disk",
                path.display(),
            ),
            DirectoryError::NoneGiven => write!(
                formatter,
                "no directory: name the one that the workers write to, or set {} or {} as for the \
                 workers",
                VARIABLES[0], VARIABLES[1],
            ),
            DirectoryError::NotADirectory { path } => write!(
                formatter,
                "{} is not a directory: name the directory that the workers write to; a single \
                 file is shown by `headcount inspect`",
                path.display(),
            ),
            DirectoryError::Unreadable { path, error } => {
                write!(formatter, "{} cannot be read: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for DirectoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DirectoryError::Unreadable { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Where the environment names a directory, in this order: the writer's own, the Python client's,
/// and that of GitLab's Ruby client and of Python's before 0.10.
pub(crate) const VARIABLES: [&str; 3] = [
    "HEADCOUNT_DIR",
    "PROMETHEUS_MULTIPROC_DIR",
    "prometheus_multiproc_dir",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<OsString> {
        (name == VARIABLES[1]).then(|| "/python".into())
    }

    #[test]
    fn the_environment_is_asked_only_where_no_directory_is_named() {
        let named = choose(vec!["/a".into()], environment).unwrap();
        assert_eq!(named, [Path::new("/a")]);
        assert_eq!(
            choose(Vec::new(), environment).unwrap(),
            [Path::new("/python")]
        );
    }

    #[test]
    fn our_variable_goes_first_and_an_empty_one_counts_as_unset() {
        let both = |name: &str| Some(OsString::from(name));
        assert_eq!(
            choose(Vec::new(), both).unwrap(),
            [Path::new("HEADCOUNT_DIR")]
        );
        let empty = |_: &str| Some(OsString::new());
        assert!(matches!(
            choose(Vec::new(), empty),
            Err(DirectoryError::NoneGiven)
        ));
    }

    #[test]
    fn a_directory_that_is_named_twice_is_read_once() {
        let named = vec![
            "/tmp".into(),
            "/tmp/".into(),
            "/tmp/.".into(),
            "/a".into(),
            "/a".into(),
        ];
        assert_eq!(
            choose(named, environment).unwrap(),
            [Path::new("/tmp"), Path::new("/a")]
        );
    }

    #[test]
    fn what_is_wrong_with_a_directory_is_told_apart() {
        let missing = examine(Path::new("/nonexistent/pool")).unwrap_err();
        assert!(
            matches!(missing, DirectoryError::Missing { .. }),
            "{missing}"
        );
        let file = examine(Path::new("/proc/self/status")).unwrap_err();
        assert!(
            matches!(file, DirectoryError::NotADirectory { .. }),
            "{file}"
        );
    }
}
