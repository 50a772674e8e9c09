//! Where a pool can lie: in memory, on the disk, on an overlay, and where there is little room.
//!
//! Owns the file systems that are mounted for one test, and unmounts them on drop.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Result;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{TempDir, unshown};

/// A directory for a pool, and what it lies on.
#[derive(Debug)]
pub(crate) struct Ground {
    pool: PathBuf,
    mounted: Option<PathBuf>,
    /// Removed last.
    _place: TempDir,
}

impl Ground {
    /// In memory, where there is such a place.
    pub(crate) fn memory() -> Ground {
        Ground::plain(TempDir::new())
    }

    /// Where this program was built.
    pub(crate) fn disk() -> Ground {
        Ground::plain(TempDir::within(Path::new(env!("CARGO_TARGET_TMPDIR"))))
    }

    /// An overlay, as the file system of a container is; `None` where the machine has none to give.
    pub(crate) fn overlay() -> Option<Ground> {
        let place = TempDir::new();
        let layers = ["lower", "upper", "work", "merged"].map(|name| place.path().join(name));
        layers.iter().for_each(|layer| make(layer));
        let [lower, upper, work, merged] = layers;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        match mount_at(&merged, "overlay", &options) {
            Ok(()) => Some(Ground::on(place, merged)),
            Err(error) => {
                unshown::tell("overlayfs", &format_args!("{error}; {PRIVILEGE}"));
                None
            }
        }
    }

    /// A small file system in memory.
    pub(crate) fn tmpfs(size: &str) -> Ground {
        let place = TempDir::new();
        let mounted = place.path().join("mounted");
        make(&mounted);
        Ground::mounted(place, &mounted, "tmpfs", &format!("size={size}"))
    }

    /// A small ext4 whose blocks are smaller than a page; `None` where the machine has no loop
    /// device to give.
    pub(crate) fn ext4_of_small_blocks() -> Option<Ground> {
        let place = TempDir::new();
        let (image, mounted) = (place.path().join("image"), place.path().join("mounted"));
        make(&mounted);
        let file = fs::File::create(&image).expect("a file can be made");
        file.set_len(4 << 20).expect("a hole takes no room");
        let mut make_it = Command::new("mkfs.ext4");
        make_it.args(["-q", "-b", "1024", "-O", "^has_journal"]);
        succeed(make_it.arg(&image), "install e2fsprogs");
        let mut mount_it = Command::new("mount");
        mount_it.args(["-o", "loop"]).arg(&image).arg(&mounted);
        let output = mount_it.output().expect("mount is part of every system");
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            unshown::tell(
                "ext4 on a loop device",
                &format_args!("{told}; {PRIVILEGE}"),
            );
            return None;
        }
        Some(Ground::on(place, mounted))
    }

    /// The pool's directory.
    pub(crate) fn pool(&self) -> &Path {
        &self.pool
    }

    fn plain(place: TempDir) -> Ground {
        Ground {
            pool: place.path().to_owned(),
            mounted: None,
            _place: place,
        }
    }

    fn mounted(place: TempDir, at: &Path, kind: &str, options: &str) -> Ground {
        if let Err(error) = mount_at(at, kind, options) {
            panic!("failed to mount a file system of kind {kind}: {error}; {PRIVILEGE}");
        }
        Ground::on(place, at.to_owned())
    }

    fn on(place: TempDir, mounted: PathBuf) -> Ground {
        let ground = Ground {
            pool: mounted.join("pool"),
            mounted: Some(mounted),
            _place: place,
        };
        make(&ground.pool);
        ground
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(mounted) = &self.mounted {
            // Detached, so that whoever still has a file there does not keep it.
            let _ = unmount(mounted, UnmountFlags::DETACH);
        }
    }
}

fn mount_at(at: &Path, kind: &str, options: &str) -> Result<()> {
    let options = CString::new(options).expect("no zero in it");
    mount(kind, at, kind, MountFlags::empty(), &*options)
}

fn make(directory: &Path) {
    fs::create_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
}

fn succeed(command: &mut Command, advice: &str) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {advice}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}; {advice}");
}

const PRIVILEGE: &str =
    "run this test as root, as CI does, in a container with CAP_SYS_ADMIN and loop devices";
