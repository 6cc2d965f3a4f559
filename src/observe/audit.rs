//! The audit log: one JSON line a callback, written by a thread of its own. A callback never waits for the disk: when
//! the queue is full, or a write fails, the record is lost and counted (`wxgate_audit_dropped_total`).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;

use super::{AuditSettings, AuditTarget};
use crate::clock::{Clock, UnixTime};

/// Records that may wait for the writer: a second of full load. With facts a record has 2 to 3 KiB, so some 25 MiB.
const QUEUE: usize = 8192;
/// Lines are written together up to this many bytes.
const BATCH: usize = 64 * 1024;
/// How long a rotation that failed is left alone.
const ROTATE_AGAIN: Duration = Duration::from_mins(1);

/// The way to the writer.
pub(super) struct Audit {
    queue: Option<SyncSender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dropped: IntCounter,
}

enum Message {
    /// One record, with its line feed.
    Line(Vec<u8>),
    Close,
}

impl Audit {
    /// Opens the target and starts the writer.
    pub(super) fn start(settings: &AuditSettings, dropped: IntCounter) -> io::Result<Self> {
        let output: Box<dyn Output> = match &settings.target {
            AuditTarget::Off => return Ok(Self { queue: None, writer: Mutex::new(None), dropped }),
            AuditTarget::Stdout => Box::new(io::stdout()),
            AuditTarget::File(path) => Box::new(RotatedFile::open(path.clone(), settings)?),
        };
        Self::over(output, dropped)
    }

    fn over(output: Box<dyn Output>, dropped: IntCounter) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let lost = dropped.clone();
        let writer = std::thread::Builder::new()
            .name("wxgate-audit".to_owned())
            .spawn(move || Writer { output, lost, is_failing: false }.run(&waiting))?;
        Ok(Self { queue: Some(queue), writer: Mutex::new(Some(writer)), dropped })
    }

    /// Whether anybody reads what is recorded.
    pub(super) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands a line over without waiting.
    pub(super) fn write(&self, line: Vec<u8>) {
        if let Some(queue) = &self.queue
            && queue.try_send(Message::Line(line)).is_err()
        {
            self.dropped.inc();
        }
    }

    /// Returns when everything handed over before is written. Blocking; a second call does nothing.
    pub(super) fn close(&self) {
        let Some(writer) = self.writer.lock().take() else { return };
        // An error means that the writer is gone already.
        let asked = self.queue.as_ref().is_some_and(|queue| queue.send(Message::Close).is_ok());
        if writer.join().is_err() || !asked {
            tracing::error!("the audit writer ended before it was told to; records are lost");
        }
    }
}

/// Where lines go.
trait Output: Send {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()>;
    /// Nothing more will be written.
    fn end(&mut self) -> io::Result<()>;
}

impl Output for io::Stdout {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut out = self.lock();
        out.write_all(lines)?;
        out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

struct Writer {
    output: Box<dyn Output>,
    lost: IntCounter,
    is_failing: bool,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut is_open = true;
        while is_open {
            let Ok(first) = waiting.recv() else { break };
            let mut lines = 0_u64;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => {
                        batch.extend_from_slice(&line);
                        lines = lines.saturating_add(1);
                    }
                    // What other threads handed over until now is still written.
                    Message::Close => is_open = false,
                }
                next = if batch.len() < BATCH { waiting.try_recv().ok() } else { None };
            }
            self.write(&batch, lines);
            batch.clear();
        }
        // After `Close` there may be more than one batch left.
        let mut lines = 0_u64;
        for message in waiting.try_iter() {
            if let Message::Line(line) = message {
                batch.extend_from_slice(&line);
                lines = lines.saturating_add(1);
            }
        }
        self.write(&batch, lines);
        if let Err(error) = self.output.end() {
            tracing::error!(%error, "the audit log was not closed cleanly");
        }
    }

    /// A disk that is full is told once, not with every record.
    fn write(&mut self, batch: &[u8], lines: u64) {
        if batch.is_empty() {
            return;
        }
        match self.output.write_lines(batch) {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("the audit log is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.lost.inc_by(lines);
                if !self.is_failing {
                    self.is_failing = true;
                    tracing::error!(%error, "the audit log cannot be written: records are lost until it can");
                }
            }
        }
    }
}

/// A file that is appended to, and set aside as `PATH.1`, `PATH.2`, … (the newest is 1) when it is too large or too old.
struct RotatedFile {
    path: PathBuf,
    file: File,
    size: u64,
    since: UnixTime,
    /// The last line is not whole: a write failed in the middle, or the process before us died in one.
    is_torn: bool,
    max_size: u64,
    max_age: Duration,
    keep: usize,
    rotate_not_before: UnixTime,
}

impl RotatedFile {
    fn open(path: PathBuf, settings: &AuditSettings) -> io::Result<Self> {
        let mut file = append_to(&path)?;
        let meta = file.metadata()?;
        let size = meta.len();
        let is_torn = meta.is_file() && size > 0 && last_byte(&mut file)? != b'\n';
        // A filesystem that keeps no time of creation: the age counts from the start of the process.
        let age = meta.created().ok().and_then(|created| created.elapsed().ok()).unwrap_or_default();
        Ok(Self {
            path,
            file,
            size,
            since: Clock::System.now().minus(age),
            is_torn,
            max_size: settings.max_size,
            max_age: settings.max_age,
            keep: settings.keep,
            rotate_not_before: UnixTime::default(),
        })
    }

