//! Whether this process is a forked child of the one that opened the log.
//!
//! A child has the same mapping, the same lock and no background threads: if it wrote, two
//! writers would be at work. On Linux the kernel clears a page of ours in the child
//! (`MADV_WIPEONFORK`), so asking costs one load; elsewhere the process number is compared.

use std::io;

use memmap2::MmapMut;

/// Knows the process that it was made in.
#[derive(Debug)]
pub(crate) struct ForkGuard {
    #[cfg(target_os = "linux")]
    page: MmapMut,
    #[cfg(not(target_os = "linux"))]
    pid: u32,
}

#[cfg(target_os = "linux")]
const HERE: u8 = 0xA5;

#[cfg(target_os = "linux")]
impl ForkGuard {
    pub(crate) fn new() -> io::Result<Self> {
        let mut page = MmapMut::map_anon(rustix::param::page_size())?;
        page[0] = HERE;
        // SAFETY: the range is a private anonymous mapping of our own, whole pages of it; the
        // advice changes nothing in this process, only what a child gets.
        unsafe {
            rustix::mm::madvise(
                page.as_mut_ptr().cast(),
                page.len(),
                rustix::mm::Advice::LinuxWipeOnFork,
            )
        }?;
        Ok(Self { page })
    }

    /// Whether this is another process than the one that made this.
    #[inline]
    pub(crate) fn is_child(&self) -> bool {
        // SAFETY: a valid byte of our own mapping. Volatile, since the kernel may have cleared it
        // behind the compiler's back; never while this process runs.
        unsafe { std::ptr::read_volatile(self.page.as_ptr()) != HERE }
    }
}

#[cfg(not(target_os = "linux"))]
impl ForkGuard {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { pid: std::process::id() })
    }

    /// Whether this is another process than the one that made this.
    pub(crate) fn is_child(&self) -> bool {
        self.pid != std::process::id()
    }
}
