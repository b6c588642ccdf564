//! The directory in which a scene begins, made once and copied for each run, and the names of all files that its run touches.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::trace::{self, Through};

pub(crate) struct Template {
    directory: tempfile::TempDir,
    names: Vec<PathBuf>,
}

impl Template {
    /// Takes a prepared directory, and learns from a run of `task` in a copy of it which files there are in the end.
    pub(crate) async fn learn(directory: tempfile::TempDir, within: &Path, task: &str) -> Result<Self, String> {
        let failed = |error: io::Error| format!("preparing a run: {error}");
        let mut template = Self { directory, names: Vec::new() };
        let after = template.copy(within)?;
        trace::run(after.path(), task, &[], Through::Plain).await?;
        let mut names = BTreeSet::new();
        for root in [template.directory.path(), after.path()] {
            let all = below(root).map_err(failed)?;
            names.extend(all.iter().filter_map(|path| path.strip_prefix(root).ok()).map(Path::to_owned));
        }
        for name in &names {
            // Every file is made under another name first; only the archive's loses its ending.
            let unfinished = PathBuf::from(format!("{}.new", name.display()));
            template.names.extend([name.clone(), unfinished, name.with_extension("new")]);
        }
        Ok(template)
    }

    /// A directory of its own for one run.
    pub(crate) fn copy(&self, within: &Path) -> Result<tempfile::TempDir, String> {
        let failed = |error: io::Error| format!("copying a run's beginning: {error}");
        let copy = tempfile::tempdir_in(within).map_err(failed)?;
        let from = self.directory.path();
        for path in below(from).map_err(failed)? {
            let to = copy.path().join(path.strip_prefix(from).unwrap_or(&path));
            let copied = if path.is_dir() { std::fs::create_dir(to) } else { std::fs::copy(&path, to).map(drop) };
            copied.map_err(failed)?;
        }
        Ok(copy)
    }

    /// What a run in `root` may touch: strace takes no pattern.
    pub(crate) fn paths(&self, root: &Path) -> Vec<PathBuf> {
        std::iter::once(root.to_owned()).chain(self.names.iter().map(|name| root.join(name))).collect()
    }
}

/// Everything below a directory, each directory before what is in it.
fn below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        all.push(path.clone());
        if path.is_dir() {
            all.extend(below(&path)?);
        }
    }
    Ok(all)
}
