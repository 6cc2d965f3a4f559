//! The files of a rules directory, read for [`crate::risk::load`], which does no I/O itself.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::risk::Files;
use crate::risk::files::{MAX_FILES, MAX_LIST_FILE, is_rule_file};

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 4;

/// Reads the rule files (`.yaml`, `.yml`) and lists of values (`.txt`) of a directory and its folders. What begins with a
/// dot is passed over: editors and mounted volumes keep their own there.
pub fn read_rule_files(dir: &Path) -> io::Result<Files> {
    let mut files = Files::new(dir.display().to_string());
    let mut count = 0_usize;
    walk(dir, "", MAX_DEPTH, &mut |path, name| {
        count = count.saturating_add(1);
        if count > MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} files; keep what are no rules elsewhere")));
        }
        let text = read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        files = std::mem::take(&mut files).with(name, text);
        Ok(())
    })?;
    Ok(files)
}

fn walk(
    dir: &Path,
    prefix: &str,
    depth: usize,
    found: &mut impl FnMut(&Path, String) -> io::Result<()>,
) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Through links: mounted configuration is made of them.
        let kind = fs::metadata(&path)?;
        let inside = format!("{prefix}{name}");
        if kind.is_dir() && depth > 0 {
            walk(&path, &format!("{inside}/"), depth.saturating_sub(1), found)?;
        } else if kind.is_file() && (is_rule_file(&name) || path.extension().is_some_and(|ending| ending == "txt")) {
            found(&path, inside)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    let most = u64::try_from(MAX_LIST_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_lists_are_read_with_their_paths_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lists/.git")).unwrap();
        for (name, text) in [
            ("shop.yaml", "a"),
            ("README.md", "b"),
            ("lists/mchids.txt", "c"),
            ("lists/.git/x.txt", "d"),
            (".shop.yaml", "e"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let files = read_rule_files(dir.path()).unwrap();
        let found: Vec<_> = files.iter().collect();
        assert_eq!(found, [("lists/mchids.txt", "c"), ("shop.yaml", "a")]);
        assert!(read_rule_files(&dir.path().join("absent")).is_err());
    }
}
