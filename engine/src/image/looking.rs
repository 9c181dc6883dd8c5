//! Where this thread is looking: whoever looks at the same from inside would wait for itself.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::sync::Arc;

/// What is said to who looks at a replica from inside a look at it.
pub(super) const LOOKING: &str = "a replica cannot be asked from inside a look at it, which would wait for \
                                  itself: leave that first";

thread_local! {
    static HERE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// This thread is looking at something, until this is dropped.
pub(crate) struct Looking {
    at: usize,
    /// It belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl Looking {
    /// It begins to look at what has this address; `None` if it does so already.
    pub(crate) fn begin(at: usize) -> Option<Self> {
        if Self::is_at(at) {
            return None;
        }
        // Where it cannot be noted, since the thread is ending, it is looked at all the same.
        let _ = HERE.try_with(|all| all.try_borrow_mut().map(|mut all| all.push(at)));
        Some(Self { at, _here: PhantomData })
    }

    /// Whether this thread is looking at it.
    pub(crate) fn is_at(at: usize) -> bool {
        let known = |all: &RefCell<Vec<usize>>| all.try_borrow().is_ok_and(|all| all.contains(&at));
        HERE.try_with(known).unwrap_or(false)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let _ = HERE.try_with(|all| {
            let mut all = all.try_borrow_mut().ok()?;
            let at = all.iter().rposition(|one| *one == self.at)?;
            Some(all.swap_remove(at))
        });
    }
}

/// What stands for something that is shared, as long as it is there.
pub(crate) fn address<T>(of: &Arc<T>) -> usize {
    Arc::as_ptr(of).addr()
}
