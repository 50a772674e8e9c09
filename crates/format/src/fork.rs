//! State that belongs to one process: a forked child finds it as if it had never been.
//!
//! Owns the way from a handle to its cells: a [`Binding`] that holds only in the process that made
//! it (`[store.fork]`). All that a writer ever changes hangs off a page that a fork
//! wipes, so a child sees neither its parent's tables, which another thread may have been changing
//! at that instant, nor its parent's locks. Knows nothing of metrics.
#![expect(
    unsafe_code,
    reason = "what hangs off a wiped page is reached through raw pointers"
)]

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::mapping::CellMemory;
use crate::page::WipedPage;

/// A `T` for each process: made on first use, and made anew in a forked child.
///
/// ```
/// use headcount_format::PerProcess;
///
/// let pid: PerProcess<u32> = PerProcess::new()?;
/// assert_eq!(pid.get(), None);
/// assert_eq!(pid.get_or_init(|| 7), &7);
/// assert_eq!(pid.get_or_init(|| 8), &7);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct PerProcess<T> {
    page: WipedPage,
    /// Which one it is, in this process and in its children.
    id: u64,
    owns: PhantomData<Generation<T>>,
}

/// What one process keeps.
struct Generation<T> {
    value: T,
    /// Which one it is; no two generations of one process have the same.
    number: u64,
    /// What the bindings of this generation point to, by its address.
    kept: Mutex<HashMap<usize, Arc<dyn Any + Send + Sync>>>,
}

impl<T> Generation<T> {
    fn keep(&self, kept: Arc<dyn Any + Send + Sync>) {
        let address = Arc::as_ptr(&kept).cast::<()>() as usize;
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(address).or_insert(kept);
    }
}

