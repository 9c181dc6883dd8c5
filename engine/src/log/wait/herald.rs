//! The thread that wakes sleepers where there are many, so that the publisher wakes one at most.

use std::io;
use std::thread::JoinHandle;

use super::list::WaitList;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Wakes everybody on a list, whenever it is rung for.
#[derive(Debug)]
pub(crate) struct Herald {
    office: Arc<Office>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread sees.
#[derive(Debug)]
pub(crate) struct Office {
    list: Arc<WaitList>,
    stop: AtomicBool,
}

impl Office {
    pub(crate) fn new(list: &Arc<WaitList>) -> Self {
        list.set_heralded(true);
        Self { list: Arc::clone(list), stop: AtomicBool::new(false) }
    }

    /// The thread.
    pub(crate) fn run(&self) {
        loop {
            self.list.herald().wait(None);
            // Before the waking: whoever rang before the end is heard.
            let stop = self.stop.load(Ordering::Acquire);
            self.list.wake_all();
            if stop {
                return;
            }
        }
    }

    /// Ends the thread, once it has woken everybody.
    pub(crate) fn stop(&self) {
        self.list.set_heralded(false);
        self.stop.store(true, Ordering::Release);
        self.list.herald().notify();
    }
}

impl Herald {
    pub(crate) fn start(list: &Arc<WaitList>) -> io::Result<Self> {
        let office = Arc::new(Office::new(list));
        let inside = Arc::clone(&office);
        let thread = std::thread::Builder::new().name("factlog-herald".into()).spawn(move || {
            inside.run();
        });
        let thread = thread.inspect_err(|_| list.set_heralded(false))?;
        Ok(Self { office, thread: Some(thread) })
    }

    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.office.stop();
        drop(thread.join());
        // Whoever rang for a herald that was gone.
        self.office.list.wake_all();
    }

    /// In a forked child the thread does not exist: nothing to end.
    pub(crate) fn forget(&mut self) {
        self.thread = None;
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.stop();
    }
}
