//! What `strace -f` has seen, by thread and work.

use std::collections::BTreeMap;

/// How often each call was made.
pub(crate) type Calls = BTreeMap<String, u64>;

/// The call that a thread makes before and after each of its works.
pub(crate) const MARK: &str = "getppid";

/// The works of a thread, one behind the other; and which of them may not call at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Works {
    pub(crate) thread: &'static str,
    pub(crate) works: &'static [(&'static str, bool)],
}

/// All calls, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    /// Thread and call.
    calls: Vec<(u32, &'a str)>,
    /// Threads that gave themselves a name.
    names: BTreeMap<u32, &'a str>,
}

impl<'a> Trace<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        let (mut calls, mut names) = (Vec::new(), BTreeMap::new());
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let Ok(thread) = thread.parse() else { continue };
            // The end of a call that was begun above begins with `<...`, an exit with `+++`.
            let Some((call, words)) = rest.trim_start().split_once('(') else { continue };
            if !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                continue;
            }
            calls.push((thread, call));
            let named = words.strip_prefix("PR_SET_NAME, \"");
            if let Some((name, _)) = named.and_then(|rest| rest.split_once('"')) {
                names.insert(thread, name);
            }
        }
        Self { calls, names }
    }

    /// The calls of the thread of that name from each mark to the next.
    pub(crate) fn between_marks(&self, name: &str) -> Vec<Calls> {
        let own = |thread: &u32| self.names.get(thread) == Some(&name);
        let calls: Vec<_> = self.calls.iter().filter(|(thread, _)| own(thread)).collect();
        let parts: Vec<_> = calls.split(|(_, call)| *call == MARK).collect();
        // What is before the first mark and behind the last one is no work.
        let works = parts.get(1..parts.len().saturating_sub(1)).unwrap_or(&[]);
        works.iter().map(|calls| count(calls.iter().map(|(_, call)| *call))).collect()
    }

    /// What all other threads called between the first mark and the last one.
    pub(crate) fn others(&self, works: &[Works]) -> BTreeMap<String, Calls> {
        let is_mark = |(_, call): &(u32, &str)| *call == MARK;
        let first = self.calls.iter().position(is_mark).unwrap_or(0);
        let last = self.calls.iter().rposition(is_mark).unwrap_or(0);
        let mut found = BTreeMap::<String, Vec<&str>>::new();
        for (thread, call) in &self.calls[first..last] {
            let name = self.names.get(thread).copied().unwrap_or("main");
            if !works.iter().any(|works| works.thread == name) {
                found.entry(name.to_owned()).or_default().push(call);
            }
        }
        found.into_iter().map(|(name, calls)| (name, count(calls.into_iter()))).collect()
    }
}

fn count<'a>(calls: impl Iterator<Item = &'a str>) -> Calls {
    let mut found = Calls::new();
    for call in calls {
        *found.entry(call.to_owned()).or_default() += 1;
    }
    found
}

/// In one line, the most frequent first.
pub(crate) fn list(calls: &Calls) -> String {
    let mut calls: Vec<_> = calls.iter().collect();
    calls.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    let calls: Vec<_> = calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
    calls.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
7 execve(\"x\", [\"x\"], 0x7 /* 1 var */) = 0
8 prctl(PR_SET_NAME, \"writes\") = 0
9 prctl(PR_SET_NAME, \"tends\") = 0
8 openat(AT_FDCWD, \"a(b\", O_RDONLY) = 3
8 getppid() = 1
9 futex(0x1, FUTEX_WAIT <unfinished ...>
8 getppid( <unfinished ...>
9 <... futex resumed>) = 0
8 <... getppid resumed>) = 1
8 write(3, \"getppid()\", 9) = 9
8 write(3, \"\", 0) = 0
8 close(3) = 0
8 getppid() = 1
7 exit_group(0) = ?
8 +++ exited with 0 +++
";

    #[test]
    fn are_calls_counted_from_mark_to_mark() {
        let trace = Trace::read(TEXT);
        let works = trace.between_marks("writes");
        assert_eq!(works.iter().map(list).collect::<Vec<_>>(), ["", "write 2, close 1"]);
        assert!(trace.between_marks("reads").is_empty());
    }

    #[test]
    fn are_other_threads_counted_meanwhile() {
        let works = [Works { thread: "writes", works: &[] }];
        let others = Trace::read(TEXT).others(&works);
        let others: Vec<_> = others.iter().map(|(name, calls)| (&**name, list(calls))).collect();
        assert_eq!(others, [("tends", "futex 1".to_owned())]);
    }
}