/// The number of the next generation or owner. A child goes on from its parent's, so that none of its own
/// is one that a binding of its parent's remembers.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl<T: Send + Sync> PerProcess<T> {
    /// One that holds nothing in any process yet.
    ///
    /// # Errors
    ///
    /// When the operating system has no page to give.
    pub fn new() -> io::Result<PerProcess<T>> {
        Ok(PerProcess {
            page: WipedPage::new()?,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            owns: PhantomData,
        })
    }

    /// What this process keeps; `None` before [`PerProcess::get_or_init`].
    pub fn get(&self) -> Option<&T> {
        self.generation().map(|generation| &generation.value)
    }

    /// What this process keeps, made by `init` if it keeps nothing yet.
    ///
    /// Of several threads one calls `init`, which must not panic; the others wait for it.
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        loop {
            if let Some(generation) = self.generation() {
                return &generation.value;
            }
            // Relaxed: what the one that claims does is seen through the pointer.
            let claim =
                self.page
                    .claim()
                    .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
            if claim.is_ok() {
                break;
            }
            std::thread::yield_now();
        }
        // Before there is anything of this process's own that it could mistake for its parent's.
        #[cfg(target_os = "linux")]
        self.page.close_inherited();
        let fresh = Box::into_raw(Box::new(Generation {
            value: init(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            kept: Mutex::new(HashMap::new()),
        }));
        // SYNC POINT: generation. Partner: the acquire load in `generation`.
        self.page.pointer().store(fresh.cast(), Ordering::Release);
        let generation = self
            .generation()
            .expect("this thread has just set it, and nothing takes it back");
        // SYNC POINT: number. Partner: the acquire loads in `Binding::cells` and `Kept::get`.
        self.page
            .number()
            .store(generation.number, Ordering::Release);
        &generation.value
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn page(&self) -> &WipedPage {
        &self.page
    }

    #[inline]
    fn generation(&self) -> Option<&Generation<T>> {
        // SYNC POINT: generation. Partner: the store in `get_or_init`.
        let pointer = self.page.pointer().load(Ordering::Acquire);
        // SAFETY: the word is null, or what `get_or_init` of this very `PerProcess` has put there in
        // this process: a box that is freed only when `self` is dropped, which its borrow forbids.
        // A parent's pointer is never seen: the fork wiped it.
        unsafe { pointer.cast::<Generation<T>>().as_ref() }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        // What the value below closes is not to be closed in a child that is forked after that.
        #[cfg(target_os = "linux")]
        self.page.keep_in_child();
        let pointer = self.page.pointer().swap(ptr::null_mut(), Ordering::AcqRel);
        if !pointer.is_null() {
            // SAFETY: as in `generation`; `self` is borrowed by nobody, so neither is the box.
            drop(unsafe { Box::from_raw(pointer.cast::<Generation<T>>()) });
        }
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

/// A value that belongs to one holder in each process: made on first use, and made anew in a
/// forked child.
pub struct Kept<V> {
    owner: Owner,
    generation: AtomicU64,
    value: AtomicPtr<V>,
}

impl<V: Default + Send + Sync + 'static> Kept<V> {
    /// One that holds nothing in any process yet.
    pub fn new() -> Kept<V> {
        Kept {
            owner: Owner(AtomicU64::new(0)),
            generation: AtomicU64::new(0),
            value: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The value of this process; `None` where `process` keeps nothing, or this has no value yet.
    #[inline]
    pub fn get<'a, T: Send + Sync>(&'a self, process: &'a PerProcess<T>) -> Option<&'a V> {
        // SYNC POINT: number. Partner: the store in `get_or_init`.
        let current = process.page.number().load(Ordering::Acquire);
        // SYNC POINT: kept. Partner: the store in `Kept::make`.
        if current == 0 || self.generation.load(Ordering::Acquire) != current {
            return None;
        }
        // SYNC POINT: value. Partner: the store in `make`, which another thread may just repeat.
        let value = self.value.load(Ordering::Acquire);
        // SAFETY: the numbers agree, so `make` has stored a pointer into an `Arc` that it gave the
        // generation to keep. No other generation of this process has the number, so it is
        // `process`'s, and lives as long as that is borrowed.
        unsafe { value.as_ref() }
    }

    /// Makes the value of this process, if it has none. Of two threads that do so at a time, one may
    /// get a value that later calls do not find.
    ///
    /// # Panics
    ///
    /// When `process` keeps nothing yet, or is not the one of the first call.
    pub fn make<'a, T: Send + Sync>(&'a self, process: &'a PerProcess<T>) -> &'a V {
        self.owner.claim(process.id);
        if self.get(process).is_none() {
            let generation = process
                .generation()
                .expect("a process that makes keeps something");
            let value = Arc::new(V::default());
            // SYNC POINT: value. Partner: the load in `get`.
            self.value
                .store(Arc::as_ptr(&value).cast_mut(), Ordering::Release);
            generation.keep(value);
            // SYNC POINT: kept. Partner: the load in `get`.
            self.generation.store(generation.number, Ordering::Release);
        }
        self.get(process).expect("it has just been made")
    }
}

impl<V: Default + Send + Sync + 'static> Default for Kept<V> {
    fn default() -> Kept<V> {
        Kept::new()
    }
}

impl<V> fmt::Debug for Kept<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// A list that only grows, and that a forked child finds as it was at the fork.
///
/// Adding is one atomic exchange, so no fork comes in between; what another thread was adding at
/// that instant is in the child's list or not.
pub struct PushList<T> {
    head: AtomicPtr<Node<T>>,
}

struct Node<T> {
    value: T,
    next: *const Node<T>,
}

impl<T: Send + Sync> PushList<T> {
    /// An empty list.
    pub fn new() -> PushList<T> {
        PushList {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Adds `value` in front of all others.
    pub fn push(&self, value: T) {
        let node = Box::into_raw(Box::new(Node {
            value,
            next: ptr::null(),
        }));
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // SAFETY: `node` came from a box above and is not in the list yet, so nobody else
            // reads it.
            unsafe { (*node).next = head };
            // SYNC POINT: list. Partner: the load in `iter`.
            let outcome =
                self.head
                    .compare_exchange(head, node, Ordering::AcqRel, Ordering::Acquire);
            match outcome {
                Ok(_) => return,
                Err(newer) => head = newer,
            }
        }
    }

    /// The values, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        // SYNC POINT: list. Partner: the exchange in `push`.
        let mut node = self.head.load(Ordering::Acquire).cast_const();
        std::iter::from_fn(move || {
            // SAFETY: the pointer is null or a node of this list, which lives as long as the list
            // does, and which nobody changes any more.
            let current: &Node<T> = unsafe { node.as_ref() }?;
            node = current.next;
            Some(&current.value)
        })
    }
}

impl<T: Send + Sync> Default for PushList<T> {
    fn default() -> PushList<T> {
        PushList::new()
    }
}

impl<T> Drop for PushList<T> {
    fn drop(&mut self) {
        let mut node = *self.head.get_mut();
        while !node.is_null() {
            // SAFETY: each node came from a box, is in the list once, and `self` is borrowed by
            // nobody, so neither is the node.
            let owned = unsafe { Box::from_raw(node) };
            node = owned.next.cast_mut();
        }
    }
}

impl<T> fmt::Debug for PushList<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PushList").finish_non_exhaustive()
    }
}

/// Which [`PerProcess`] a binding or a kept value belongs to: the first that it was used with. Two
/// would each change what the other has lent out.
#[derive(Debug)]
struct Owner(AtomicU64);

impl Owner {
    fn claim(&self, id: u64) {
        let owner = self
            .0
            .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed);
        let owner = owner.unwrap_or_else(|owner| owner);
        assert!(
            owner == 0 || owner == id,
            "it belongs to another process state"
        );
    }
}

