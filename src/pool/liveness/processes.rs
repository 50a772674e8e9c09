//! The process table: which files the processes that show could write.
//!
//! Owns how `/proc` is read. Knows nothing of pools, and does not judge what it means that a file is
//! not found.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, major, minor, statx};

/// The files that some process has open or mapped for writing, with the pids that these processes
/// have in their own namespaces.
#[derive(Debug, Default)]
pub(super) struct Writers(HashMap<FileNumber, Vec<u32>>);

/// What tells a file apart: the two parts of its device's number, and its inode's.
type FileNumber = (u32, u32, u64);

impl Writers {
    /// Looks at every process that shows, as far as this one may.
    pub(super) fn read() -> Writers {
        let mut writers = Writers::default();
        let Ok(entries) = fs::read_dir("/proc") else {
            return writers;
        };
        for entry in entries.flatten() {
            let is_pid = entry
                .file_name()
                .as_encoded_bytes()
                .first()
                .is_some_and(u8::is_ascii_digit);
            if is_pid {
                writers.read_process(&entry.path());
            }
        }
        writers
    }

    /// Whether this file is among them.
    pub(super) fn have(&self, file: &Metadata) -> bool {
        let device = file.dev();
        self.0
            .contains_key(&(major(device), minor(device), file.ino()))
    }

    /// `[life.shared]`: whether two processes have this file that call themselves by one pid, each
    /// in its own namespace. A child that has inherited the file has another.
    pub(super) fn share(&self, file: &Metadata, pid: u32) -> bool {
        let device = file.dev();
        let number = (major(device), minor(device), file.ino());
        let pids = self.0.get(&number).into_iter().flatten();
        pids.filter(|own| **own == pid).count() > 1
    }

    /// One that ends meanwhile, or may not be looked at, shows nothing.
    fn read_process(&mut self, process: &Path) {
        let mut files = Vec::new();
        if let Ok(maps) = fs::read(process.join("maps")) {
            let maps = String::from_utf8_lossy(&maps);
            files.extend(maps.lines().filter_map(mapped_for_writing));
        }
        let descriptors = fs::read_dir(process.join("fd"));
        let descriptors = descriptors.into_iter().flatten().flatten();
        files.extend(descriptors.filter_map(|descriptor| open_for_writing(&descriptor.path())));
        if files.is_empty() {
            return;
        }
        files.sort_unstable();
        files.dedup();
        // Of a process whose pid is not told the file is known all the same.
        let pid = own_pid(process).unwrap_or(0);
        for file in files {
            self.0.entry(file).or_default().push(pid);
        }
    }
}

/// The pid of a process in its innermost namespace.
fn own_pid(process: &Path) -> Option<u32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// The file of a line of `/proc/PID/maps`, if what is written there reaches it.
fn mapped_for_writing(line: &str) -> Option<FileNumber> {
    // 7f73caf71000-7f73caf72000 rw-s 00000000 00:28 10    /dev/shm/pool/counter_1.db
    let mut fields = line.split_ascii_whitespace().skip(1);
    let rights = fields.next()?.as_bytes();
    if rights.get(1) != Some(&b'w') || rights.get(3) != Some(&b's') {
        return None;
    }
    let (major, minor) = fields.nth(1)?.split_once(':')?;
    let part = |digits| u32::from_str_radix(digits, 16).ok();
    let inode = fields.next()?.parse().ok()?;
    Some((part(major)?, part(minor)?, inode))
}

/// The file of an entry of `/proc/PID/fd`, if it is open for writing.
fn open_for_writing(descriptor: &Path) -> Option<FileNumber> {
    // The rights of the link are those of the descriptor.
    let link = fs::symlink_metadata(descriptor).ok()?;
    if link.permissions().mode() & 0o200 == 0 {
        return None;
    }
    // A server that does not answer shall not be asked.
    let flags = AtFlags::STATX_DONT_SYNC;
    let file = statx(CWD, descriptor, flags, StatxFlags::INO).ok()?;
    Some((file.stx_dev_major, file.stx_dev_minor, file.stx_ino))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::scratch::Scratch;

    // [life.proc]
    #[test]
    fn a_descriptor_is_found_if_it_is_for_writing() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("counter_1.db");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        let metadata = reader.metadata().unwrap();
        assert!(Writers::read().have(&metadata));
        drop(writer);
        assert!(!Writers::read().have(&metadata));
    }

    // [life.proc]: lines of proc_pid_maps(5), and of a worker of GitLab's gem.
    #[test]
    fn a_mapping_is_found_if_it_is_shared_and_for_writing() {
        let shared =
            "7f73caf71000-7f73caf72000 rw-s 00000000 00:28 10                 /pool/a b.db";
        assert_eq!(mapped_for_writing(shared), Some((0, 0x28, 10)));
        for other in [
            "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon",
            "00e03000-00e24000 rw-p 00000000 00:00 0           [heap]",
            "7f73caf71000-7f73caf72000 r--s 00000000 00:28 10  /pool/a.db",
            "7f73caf71000-7f73caf72000 rw-s 00000000 0028 10",
            "",
        ] {
            assert_eq!(mapped_for_writing(other), None, "{other}");
        }
    }
}
