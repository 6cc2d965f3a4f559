//! The files of a rules directory, read by whoever may read files: a map of paths to texts. Places in them.

use std::collections::BTreeMap;
use std::ops::Range;

/// Largest rule file, in bytes; lists of values have [`MAX_LIST_FILE`].
pub const MAX_RULE_FILE: usize = 1 << 20;
/// Largest file of list values, in bytes.
pub const MAX_LIST_FILE: usize = 16 << 20;
/// Most files of a directory.
pub const MAX_FILES: usize = 256;

/// Files by path relative to the rules directory, `/` between names.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// How the directory is named in messages.
    dir: String,
    texts: BTreeMap<String, String>,
}

impl Files {
    /// No files yet, of a directory that messages call `dir`; empty: paths are told as they are.
    pub fn new(dir: impl Into<String>) -> Self {
        Self { dir: dir.into(), texts: BTreeMap::new() }
    }

    /// Adds a file, or replaces it.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.insert(path.into(), text.into());
        self
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Paths and texts in the order of paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Rule files of the directory itself, where rule sets and overrides stand; those of folders are for `include`.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str).filter(|path| !path.contains('/') && is_rule_file(path))
    }

    /// The path as messages tell it.
    pub(super) fn shown(&self, path: &str) -> String {
        match self.dir.trim_end_matches('/') {
            "" => path.to_owned(),
            dir => format!("{dir}/{path}"),
        }
    }

    pub(super) fn file(&self, path: &str) -> Option<FileId> {
        let at = self.texts.keys().position(|known| known == path)?;
        u16::try_from(at).ok().map(FileId)
    }

    pub(super) fn path(&self, file: FileId) -> &str {
        self.texts.keys().nth(usize::from(file.0)).map_or("", String::as_str)
    }

    pub(super) fn text_of(&self, file: FileId) -> &str {
        self.text(self.path(file)).unwrap_or_default()
    }
}

/// Whether a file of this name holds rules.
pub fn is_rule_file(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && matches!(ending, "yaml" | "yml"))
}

/// A file of [`Files`], by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u16);

/// A place in a file: bytes from and to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) file: FileId,
    from: u32,
    to: u32,
}

impl Spot {
    pub(super) fn new(file: FileId, range: &Range<usize>) -> Self {
        let bounded = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, from: bounded(range.start), to: bounded(range.end.max(range.start)) }
    }

    pub(super) fn range(self) -> Range<usize> {
        let wide = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        wide(self.from)..wide(self.to)
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) at: Spot,
}

impl<T> Spanned<T> {
    pub(super) fn new(value: T, at: Spot) -> Self {
        Self { value, at }
    }
}
