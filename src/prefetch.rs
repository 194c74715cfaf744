//! Asks for memory before it is read.
//!
//! Rows and keys that records name are spread over all of memory, and reading one waits a hundred
//! nanoseconds for it. Where many are to be read, all are asked for before any is read, so that they are
//! waited for together. It is a hint: it changes no value, and where a processor has no such instruction,
//! nothing.

use triomphe::Arc;

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Bytes that an `Arc` counts its readers in.
const COUNT_BYTES: usize = size_of::<usize>();

/// Asks for all cache lines of a value.
#[inline(always)]
pub fn prefetch_all<T: ?Sized>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    let bytes = size_of_val(value);
    (0..bytes).step_by(LINE_BYTES).for_each(|at| ask(start.wrapping_add(at)));
    // It may begin in the middle of a line, and end in one more.
    ask(start.wrapping_add(bytes.saturating_sub(1)));
}

/// Asks for all cache lines of a value that is shared, and of the count of its readers before it.
#[inline(always)]
pub fn prefetch_shared<T>(value: &Arc<T>) {
    ask(Arc::as_ptr(value).cast::<u8>().wrapping_sub(COUNT_BYTES));
    prefetch_all(&**value);
}

/// Asks for the cache line that a value begins in.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    ask(std::ptr::from_ref(value).cast());
}

#[inline(always)]
fn ask(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