/// A handle's way to its cells, remembered for the process that found it.
#[derive(Debug)]
pub struct Binding {
    owner: Owner,
    /// The generation that the pointer belongs to; zero for none.
    generation: AtomicU64,
    first: AtomicPtr<AtomicU64>,
    count: usize,
}

impl Binding {
    /// One that leads nowhere yet, to `count` cells.
    pub fn new(count: usize) -> Binding {
        Binding {
            owner: Owner(AtomicU64::new(0)),
            generation: AtomicU64::new(0),
            first: AtomicPtr::new(ptr::null_mut()),
            count,
        }
    }

    /// The cells; `None` in a process that has not bound them, a forked child above all.
    #[inline]
    pub fn cells<'a, T: Send + Sync>(
        &'a self,
        process: &'a PerProcess<T>,
    ) -> Option<&'a [AtomicU64]> {
        // SYNC POINT: number. Partner: the store in `get_or_init`.
        let current = process.page.number().load(Ordering::Acquire);
        // SYNC POINT: binding. Partner: the store in `bind`.
        if current == 0 || self.generation.load(Ordering::Acquire) != current {
            return None;
        }
        // SYNC POINT: first. Partner: the store in `bind`, which another thread may just repeat.
        let first = self.first.load(Ordering::Acquire);
        // SAFETY: the numbers agree, so `bind` has stored a pointer to `count` cells of a memory
        // that it gave the generation to keep. No other generation of this process has the number,
        // so it is `process`'s, and lives as long as that is borrowed.
        Some(unsafe { slice::from_raw_parts(first, self.count) })
    }

    /// Remembers the cells `offset` bytes into `memory`, which `process` then keeps.
    ///
    /// # Panics
    ///
    /// When they do not lie inside `memory`, or `process` keeps nothing yet, or is not the one of
    /// the first call.
    pub fn bind<T: Send + Sync>(
        &self,
        process: &PerProcess<T>,
        memory: &Arc<CellMemory>,
        offset: u64,
    ) {
        self.owner.claim(process.id);
        let generation = process
            .generation()
            .expect("a process that binds keeps something");
        let first = memory.cells(offset, self.count).as_ptr().cast_mut();
        generation.keep(Arc::clone(memory) as Arc<dyn Any + Send + Sync>);
        // SYNC POINT: first. Partner: the load in `cells`.
        self.first.store(first, Ordering::Release);
        // SYNC POINT: binding. Partner: the load of `generation` in `cells`.
        self.generation.store(generation.number, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_leads_to_its_cells_and_to_those_of_no_other_process_state() {
        let (one, two) = (PerProcess::new().unwrap(), PerProcess::new().unwrap());
        one.get_or_init(|| ());
        two.get_or_init(|| ());
        let memory = Arc::new(CellMemory::private(8));
        let binding = Binding::new(2);
        assert!(binding.cells(&one).is_none());
        binding.bind(&one, &memory, 16);
        binding.cells(&one).unwrap()[1].store(5, Ordering::Relaxed);
        assert_eq!(memory.cells(24, 1)[0].load(Ordering::Relaxed), 5);
        assert!(binding.cells(&two).is_none());
    }

    #[test]
    fn a_list_keeps_what_many_threads_add() {
        let list = PushList::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let list = &list;
                scope.spawn(move || (0..100).for_each(|item| list.push(thread * 100 + item)));
            }
        });
        let mut items: Vec<i32> = list.iter().copied().collect();
        items.sort_unstable();
        assert_eq!(items, (0..400).collect::<Vec<_>>());
    }

    #[test]
    fn a_kept_value_belongs_to_the_process_state_that_made_it() {
        let (one, two) = (PerProcess::new().unwrap(), PerProcess::new().unwrap());
        one.get_or_init(|| ());
        two.get_or_init(|| ());
        let kept: Kept<Mutex<i32>> = Kept::new();
        assert!(kept.get(&one).is_none());
        *kept.make(&one).lock().unwrap() = 5;
        assert_eq!(*kept.make(&one).lock().unwrap(), 5);
        assert!(kept.get(&two).is_none());
    }

    #[test]
    fn cells_outlive_the_one_who_made_them_as_long_as_they_are_bound() {
        let process = PerProcess::new().unwrap();
        process.get_or_init(|| ());
        let binding = Binding::new(1);
        let memory = Arc::new(CellMemory::private(1));
        binding.bind(&process, &memory, 0);
        let weak = Arc::downgrade(&memory);
        drop(memory);
        assert!(weak.upgrade().is_some());
        drop(process);
        assert!(weak.upgrade().is_none());
    }
}
