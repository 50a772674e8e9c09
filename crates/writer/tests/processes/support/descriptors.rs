//! What a process that becomes a daemon does to the descriptors of others.
#![expect(unsafe_code, reason = "whoever owns a descriptor is not asked")]

use std::fs;
use std::io::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Closes a descriptor behind the back of whoever owns it.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: touches no memory. That the owner finds nothing there is what the caller wants.
    let outcome = unsafe { libc::close(descriptor) };
    assert_eq!(outcome, 0, "{}", Error::last_os_error());
}

/// The descriptor of this process that is open on a file.
pub(crate) fn descriptor_of(path: &Path) -> i32 {
    let wanted = fs::metadata(path).expect("the file is there").ino();
    let descriptors = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let mut found = descriptors.filter_map(|descriptor| {
        let descriptor = descriptor.expect("an entry can be read").path();
        // The descriptor that lists them is gone by now.
        let is_it = fs::metadata(&descriptor).is_ok_and(|file| file.ino() == wanted);
        let number = descriptor.file_name()?.to_str()?.parse().ok()?;
        is_it.then_some(number)
    });
    found.next().expect("it keeps a descriptor")
}
