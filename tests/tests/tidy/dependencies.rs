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
