//! Does the repository keep its own rules?
//!
//! The tree is read from disk and held against rules that are plain functions over text: which way
//! imports go, where unsafe code may stand and what must be said above it, how long files are, what
//! must not be left over, what stands at the top. Each rule has a twin: a small made-up input that
//! breaks it, and must be found.

use std::fs;
use std::path::{Path, PathBuf};

mod dependencies;
mod faults;
mod imports;
mod layout;
mod lines;
mod scrub;
mod unsafety;

/// A file of the repository: its path from the top, with `/`, and its text.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A made-up one.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All text files, in order; what is built or kept by tools is left out.
pub(crate) fn repository() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let entry = entry.expect("a readable entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            let built = ["target", ".git", "__pycache__", "artifacts", "corpus"];
            if !built.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), files);
            }
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}

/// Fails with all that was found, one a line.
pub(crate) fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
