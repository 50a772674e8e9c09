//! Which file systems can hold a pool.
//!
//! Owns the numbers by which the kernel names file systems. Knows nothing of directories.

/// How far a file system can be trusted to show one process what another has written through a
/// mapping.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FileSystem {
    /// One kernel has the pages: what is written is seen.
    Local,
    /// Another machine has the pages; the name of the file system.
    Network(&'static str),
    /// A program decides. Some keep the pages coherent, some fetch them over a network.
    UserSpace,
}

/// Classifies the `f_type` that statfs(2) gives.
pub(crate) fn classify(magic: u32) -> FileSystem {
    if magic == FUSE {
        return FileSystem::UserSpace;
    }
    match NETWORK.iter().find(|&&(known, _)| known == magic) {
        Some(&(_, name)) => FileSystem::Network(name),
        None => FileSystem::Local,
    }
}

/// `FUSE_SUPER_MAGIC` in linux/magic.h.
const FUSE: u32 = 0x6573_5546;

/// From linux/magic.h and, for those outside the kernel's tree, from coreutils' src/stat.c.
const NETWORK: [(u32, &str); 19] = [
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x6163_6673, "ACFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00C3_6400, "Ceph"),
    (0xFF53_4D42, "CIFS"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x4750_4653, "GPFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x0000_6969, "NFS"),
    (0x7461_636F, "OCFS2"),
    (0x2003_0528, "OrangeFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x0000_517B, "SMB"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9p"),
    (0xBACB_ACBC, "a VMware shared folder"),
    (0x786F_4256, "a VirtualBox shared folder"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_one_kernel_are_local() {
        // tmpfs, ext4, xfs, btrfs, overlayfs, ramfs, zfs, f2fs.
        for magic in [
            0x0102_1994,
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x794C_7630,
            0x8584_58F6,
            0x2FC1_2FC1,
            0xF2F5_2010,
        ] {
            assert_eq!(classify(magic), FileSystem::Local, "{magic:#x}");
        }
    }

    #[test]
    fn file_systems_of_other_machines_are_named() {
        assert_eq!(classify(0x6969), FileSystem::Network("NFS"));
        assert_eq!(classify(0xFF53_4D42), FileSystem::Network("CIFS"));
        assert_eq!(classify(0xFE53_4D42), FileSystem::Network("SMB2"));
        assert_eq!(classify(0x0102_1997), FileSystem::Network("9p"));
    }

    #[test]
    fn fuse_is_neither() {
        assert_eq!(classify(0x6573_5546), FileSystem::UserSpace);
    }
}