    fn rotate_if_due(&mut self, more: usize) {
        let now = Clock::System.now();
        let grown = self.size.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        let is_due = self.size > 0 && (grown > self.max_size || now.since(self.since) > self.max_age);
        if !is_due || now < self.rotate_not_before {
            return;
        }
        match self.rotate() {
            Ok(file) => {
                // What was set aside shall survive a power cut; what could not be synced is at least written.
                if let Err(error) = self.file.sync_data() {
                    tracing::warn!(%error, "an audit file was set aside but not synced");
                }
                (self.file, self.size, self.since, self.is_torn) = (file, 0, now, false);
            }
            Err(error) => {
                // Writing goes on where it was: an audit file that is too large is better than none.
                self.rotate_not_before = now.plus(ROTATE_AGAIN);
                tracing::error!(%error, path = %self.path.display(), "the audit log cannot be rotated");
            }
        }
    }

    fn rotate(&self) -> io::Result<File> {
        if self.keep == 0 {
            remove_if_there(&self.path)?;
        } else {
            remove_if_there(&self.numbered(self.keep))?;
            for number in (1..self.keep).rev() {
                rename_if_there(&self.numbered(number), &self.numbered(number.saturating_add(1)))?;
            }
            rename_if_there(&self.path, &self.numbered(1))?;
        }
        append_to(&self.path)
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Output for RotatedFile {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.rotate_if_due(lines.len());
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.is_torn = false;
        }
        self.file.write_all(lines).inspect_err(|_| self.is_torn = true)?;
        self.size = self.size.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Only the gateway's own user reads it: it names payments.
fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0_u8];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    let [last] = last;
    Ok(last)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(path))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    unless_missing(fs::rename(from, to))
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped() -> IntCounter {
        IntCounter::new("dropped", "for the test").unwrap()
    }

    fn settings(path: &Path, max_size: u64, max_age: Duration, keep: usize) -> AuditSettings {
        AuditSettings { target: AuditTarget::File(path.to_owned()), max_size, max_age, keep, facts: None }
    }

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn closing_writes_everything_that_was_handed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.ndjson");
        let lost = dropped();
        let audit = Audit::start(&settings(&path, u64::MAX, LONG, 1), lost.clone()).unwrap();
        for number in 0..5000 {
            audit.write(format!("{number}\n").into_bytes());
        }
        audit.close();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 5000);
        assert_eq!(text.lines().last(), Some("4999"));
        assert_eq!(lost.get(), 0);
        audit.write(b"late\n".to_vec());
        assert_eq!(lost.get(), 1, "what comes after the end is counted as lost");
        audit.close();
    }

    #[test]
    fn a_file_over_its_size_is_set_aside_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.ndjson");
        let mut file = RotatedFile::open(path.clone(), &settings(&path, 10, LONG, 2)).unwrap();
        for line in ["one 567\n", "two 567\n", "three 7\n", "four 67\n"] {
            file.write_lines(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("audit.ndjson"), "four 67\n");
        assert_eq!(read("audit.ndjson.1"), "three 7\n");
        assert_eq!(read("audit.ndjson.2"), "two 567\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_over_its_age_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.ndjson");
        let mut file = RotatedFile::open(path.clone(), &settings(&path, u64::MAX, LONG, 0)).unwrap();
        file.write_lines(b"old\n").unwrap();
        file.since = file.since.minus(LONG.saturating_mul(2));
        file.write_lines(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "none is kept");
    }

    #[test]
    fn a_rotation_that_fails_loses_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.ndjson");
        // A folder that is not empty cannot be replaced by a file.
        fs::create_dir_all(dir.path().join("audit.ndjson.1/in-the-way")).unwrap();
        let mut file = RotatedFile::open(path.clone(), &settings(&path, 1, LONG, 1)).unwrap();
        for _ in 0..3 {
            file.write_lines(b"line\n").unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "line\nline\nline\n");
    }

    #[test]
    fn a_line_that_was_torn_by_a_crash_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.ndjson");
        fs::write(&path, "{\"torn\":").unwrap();
        let mut file = RotatedFile::open(path.clone(), &settings(&path, u64::MAX, LONG, 1)).unwrap();
        file.write_lines(b"{}\n").unwrap();
        file.write_lines(b"{}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"torn\":\n{}\n{}\n");
    }

    /// A disk that answers when it is told to.
    struct Slow(Receiver<()>, std::sync::Arc<Mutex<usize>>);

    impl Output for Slow {
        fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
            // An error means that the test needs no more waiting.
            let _ = self.0.recv();
            let mut written = self.1.lock();
            *written = written.saturating_add(String::from_utf8_lossy(lines).lines().count());
            Ok(())
        }

        fn end(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_stands_still_costs_records_and_no_waiting() {
        let lost = dropped();
        let written = std::sync::Arc::new(Mutex::new(0));
        let (disk, waits) = sync_channel(0);
        let audit = Audit::over(Box::new(Slow(waits, written.clone())), lost.clone()).unwrap();
        let handed_over = QUEUE.saturating_mul(3);
        for _ in 0..handed_over {
            audit.write(b"{}\n".to_vec());
        }
        let lost_while_still = lost.get();
        assert!(lost_while_still > 0);
        drop(disk);
        audit.close();
        let lost = usize::try_from(lost.get()).unwrap();
        assert_eq!(written.lock().saturating_add(lost), handed_over, "every record is written or counted");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let lost = dropped();
        let settings = settings(Path::new("/dev/full"), u64::MAX, LONG, 1);
        let audit = Audit::start(&settings, lost.clone()).unwrap();
        for _ in 0..7 {
            audit.write(b"line\n".to_vec());
        }
        audit.close();
        assert_eq!(lost.get(), 7);
    }

    #[test]
    fn a_file_that_cannot_be_opened_stops_the_start() {
        let settings = settings(Path::new("/nowhere/audit.ndjson"), u64::MAX, LONG, 1);
        assert!(Audit::start(&settings, dropped()).is_err());
    }
}
