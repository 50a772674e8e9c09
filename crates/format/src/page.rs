//! Three words that a fork wipes, whichever way the fork is made.
//!
//! Owns the page of anonymous memory that the kernel empties in a child (MADV_WIPEONFORK covers
//! `fork` and raw `clone` alike), and the handler that empties it where the kernel knows no such
//! page (`[store.fork.handler]`) and closes what a child must not keep (`[store.fork.descriptor]`). Knows nothing of what
//! the words mean.
#![expect(
    unsafe_code,
    reason = "no safe wrapper knows MADV_WIPEONFORK, pthread_atfork or raw words"
)]

use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU64};

/// Words that are zero until they are set, and zero again in a forked child.
#[derive(Debug)]
pub(crate) struct WipedPage {
    #[cfg(target_os = "linux")]
    map: memmap2::MmapMut,
    #[cfg(target_os = "linux")]
    seat: Option<linux::Seat>,
    #[cfg(not(target_os = "linux"))]
    words: Box<(AtomicU64, AtomicPtr<()>, AtomicU64)>,
}

#[cfg(not(target_os = "linux"))]
impl WipedPage {
    pub(crate) fn new() -> io::Result<WipedPage> {
        let words = Box::default();
        Ok(WipedPage { words })
    }

    #[inline]
    pub(crate) fn number(&self) -> &AtomicU64 {
        &self.words.0
    }

    #[inline]
    pub(crate) fn pointer(&self) -> &AtomicPtr<()> {
        &self.words.1
    }

    pub(crate) fn claim(&self) -> &AtomicU64 {
        &self.words.2
    }
}

#[cfg(target_os = "linux")]
impl WipedPage {
    /// # Errors
    ///
    /// When there is no page to be had, or neither the kernel nor a handler can wipe it.
    pub(crate) fn new() -> io::Result<WipedPage> {
        let mut map = memmap2::MmapMut::map_anon(linux::PAGE_BYTES)?;
        let start = map.as_mut_ptr();
        // SAFETY: the range is the whole of a private anonymous mapping that this function has
        // just made; wiping it in a child breaks no reference, since it is accessed as atomics.
        let outcome =
            unsafe { libc::madvise(start.cast(), linux::PAGE_BYTES, libc::MADV_WIPEONFORK) };
        let refused = (outcome != 0).then(io::Error::last_os_error);
        let seat = linux::Seat::take(start as usize);
        match refused {
            Some(error) if seat.is_none() => Err(error),
            _ => Ok(WipedPage { map, seat }),
        }
    }

    #[inline]
    pub(crate) fn number(&self) -> &AtomicU64 {
        let word = self.map.as_ptr().cast::<u64>().cast_mut();
        // SAFETY: the page is mapped readable and writable as long as `self` lives, is aligned, and
        // its first word is accessed as this atomic only. Zero, which a wipe leaves, is valid.
        unsafe { AtomicU64::from_ptr(word) }
    }

    pub(crate) fn claim(&self) -> &AtomicU64 {
        let word = self.map.as_ptr().wrapping_add(16).cast::<u64>().cast_mut();
        // SAFETY: as in `number`, for the third word of the page.
        unsafe { AtomicU64::from_ptr(word) }
    }

    #[inline]
    pub(crate) fn pointer(&self) -> &AtomicPtr<()> {
        let word = self
            .map
            .as_ptr()
            .wrapping_add(8)
            .cast::<*mut ()>()
            .cast_mut();
        // SAFETY: as in `number`, for the second word of the page.
        unsafe { AtomicPtr::from_ptr(word) }
    }

    /// Has the descriptor of `file` closed in a child, if it is still that file's; one at a time.
    pub(crate) fn close_in_child(&self, file: &std::fs::File) {
        if let Some(seat) = &self.seat {
            seat.set_descriptor(file);
        }
    }

    /// Ends what [`WipedPage::close_in_child`] began, before the descriptor is closed here.
    pub(crate) fn keep_in_child(&self) {
        if let Some(seat) = &self.seat {
            seat.clear_descriptor();
        }
    }

