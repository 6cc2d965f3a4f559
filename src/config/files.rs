//! Reads the files that a configuration names, and remembers what it read, so that a change of any of them is seen.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Largest file that is read: a configuration of a thousand endpoints has less.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The files that were read, each as it was just before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<Fingerprint>)>);

/// What changes when a file does. The change time is there because a copy may set the modification time back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// Reads a file whole. What is no regular file is refused: a pipe could block for ever, and cannot be read again on a
    /// reload. The buffer is zeroized when dropped, since it may hold a secret.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        // Looked at before it is read: what changes in between is seen as a change later.
        self.0.push((path.to_owned(), fingerprint(path)));
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let room = usize::try_from(metadata.len().min(MAX_FILE)).unwrap_or_default().saturating_add(1);
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        File::open(path)?.take(MAX_FILE.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE) {
            return Ok(bytes);
        }
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"))
    }

    /// Notes a file or directory as it is now, that somebody else reads.
    pub(super) fn note(&mut self, path: &Path) {
        self.0.push((path.to_owned(), fingerprint(path)));
    }

    /// The same files as they are now. Blocking.
    #[must_use]
    pub(super) fn now(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), fingerprint(path))).collect())
    }
}

/// None if there is no such file, or it may not be looked at.
fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let metadata = fs::metadata(path).ok()?;
    Some(Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_a_replaced_a_removed_and_a_new_file_are_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let mut files = Files::default();
        assert!(files.read(&path).is_err());
        assert_eq!(files, files.now());
        fs::write(&path, "one").unwrap();
        assert_ne!(files, files.now(), "new");

        let mut files = Files::default();
        assert_eq!(files.read(&path).unwrap().as_slice(), b"one");
        assert_eq!(files, files.now());
        fs::write(dir.path().join("other"), "two").unwrap();
        fs::rename(dir.path().join("other"), &path).unwrap();
        assert_ne!(files, files.now(), "replaced by one of the same size");

        let mut files = Files::default();
        files.read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_ne!(files, files.now(), "removed");
    }

    #[test]
    fn what_is_no_regular_file_or_too_large_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Files::default().read(dir.path()).is_err());
        assert!(Files::default().read(Path::new("/dev/zero")).is_err());
        let large = dir.path().join("large");
        File::create(&large).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert_eq!(Files::default().read(&large).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
