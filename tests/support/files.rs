//! Files in a pool's directory: found, copied under other pids, closed to others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// The entries of `directory` whose names begin with `prefix`, by name.
pub(crate) fn named(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let mut paths: Vec<_> = paths
        .filter(|path| name(path).starts_with(prefix))
        .collect();
    paths.sort();
    paths
}

/// Writes the bytes of the only file whose name begins with `prefix` under `copies` more pids,
/// which no process has.
pub(crate) fn multiply(directory: &Path, prefix: &str, copies: u32) {
    let [original] = &named(directory, prefix)[..] else {
        panic!("not one file {prefix}*")
    };
    let bytes = fs::read(original).expect("a file can be read");
    for pid in (10_000_000..).take(copies as usize) {
        write(&directory.join(format!("{prefix}{pid}.db")), &bytes);
    }
}

/// The bytes of `file`, cut off a little before the end of what it says it holds.
pub(crate) fn cut_off(file: &Path) -> Vec<u8> {
    let mut bytes = fs::read(file).expect("a file can be read");
    let used = bytes.first_chunk().map(|used| i32::from_le_bytes(*used));
    let used = used
        .and_then(|used| usize::try_from(used).ok())
        .expect("the header is whole");
    bytes.truncate(used - 20);
    bytes
}

/// The same bytes each time, without any pattern (xorshift64).
pub(crate) fn random_bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(step).take(length).collect()
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

pub(crate) fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe can be made");
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode can be set");
}

fn name(path: &Path) -> String {
    path.file_name()
        .expect("an entry has a name")
        .to_string_lossy()
        .into_owned()
}
