//! What every target holds beside its own properties: how much memory a call may take.
//!
//! Each allocation of Rust code is counted; what the cipher library allocates by itself is not, and is small.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts the bytes that live, and the most that did.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grow(by: usize) {
    let live = LIVE.fetch_add(by, Ordering::Relaxed) + by;
    MOST.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: everything is the system allocator's; the counts decide nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a call may take at once, in bytes: so much for any input, and so many times the input.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    fixed: usize,
    times: usize,
}

impl Room {
    /// What strangers send. An element of XML is 4 bytes of text and 80 of tree, but a document has 4096 of them at most.
    pub const PROTOCOL: Self = Self { fixed: 512 << 10, times: 12 };
    /// What a disk gives back: an index has rooms for its shards before anything is in it.
    pub const STORE: Self = Self { fixed: 4 << 20, times: 16 };
    /// What operators write. Parsers of texts for people keep trees, and a problem repeats its line.
    pub const TEXTS: Self = Self { fixed: 32 << 20, times: 1024 };
}

/// Runs `door`, and panics if it took more than `room`, or kept anything.
pub fn within(room: Room, data: &[u8], door: impl Fn(&[u8])) {
    /// Statics are made in the first call of all, and belong to none.
    static IS_WARM: AtomicBool = AtomicBool::new(false);
    if !IS_WARM.swap(true, Ordering::Relaxed) {
        door(data);
    }
    let before = LIVE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    door(data);
    let took = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let most = room.fixed + room.times * data.len();
    assert!(took <= most, "{took} bytes of memory for {} of input; {most} are allowed", data.len());
}
