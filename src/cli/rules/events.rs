//! Files of recorded events: audit logs as the gateway writes them, rotated ones too, or one event a line. Several files are
//! merged by the time of receipt, so that it does not matter in which order they are named. Lines are read and parsed on a
//! thread of their own, while those before are judged.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::clock::UnixTime;
use crate::risk::recorded::{Entry, read_line};

/// Longest line, in bytes: an audit record with its facts has some 2 KiB, at most some 30.
const MAX_LINE: u64 = 1 << 20;
/// Lines that are not understood and are told with their place; of the others, how many.
const SHOWN: usize = 5;
/// Events that are handed over together.
const BATCH: usize = 256;
/// Batches that wait.
const QUEUE: usize = 8;

/// What was found in the files.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Lines that are audit records without an event to judge.
    pub(super) passed_over: u64,
    /// Lines that are not understood.
    pub(super) wrong: u64,
    /// The first of them: `FILE:LINE: what is wrong`.
    pub(super) told: Vec<String>,
    /// Events of this endpoint only; none: all.
    endpoint: Option<String>,
}

/// Shows every event of the files to `take`. Which are left out is told in the end.
pub(super) fn each(paths: &[PathBuf], endpoint: Option<&str>, mut take: impl FnMut(Entry)) -> io::Result<Found> {
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        let open = Source::open(path).map_err(|error| named(path, &error))?;
        sources.push(open);
    }
    let found = Found { endpoint: endpoint.map(str::to_owned), ..Found::default() };
    let (batches, waiting) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(sources, found, &batches));
        waiting.into_iter().flatten().for_each(&mut take);
        reader.join().unwrap_or_else(|_| Err(io::Error::other("reading ended early")))
    })
}

fn named(path: &std::path::Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Merges the sources by the time of their next event.
fn read(mut sources: Vec<Source>, mut found: Found, batches: &SyncSender<Vec<Entry>>) -> io::Result<Found> {
    for source in &mut sources {
        source.advance(&mut found)?;
    }
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(next) = sources.iter_mut().filter(|source| source.next.is_some()).min_by_key(|source| source.at()) {
        batch.extend(next.next.take());
        next.advance(&mut found)?;
        if batch.len() >= BATCH && batches.send(std::mem::take(&mut batch)).is_err() {
            return Ok(found); // nobody wants more
        }
    }
    // An error means that nobody wants more.
    drop(batches.send(batch));
    Ok(found)
}

/// One file, with the event that is read next.
struct Source {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    next: Option<Entry>,
}

impl Source {
    fn open(path: &PathBuf) -> io::Result<Self> {
        let lines: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::with_capacity(1 << 16, File::open(path)?))
        };
        Ok(Self { path: path.clone(), lines, line: Vec::new(), number: 0, next: None })
    }

    fn at(&self) -> UnixTime {
        self.next.as_ref().map_or(UnixTime::default(), |entry| entry.recorded.received_at())
    }

    /// Reads on to the next event.
    fn advance(&mut self, found: &mut Found) -> io::Result<()> {
        while self.line().map_err(|error| named(&self.path, &error))? {
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            match read_line(&self.line) {
                Ok(Some(entry)) if found.wants(&entry) => {
                    self.next = Some(entry);
                    return Ok(());
                }
                Ok(_) => found.passed_over = found.passed_over.saturating_add(1),
                Err(error) => found.wrong(&self.path, self.number, &error.to_string()),
            }
        }
        Ok(())
    }

    /// The next line, without what is beyond the bound; false at the end.
    fn line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.number = self.number.saturating_add(1);
        let read = self.lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line)?;
        if self.line.last() != Some(&b'\n') && u64::try_from(read) == Ok(MAX_LINE) {
            let mut rest = Vec::new();
            // What is left of it goes, a bounded piece at a time.
            while self.lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut rest)? > 0 && rest.last() != Some(&b'\n') {
                rest.clear();
            }
        }
        Ok(read > 0)
    }
}

impl Found {
    fn wants(&self, entry: &Entry) -> bool {
        self.endpoint.as_deref().is_none_or(|endpoint| entry.recorded.endpoint() == endpoint)
    }

    fn wrong(&mut self, path: &std::path::Path, number: u64, error: &str) {
        self.wrong = self.wrong.saturating_add(1);
        if self.told.len() < SHOWN {
            self.told.push(format!("{}:{number}: {error}", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn event(id: &str, now: i64) -> String {
        format!(r#"{{"event.id":"{id}","event.kind":"REFUND","route.name":"shop","now":{now}}}"#)
    }

    #[test]
    fn files_are_merged_by_time_and_what_is_no_event_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (newer, older) = (dir.path().join("audit.ndjson"), dir.path().join("audit.ndjson.1"));
        let refusal = r#"{"outcome":"refused","reason":"bad-signature"}"#;
        let long = "x".repeat(usize::try_from(MAX_LINE).unwrap() * 2 + 7);
        fs::write(&newer, format!("{}\n{refusal}\n\n{}\n{{\"torn", event("c", 3), event("d", 5))).unwrap();
        fs::write(&older, format!("{}\n{long}\n{}\n{}\n", event("a", 1), event("b", 2), event("e", 4))).unwrap();
        let mut ids = Vec::new();
        let found = each(&[newer, older], None, |entry| ids.push(entry.recorded.id().to_owned())).unwrap();
        assert_eq!(ids, ["a", "b", "c", "e", "d"]);
        assert_eq!((found.passed_over, found.wrong), (1, 2));
        assert!(found.told.iter().any(|told| told.contains("audit.ndjson.1:2: ")), "{:?}", found.told);
        assert!(found.told.iter().any(|told| told.contains("audit.ndjson:5: EOF")), "{:?}", found.told);
    }

    #[test]
    fn events_of_other_endpoints_are_passed_over_and_a_file_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        fs::write(&path, format!("{}\n", event("a", 1))).unwrap();
        let count = |endpoint| {
            let mut count = 0;
            each(std::slice::from_ref(&path), Some(endpoint), |_| count += 1).unwrap();
            count
        };
        assert_eq!((count("shop"), count("other")), (1, 0));
        let error = each(&[dir.path().join("absent")], None, drop).unwrap_err();
        assert!(error.to_string().contains("absent: "), "{error}");
    }
}
