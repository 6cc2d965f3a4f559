//! The measurement of docs/decisions/0003-queue-log.md. Not part of a test run: it says how fast, not whether.

#![allow(clippy::cast_precision_loss, reason = "rates, to two digits")]

use std::time::Instant;

use tokio::task::JoinSet;

use super::*;
use crate::store::file::{sync_dir, write_whole};

const ROW: usize = 3000;

fn told(what: &str, rows: u64, began: Instant) {
    println!("{what}: {:.0} rows a second", rows as f64 / began.elapsed().as_secs_f64());
}

async fn put_together(rows: &Arc<FileRows>, writers: u64, each: u64) {
    let mut puts = JoinSet::new();
    for writer in 0..writers {
        let rows = Arc::clone(rows);
        puts.spawn(async move {
            for number in 0..each {
                let mut id = [0; 24];
                id[..8].copy_from_slice(&(writers << 40 | writer << 20 | number).to_le_bytes());
                let head = Head { id: RowId(id), lane: id[..8].try_into().unwrap(), ..head(1) };
                rows.put(Stored { head, sealed: vec![7; ROW].into() }).await.unwrap();
            }
        });
    }
    while puts.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_rows_a_second_of_a_log_and_of_files() {
    let dir = tempfile::tempdir_in(".").unwrap(); // not in memory, as /tmp may be
    let rows = Arc::new(FileRows::open(&dir.path().join("log")).unwrap());
    for (writers, each) in [(1, 200), (64, 60)] {
        let began = Instant::now();
        put_together(&rows, writers, each).await;
        told(&format!("a log, {writers} waiting at the same time"), writers * each, began);
    }
    let began = Instant::now();
    for number in 0..300 {
        write_whole(dir.path(), &number.to_string(), &[7; ROW]).unwrap();
    }
    told("files, one after the other", 300, began);
    let began = Instant::now();
    for number in 0..512 {
        let (unfinished, name) = (dir.path().join("unfinished"), dir.path().join(format!("shared-{number}")));
        std::fs::write(&unfinished, [7; ROW]).unwrap();
        std::fs::File::open(&unfinished).unwrap().sync_all().unwrap();
        std::fs::rename(&unfinished, name).unwrap();
        if number % 64 == 63 {
            sync_dir(dir.path()).unwrap();
        }
    }
    told("files, 64 sharing the sync of their directory", 512, began);
}
