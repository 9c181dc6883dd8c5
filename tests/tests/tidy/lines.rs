//! How long files are, and what must not be left over in their lines.

use super::scrub::{code, without_tests};
use super::{File, assert_none, repository};

/// Files should stay below this many lines,
const AIM: usize = 400;
/// and must stay below this many.
const STOP: usize = 600;

/// Words that say that something is not done. Put together here, so that this file has none.
const UNDONE: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Code that must not be left over.
const CODE: [&str; 4] = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Other paths than those of the repository. Put together for the same reason.
const LOCAL: [&str; 5] = [
    concat!("/wor", "k/"),
    concat!("/tm", "p/"),
    concat!("../sha", "red"),
    concat!("/hom", "e/"),
    concat!("/roo", "t/"),
];

/// What of `std::sync` production code of the engine may name outside `sync.rs`, and why.
const STD_SYNC: [(&str, &str, &str); 0] = [];

fn too_long(files: &[File], limit: usize) -> Vec<String> {
    let lengths =
        files.iter().filter(|file| file.is_rust()).map(|file| (file, file.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > limit);
    long.map(|(file, lines)| format!("{}: {lines} lines", file.path)).collect()
}

/// Lines of `text` for which `wrong` holds, as places.
fn lines_with(file: &File, text: &str, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = text.lines().zip(1..).filter(|(line, _)| wrong(line));
    lines.map(|(line, number)| format!("{}:{number}: {}", file.path, line.trim())).collect()
}

fn leftovers(file: &File) -> Vec<String> {
    let is_word = |line: &str, word: &str| {
        line.split(|letter: char| !letter.is_alphanumeric()).any(|part| part == word)
    };
    let mut found =
        lines_with(file, &file.text, |line| UNDONE.iter().any(|word| is_word(line, word)));
    if file.is_rust() {
        let left = |line: &str| CODE.iter().any(|code| line.contains(code));
        found.extend(lines_with(file, &code(&file.text), left));
    }
    found
}

/// `allow` without a reason. In quoted tokens, which are the macros' output, a comment will do.
fn unreasoned(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let code = code(&file.text);
    let mut found = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let allows = line.contains("[allow(") || line.contains("[expect(");
        let attribute = lines[at..].iter().take(6).copied().collect::<String>();
        let attribute = attribute.split(")]").next().unwrap_or("");
        if allows && line.contains("dead_code") && !attribute.contains("reason = ") {
            found.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
        }
    }
    found
}

fn production(file: &File) -> bool {
    let roots = ["engine/src/", "codec/src/", "codec/derive/src/"];
    file.is_rust() && roots.iter().any(|root| file.path.starts_with(root))
}

fn unwraps(file: &File) -> Vec<String> {
    let code = without_tests(&code(&file.text));
    lines_with(file, &code, |line| line.contains(".unwrap()"))
}

/// Synchronization that loom would not see.
fn past_sync(file: &File) -> Vec<String> {
    if !file.path.starts_with("engine/src/") || file.path.starts_with("engine/src/sync") {
        return Vec::new();
    }
    let code = without_tests(&code(&file.text));
    let allowed = |line: &str| {
        let rest = STD_SYNC
            .iter()
            .filter(|(path, ..)| *path == file.path)
            .fold(line.to_owned(), |line, (_, what, _)| line.replace(&format!("{what};"), ""));
        !rest.contains("std::sync") && !rest.contains("core::sync")
    };
    lines_with(file, &code, |line| !allowed(line))
}

fn local_paths(file: &File) -> Vec<String> {
    lines_with(file, &file.text, |line| LOCAL.iter().any(|path| line.contains(path)))
}

fn in_all(rule: fn(&File) -> Vec<String>) -> Vec<String> {
    repository().iter().flat_map(rule).collect()
}

#[test]
fn is_no_file_too_long() {
    let files = repository();
    for file in too_long(&files, AIM) {
        println!("longer than it should be: {file}");
    }
    assert_none("files that are too long", &too_long(&files, STOP));
}

