//! The allocator of the `hull` command.
//!
//! The C library's asks the kernel for pages and gives them back some forty times in a `run`. A
//! command lives for milliseconds and needs a few hundred kilobytes, so this one hands out pieces
//! of an arena that starts in the binary's own zeroed memory; freed pieces are kept by size and
//! handed out again, which bounds what a long-lived command (`run` in the foreground, `events`)
//! uses. Large blocks are the C library's business.
#![allow(unsafe_code, reason = "an allocator deals in raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};

/// What the binary brings along: enough for nearly every command. Pages that are not touched cost
/// nothing.
const FIRST: usize = 192 << 10;
/// How much is asked of the kernel when that is used up.
const CHUNK: usize = 256 << 10;
/// Pieces have sizes of 16 << class bytes; the largest is 64 KiB.
const CLASSES: usize = 13;
const SMALLEST: usize = 16;
const LARGEST: usize = SMALLEST << (CLASSES - 1);

/// The allocator. One for a process, which must have one thread.
pub struct Arena(UnsafeCell<State>);

#[repr(align(16))]
struct First(UnsafeCell<[u8; FIRST]>);

// SAFETY: Hull has one thread from `main` to `execve`; see the crate's documentation.
unsafe impl Sync for First {}

static FIRST_CHUNK: First = First(UnsafeCell::new([0; FIRST]));

struct State {
    /// The next free byte of the current chunk and its end; both 0 before the first allocation.
    next: usize,
    end: usize,
    /// Freed pieces of each class, linked through their first word.
    free: [Option<NonNull<Link>>; CLASSES],
}

struct Link(Option<NonNull<Link>>);

// SAFETY: Hull has one thread from `main` to `execve`; the tests, which have more, don't use it.
unsafe impl Sync for Arena {}

impl Arena {
    /// An allocator that has handed out nothing yet.
    #[allow(clippy::new_without_default, reason = "const, for a static")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(State { next: 0, end: 0, free: [None; CLASSES] }))
    }
}

/// The class of the pieces that fit `layout`; none for those that are left to the C library.
#[inline]
fn class(layout: Layout) -> Option<usize> {
    // Pieces are aligned to 16 bytes, whatever their size.
    if layout.size() > LARGEST || layout.align() > SMALLEST {
        return None;
    }
    // 0 for up to 16 bytes, 1 for up to 32, and so on.
    let above = layout.size().saturating_sub(1) / SMALLEST;
    Some((usize::BITS - above.leading_zeros()) as usize)
}

impl State {
    fn take(&mut self, class: usize) -> *mut u8 {
        if let Some(slot) = self.free.get_mut(class)
            && let Some(piece) = *slot
        {
            // SAFETY: only `give` puts pieces there, after it has written their link.
            *slot = unsafe { piece.as_ref() }.0;
            return piece.as_ptr().cast();
        }
        let size = SMALLEST << class;
        if self.end - self.next < size && !self.grow() {
            return null_mut();
        }
        let piece = self.next;
        self.next += size;
        piece as *mut u8
    }

    /// A further chunk; what was left of the last one is lost.
    fn grow(&mut self) -> bool {
        if self.end == 0 {
            self.next = FIRST_CHUNK.0.get() as usize;
            self.end = self.next + FIRST;
            return true;
        }
        let Ok(layout) = Layout::from_size_align(CHUNK, SMALLEST) else { return false };
        // SAFETY: the size is not zero.
        let chunk = unsafe { System.alloc(layout) } as usize;
        if chunk != 0 {
            (self.next, self.end) = (chunk, chunk + CHUNK);
        }
        chunk != 0
    }

    fn give(&mut self, piece: *mut u8, class: usize) {
        let (Some(slot), Some(piece)) = (self.free.get_mut(class), NonNull::new(piece.cast()))
        else {
            return;
        };
        // SAFETY: the piece is at least 16 bytes, aligned to 16, and nobody uses it any more.
        unsafe { piece.write(Link(*slot)) };
        *slot = Some(piece);
    }
}

// Not inlined: there are thousands of callers.
//
// SAFETY: `take` hands out each byte of a chunk to one piece at a time, aligned to 16 bytes and as
// large as its class; what has no class goes to the C library, both ways by the same layout.
unsafe impl GlobalAlloc for Arena {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            // SAFETY: one thread, and no reference to the state outlives a call.
            Some(class) => unsafe { &mut *self.0.get() }.take(class),
            // SAFETY: the caller's layout.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match class(layout) {
            // SAFETY: as above; the piece came from `take` of the same class.
            Some(class) => unsafe { &mut *self.0.get() }.give(piece, class),
            // SAFETY: it came from the C library.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        match (class(layout), class(wanted)) {
            (Some(old), Some(new)) if old == new => piece,
            // SAFETY: the C library's before and after.
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            _ => {
                // SAFETY: the caller's size is not zero.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: two live pieces, each at least the smaller of the two sizes.
                    unsafe {
                        std::ptr::copy_nonoverlapping(piece, moved, layout.size().min(size));
                        self.dealloc(piece, layout);
                    }
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let of = |size, align| class(Layout::from_size_align(size, align).unwrap());
        assert_eq!(of(1, 1), Some(0));
        assert_eq!(of(16, 8), Some(0));
        assert_eq!(of(17, 8), Some(1));
        assert_eq!(of(64 << 10, 8), Some(12));
        assert_eq!(of((64 << 10) + 1, 8), None);
        assert_eq!(of(64, 64), None);
    }

    #[test]
    fn pieces_are_apart_come_back_and_keep_their_content() {
        // Its chunks are kept for good, as the runtime's are.
        static ARENA: Arena = Arena::new();
        let arena = &ARENA;
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: each piece is used by its own layout, and this test alone uses the arena.
        unsafe {
            let one = arena.alloc(layout(40));
            let two = arena.alloc(layout(40));
            assert!(two as usize - one as usize >= 40);
            one.write_bytes(7, 40);
            let grown = arena.realloc(one, layout(40), 200);
            assert_eq!(std::slice::from_raw_parts(grown, 40), [7; 40]);
            assert_eq!(arena.alloc(layout(33)), one, "freed pieces are handed out again");
            let mut large = arena.realloc(grown, layout(200), 1 << 20);
            assert_eq!(std::slice::from_raw_parts(large, 40), [7; 40]);
            large = arena.realloc(large, layout(1 << 20), 100);
            assert_eq!(std::slice::from_raw_parts(large, 40), [7; 40]);
            arena.dealloc(large, layout(100));
            arena.dealloc(one, layout(33));
            let pieces = [0; 100].map(|_| arena.alloc(layout(5000)));
            assert!(pieces.iter().all(|piece| !piece.is_null()), "more chunks than one");
            for piece in pieces {
                arena.dealloc(piece, layout(5000));
            }
            assert_eq!(arena.alloc(layout(5000)), pieces[99], "the last one comes first");
            arena.dealloc(pieces[99], layout(5000));
        }
    }
}
