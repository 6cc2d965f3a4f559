//! Notices that the configuration, or a file that it names, has changed.

use std::sync::Arc;
use std::time::Duration;

use super::files::Files;

/// How often the files are looked at. Looking costs a few microseconds a file, works on every file system, and sees the
/// swapped symbolic links by which orchestrators change mounted secrets.
const EVERY: Duration = Duration::from_secs(2);
/// After a change, how long everything has to stay as it is: whoever writes one file may be about to write the next.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// Watches the files that a configuration was read from.
#[derive(Debug)]
pub struct Watch {
    files: Arc<Files>,
    every: Duration,
}

impl Watch {
    /// Watches these files, as they were read.
    pub fn new(files: Files) -> Self {
        Self { files: Arc::new(files), every: EVERY }
    }

    /// From now on, these: what the last reload read, whether or not it was taken.
    pub fn follow(&mut self, files: Files) {
        self.files = Arc::new(files);
    }

    /// Ends when a file is not as it was read and has come to rest. Ends again each time until [`Watch::follow`] is told of
    /// the new state, so nothing is lost if it is cancelled.
    pub async fn changed(&self) {
        loop {
            tokio::time::sleep(self.every).await;
            let mut now = look(&self.files).await;
            if now == self.files {
                continue;
            }
            loop {
                tokio::time::sleep(SETTLED_AFTER).await;
                let later = look(&self.files).await;
                if later == now {
                    return;
                }
                now = later;
            }
        }
    }
}

/// The files as they are now. Off the runtime: a network file system may take its time.
async fn look(files: &Arc<Files>) -> Arc<Files> {
    let seen = Arc::clone(files);
    // Only a panic or the end of the runtime leaves this without an answer; neither is a change.
    tokio::task::spawn_blocking(move || Arc::new(seen.now())).await.unwrap_or_else(|_| Arc::clone(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_key_file_is_noticed_and_an_unchanged_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, "one").unwrap();
        let mut files = Files::default();
        files.read(&path).unwrap();
        let mut watch = Watch { files: Arc::new(files), every: Duration::from_millis(10) };
        let short = Duration::from_millis(100);
        assert!(tokio::time::timeout(short, watch.changed()).await.is_err(), "nothing has changed");

        std::fs::write(&path, "two!").unwrap();
        let long = Duration::from_secs(10);
        tokio::time::timeout(long, watch.changed()).await.expect("the change is noticed");
        tokio::time::timeout(long, watch.changed()).await.expect("until it is taken note of");
        let mut files = Files::default();
        files.read(&path).unwrap();
        watch.follow(files);
        assert!(tokio::time::timeout(short, watch.changed()).await.is_err());
    }
}