    /// Closes what a parent held, where this is its child and no handler has run: a raw `clone`.
    pub(crate) fn close_inherited(&self) {
        if let Some(seat) = &self.seat {
            seat.close_descriptor();
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for WipedPage {
    fn drop(&mut self) {
        // Before the page is unmapped: a child that is forked in between must not find it.
        if let Some(seat) = self.seat.take() {
            seat.leave();
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, RawFd};
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

    pub(super) const PAGE_BYTES: usize = 4096;
    const NONE: RawFd = -1;

    /// How many pages the handler knows; those past it rely on the kernel alone.
    const SEATS: usize = 256;

    // What a child's handler reads: arrays, since a child must not take locks. All orderings are
    // sequentially consistent; nothing here is hot.
    static PAGES: [AtomicUsize; SEATS] = [const { AtomicUsize::new(0) }; SEATS];
    static DESCRIPTORS: [AtomicI32; SEATS] = [const { AtomicI32::new(NONE) }; SEATS];
    // Which file the descriptor was given for: a process that closes what it does not know, as one
    // that becomes a daemon does, may have another file there by now.
    static DEVICES: [AtomicU64; SEATS] = [const { AtomicU64::new(0) }; SEATS];
    static INODES: [AtomicU64; SEATS] = [const { AtomicU64::new(0) }; SEATS];

    /// A page's place in the array.
    #[derive(Debug)]
    pub(super) struct Seat(usize);

    impl Seat {
        /// `None` where no handler can be had, or no place.
        pub(super) fn take(page: usize) -> Option<Seat> {
            static HAS_HANDLER: AtomicBool = AtomicBool::new(false);
            // Two threads may both come here; a handler that runs twice does no harm.
            if !HAS_HANDLER.load(Ordering::SeqCst) {
                // SAFETY: `in_child` calls nothing but `fstat` and `close` and uses atomics, which a
                // child of a process with many threads may do.
                let outcome = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
                if outcome != 0 {
                    return None;
                }
                HAS_HANDLER.store(true, Ordering::SeqCst);
            }
            let free = |seat: &usize| {
                PAGES[*seat]
                    .compare_exchange(0, page, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
            };
            (0..SEATS).find(free).map(Seat)
        }

        pub(super) fn set_descriptor(&self, file: &File) {
            let Ok(metadata) = file.metadata() else {
                return;
            };
            DEVICES[self.0].store(metadata.dev(), Ordering::SeqCst);
            INODES[self.0].store(metadata.ino(), Ordering::SeqCst);
            DESCRIPTORS[self.0].store(file.as_raw_fd(), Ordering::SeqCst);
        }

        pub(super) fn clear_descriptor(&self) {
            DESCRIPTORS[self.0].store(NONE, Ordering::SeqCst);
        }

        pub(super) fn close_descriptor(&self) {
            close_in(self.0);
        }

        pub(super) fn leave(self) {
            DESCRIPTORS[self.0].store(NONE, Ordering::SeqCst);
            PAGES[self.0].store(0, Ordering::SeqCst);
        }
    }

    extern "C" fn in_child() {
        for (seat, page) in PAGES.iter().enumerate() {
            let page = page.load(Ordering::SeqCst);
            if page != 0 {
                wipe(page);
                close_in(seat);
            }
        }
    }

    fn wipe(page: usize) {
        for word in [page, page + 8, page + 16] {
            let word = std::ptr::with_exposed_provenance_mut::<u64>(word);
            // SAFETY: a page in the array is mapped: it is entered after it was mapped, and leaves
            // before it is unmapped. Its words are accessed as atomics of eight bytes only.
            let word = unsafe { AtomicU64::from_ptr(word) };
            word.store(0, Ordering::SeqCst);
        }
    }

    fn close_in(seat: usize) {
        let descriptor = DESCRIPTORS[seat].swap(NONE, Ordering::SeqCst);
        if descriptor != NONE && is_file_of(descriptor, seat) {
            // SAFETY: the descriptor is the child's copy of one that its parent owns; the parent's
            // owner, copied into the child, is leaked there and never closes it.
            unsafe { libc::close(descriptor) };
        }
    }

    fn is_file_of(descriptor: RawFd, seat: usize) -> bool {
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the pointer is to memory for one `stat`, which outlives the call.
        let outcome = unsafe { libc::fstat(descriptor, found.as_mut_ptr()) };
        if outcome != 0 {
            return false;
        }
        // SAFETY: a call that succeeds has filled it in.
        let found = unsafe { found.assume_init() };
        found.st_dev == DEVICES[seat].load(Ordering::SeqCst)
            && found.st_ino == INODES[seat].load(Ordering::SeqCst)
    }
}
