//! What Cargo.lock may have: crates of crates.io, and none of versions that are known to be unsafe.

use super::{File, assert_none, repository};

/// Least versions; below them are advisories about the safety of memory.
const LEAST: [(&str, [u64; 3]); 4] = [
    ("rkyv", [0, 8, 18]),
    ("memmap2", [0, 9, 11]),
    ("crossbeam-channel", [0, 5, 15]),
    ("crossbeam-epoch", [0, 9, 20]),
];

const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What other logs bring along that are measured beside this one: no part of it.
const PEERS: &str = "bench/peers/";

/// Name, version and source of each package.
fn packages(file: &File) -> Vec<(&str, &str, Option<&str>)> {
    let packages = file.text.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let name = field(package, "name")?;
            Some((name, field(package, "version")?, field(package, "source")))
        })
        .collect()
}

fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    let mut values =
        package.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    values.next().map(|value| value.trim_matches('"'))
}

fn number(version: &str) -> [u64; 3] {
    let version = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

fn wrong(file: &File) -> Vec<String> {
    let packages = packages(file).into_iter().filter(|(name, version, source)| {
        let old = LEAST.iter().any(|(of, least)| of == name && number(version) < *least);
        let ours = !file.path.starts_with(PEERS);
        (ours && old) || source.is_some_and(|source| source != SOURCE)
    });
    packages.map(|(name, version, _)| format!("{}: {name} {version}", file.path)).collect()
}

#[test]
fn is_no_dependency_too_old_or_from_elsewhere() {
    let files = repository();
    let locks: Vec<_> = files.iter().filter(|file| file.path.ends_with("Cargo.lock")).collect();
    assert!(locks.len() >= 3, "{} files", locks.len());
    let found: Vec<_> = locks.iter().flat_map(|file| wrong(file)).collect();
    assert_none("dependencies that may not be", &found);
    let ours = locks.iter().find(|file| file.path == "Cargo.lock").expect("the workspace's");
    let names: Vec<_> = packages(ours).iter().map(|(name, ..)| *name).collect();
    assert!(names.len() > 50 && names.contains(&"rkyv") && names.contains(&"memmap2"));
}

#[test]
fn does_the_file_for_cargo_deny_say_the_same() {
    let files = repository();
    let deny = files.iter().find(|file| file.path == "deny.toml").expect("deny.toml");
    for (name, [major, minor, patch]) in LEAST {
        let rule = format!("\"{name}:<{major}.{minor}.{patch}\"");
        assert!(deny.text.contains(&rule), "deny.toml does not have {rule}");
    }
}

#[test]
fn is_an_old_dependency_found() {
    let of = |name: &str, version: &str, source: &str| {
        let text = format!(
            "version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\
             source = \"{source}\"\nchecksum = \"00\"\n"
        );
        wrong(&File::new("Cargo.lock", &text)).len()
    };
    assert_eq!(of("rkyv", "0.8.17", SOURCE), 1);
    assert_eq!(of("rkyv", "0.8.18", SOURCE), 0);
    assert_eq!(of("memmap2", "0.9.9", SOURCE), 1);
    assert_eq!(of("memmap2", "0.10.0+x", SOURCE), 0);
    assert_eq!(of("crossbeam-epoch", "0.9.18", SOURCE), 1);
    assert_eq!(of("serde", "0.1.0", "git+https://example.org/serde"), 1);
    let own = "[[package]]\nname = \"factlog\"\nversion = \"0.1.0\"\ndependencies = [\n]\n";
    assert!(wrong(&File::new("Cargo.lock", own)).is_empty());
}

/// Whether an expression of SPDX can be met by what is `allowed`.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    // The slash is how it was written once.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        return either(words, allowed) && words.next() == Some(")");
    }
    // An exception grants more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    allowed.contains(&word)
}

/// Licences that deny.toml allows.
fn allowed(deny: &str) -> Vec<&str> {
    let line = deny.lines().find_map(|line| line.strip_prefix("allow = ["));
    let list = line.and_then(|line| line.strip_suffix(']')).unwrap_or_default();
    list.split(", ").map(|name| name.trim_matches('"')).collect()
}

/// What `cargo deny` would say, for machines that do not have it.
#[test]
fn has_each_dependency_a_licence_that_is_allowed() {
    let files = repository();
    let deny = files.iter().find(|file| file.path == "deny.toml").expect("deny.toml");
    let allowed = allowed(&deny.text);
    assert!(allowed.len() >= 3, "{allowed:?}");
    let words = ["metadata", "--format-version", "1", "--offline", "--filter-platform"];
    let output = std::process::Command::new(env!("CARGO"))
        .current_dir(super::root())
        .args(words)
        .arg("x86_64-unknown-linux-gnu")
        .output()
        .expect("cargo runs");
    if !output.status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50, "{} packages", packages.len());
    let wrong = packages.iter().filter(|package| {
        let licence = package["license"].as_str().unwrap_or_default();
        !is_met(licence, &allowed)
    });
    let wrong: Vec<_> =
        wrong.map(|package| format!("{} {}", package["name"], package["license"])).collect();
    assert_none("licences that deny.toml does not allow", &wrong);
}

#[test]
fn is_a_licence_that_is_not_allowed_found() {
    let met = |expression| is_met(expression, &["MIT", "Apache-2.0"]);
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(GPL-3.0 OR MIT) AND Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(met(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR BSD) AND MIT", "MIT )"] {
        assert!(!met(bad), "{bad}");
    }
    assert_eq!(allowed("[licenses]\nallow = [\"MIT\", \"Zlib\"]\n"), ["MIT", "Zlib"]);
}
