//! `include:`: which files belong to a rule set.

use super::{Document, DocumentKind, Text};
use crate::risk::code::Code;
use crate::risk::files::FileId;
use crate::risk::problem::{Findings, did_you_mean, quoted};

/// How deep files include files.
const MAX_DEPTH: usize = 4;

/// The documents of lists and macros that a rule set includes, each once, from `documents` (all that could be read).
pub(in crate::risk) fn gather<'d>(
    set: &'d Document,
    documents: &'d [Document],
    findings: &mut Findings<'_>,
) -> Vec<&'d Document> {
    let mut gathered = Vec::new();
    let mut way = vec![set.file];
    follow(set, documents, &mut way, &mut gathered, findings);
    gathered
}

fn follow<'d>(
    from: &'d Document,
    documents: &'d [Document],
    way: &mut Vec<FileId>,
    gathered: &mut Vec<&'d Document>,
    findings: &mut Findings<'_>,
) {
    for pattern in &from.include {
        for file in matches(from.file, pattern, findings) {
            if way.contains(&file) {
                let names: Vec<&str> = way.iter().chain([&file]).map(|file| findings.files().path(*file)).collect();
                let message = format!("files include each other in a circle: {}", names.join(" > "));
                findings.add(
                    Code::Include,
                    pattern.at,
                    message,
                    "let what both want stand in a file that includes neither",
                );
                continue;
            }
            if way.len() > MAX_DEPTH {
                let message = format!("files include files more than {MAX_DEPTH} deep");
                findings.add(Code::Include, pattern.at, message, "include the file directly");
                return;
            }
            // A file that cannot be read has said so itself.
            let Some(document) = documents.iter().find(|document| document.file == file) else { continue };
            if !matches!(document.kind, DocumentKind::Lists | DocumentKind::Macros) {
                let message = format!("{} holds neither lists nor macros", quoted(findings.files().path(file)));
                findings.add(Code::Include, pattern.at, message, "include files of `kind: Lists` or `kind: Macros`");
                continue;
            }
            if !gathered.iter().any(|known| known.file == file) {
                gathered.push(document);
                way.push(file);
                follow(document, documents, way, gathered, findings);
                way.pop();
            }
        }
    }
}

/// The files that a path, or a pattern with one `*` in its last part, means.
fn matches(from: FileId, pattern: &Text, findings: &mut Findings<'_>) -> Vec<FileId> {
    let files = findings.files();
    let Some(path) = resolve(files.path(from), &pattern.value) else {
        let message = format!("{} leads out of the rules directory", quoted(&pattern.value));
        findings.add(Code::Include, pattern.at, message, "write a path like ./lists/names.yaml");
        return Vec::new();
    };
    let found: Vec<&str> = files.iter().map(|(known, _)| known).filter(|known| fits(&path, known)).collect();
    if found.is_empty() {
        let remedy = did_you_mean(&path, files.iter().map(|(known, _)| known), "files are named relative to this one");
        findings.add(Code::Include, pattern.at, format!("no file {}", quoted(&pattern.value)), remedy);
    }
    found.into_iter().filter_map(|path| files.file(path)).collect()
}

fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((begin, end)) => {
            path.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)).is_some_and(|middle| !middle.contains('/'))
        }
    }
}

/// `./lists/a.yaml` as seen from `from`, as a path of the rules directory. None if it is absolute or leads out of it.
pub(in crate::risk) fn resolve(from: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\\') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_their_file_and_stay_inside() {
        assert_eq!(resolve("a.yaml", "./lists/x.txt").as_deref(), Some("lists/x.txt"));
        assert_eq!(resolve("lists/a.yaml", "../b.yaml").as_deref(), Some("b.yaml"));
        assert_eq!(resolve("lists/a.yaml", "../../b.yaml"), None);
        assert_eq!(resolve("a.yaml", "/etc/passwd"), None);
        assert!(fits("lists/*.yaml", "lists/a.yaml"));
        assert!(!fits("lists/*.yaml", "lists/deep/a.yaml"));
    }
}