#[test]
fn is_nothing_left_over() {
    assert_none("left over", &in_all(leftovers));
    assert_none("dead code that is allowed without a reason", &in_all(unreasoned));
}

#[test]
fn is_there_no_unwrap_in_production() {
    let files: Vec<_> = repository().into_iter().filter(production).collect();
    assert!(files.len() > 50, "only {} files", files.len());
    assert_none("unwrap", &files.iter().flat_map(unwraps).collect::<Vec<_>>());
}

#[test]
fn does_only_one_file_name_std_sync() {
    assert_none("std::sync outside sync.rs", &in_all(past_sync));
    let files = repository();
    let idle = STD_SYNC.iter().filter(|(path, what, _)| {
        !files.iter().any(|file| file.path == *path && file.text.contains(what))
    });
    let idle: Vec<_> = idle.map(|(path, what, why)| format!("{path} {what}: {why}")).collect();
    assert_none("exceptions that are not used", &idle);
}

#[test]
fn does_nothing_name_paths_of_a_machine() {
    assert_none("local paths", &in_all(local_paths));
}

#[test]
fn is_a_file_that_is_too_long_found() {
    let of = |lines: usize| File::new("a.rs", &"x\n".repeat(lines));
    assert!(too_long(&[of(STOP)], STOP).is_empty());
    assert_eq!(too_long(&[of(STOP + 1)], STOP), ["a.rs: 601 lines"]);
}

#[test]
fn is_what_is_left_over_found() {
    for word in UNDONE {
        assert_eq!(leftovers(&File::new("a.md", &format!("a {word}: b"))).len(), 1);
        assert!(leftovers(&File::new("a.md", &format!("a{word}b"))).is_empty());
    }
    for code in CODE {
        assert_eq!(leftovers(&File::new("a.rs", &format!("fn f() {{ {code}x) }}"))).len(), 1);
        assert!(leftovers(&File::new("a.rs", &format!("// {code}"))).is_empty());
    }
    let allow = |text: &str| unreasoned(&File::new("a.rs", text)).len();
    assert_eq!(allow("#[allow(dead_code)]\nfn f() {}\n"), 1);
    assert_eq!(allow("#![allow(unused, dead_code)]\nmod a; // reason = \"no\"\n"), 1);
    assert_eq!(allow("#[allow(dead_code, reason = \"used by others\")]\nfn f() {}\n"), 0);
}

#[test]
fn is_an_unwrap_found() {
    let of = |text: &str| unwraps(&File::new("codec/src/a.rs", text)).len();
    assert_eq!(of("fn f() { g().unwrap() }\n"), 1);
    assert_eq!(of("// g().unwrap()\n#[cfg(test)]\nmod tests {\n    x.unwrap();\n}\n"), 0);
    assert!(production(&File::new("engine/src/log/a.rs", "")));
    assert!(!production(&File::new("engine/examples/a.rs", "")));
}

#[test]
fn is_std_sync_found() {
    let of = |path: &str, text: &str| past_sync(&File::new(path, text)).len();
    assert_eq!(of("engine/src/log/a.rs", "use std::sync::Mutex;\n"), 1);
    assert_eq!(of("engine/src/log/a.rs", "x(core::sync::atomic::fence());\n"), 1);
    assert_eq!(of("engine/src/log/error.rs", "use std::sync::Arc;\nuse std::sync::Mutex;\n"), 2);
    assert_eq!(of("engine/src/sync.rs", "use std::sync::Mutex;\n"), 0);
}

#[test]
fn is_a_local_path_found() {
    for path in LOCAL {
        assert_eq!(local_paths(&File::new("README.md", &format!("see {path}x"))).len(), 1);
    }
    assert!(local_paths(&File::new("README.md", "see /var/lib/x and codec/src")).is_empty());
}
