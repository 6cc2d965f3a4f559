//! Doors for a fuzz target (`fuzz/`), in builds that fuzz alone: what a disk may give back instead of what was written.

/// By the first byte: a journal as it is, records in a frame that is whole, a record of the queues' log, a row that was
/// opened, a held event of version 0.1.
pub fn store(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    match choice % 5 {
        0 => super::file::scan_for_fuzzing(data, false),
        1 => super::file::scan_for_fuzzing(data, true),
        2 => super::queue::record_for_fuzzing(data),
        3 => super::queue::row_for_fuzzing(data),
        _ => super::queue::held_file_for_fuzzing(data),
    }
}
