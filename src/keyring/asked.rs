//! Serials that callbacks named and nobody knows. Whoever reaches the endpoint can name any: so a serial is looked at
//! once, remembered when a download did not bring it, and whatever is asked for while one is due changes nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a serial that a download did not bring wakes nobody again. The regular download comes all the same.
const VAIN_FOR: Duration = Duration::from_hours(1);
/// Such serials that are remembered; the oldest goes first.
const MAX_VAIN: usize = 256;
/// Digits of a certificate's serial, in hex (protocol 6.22).
const DIGITS: std::ops::RangeInclusive<usize> = 16..=64;

#[derive(Default)]
pub(super) struct Asked {
    /// Somebody asked, and no download has ended since. Looked at first: a flood stops here.
    is_due: AtomicBool,
    wake: Notify,
    serials: Mutex<Serials>,
}

#[derive(Default)]
struct Serials {
    /// What woke the task.
    asked: Option<Box<str>>,
    vain: VecDeque<(Box<str>, Instant)>,
}

impl Asked {
    pub(super) fn ask(&self, serial: &str) {
        if self.is_due.load(Ordering::Acquire) || !could_be_a_certificate(serial) {
            return;
        }
        let mut serials = self.serials.lock();
        let now = Instant::now();
        let is_vain = |(known, since): &(Box<str>, Instant)| {
            known.eq_ignore_ascii_case(serial) && now.duration_since(*since) < VAIN_FOR
        };
        if serials.asked.is_none() && !serials.vain.iter().any(is_vain) {
            serials.asked = Some(serial.into());
            self.is_due.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// Ends when somebody has asked for a serial that may be worth a download.
    pub(super) async fn wanted(&self) {
        while !self.is_due.load(Ordering::Acquire) {
            self.wake.notified().await;
        }
    }

    /// A download has ended; `is_known` tells whether a serial is trusted now. If the download itself failed, nothing is
    /// learnt of the serial.
    pub(super) fn ended(&self, has_list: bool, is_known: impl FnOnce(&str) -> bool) {
        let mut serials = self.serials.lock();
        if let Some(serial) = serials.asked.take()
            && has_list
            && !is_known(&serial)
        {
            serials.vain.push_back((serial, Instant::now()));
            if serials.vain.len() > MAX_VAIN {
                serials.vain.pop_front();
            }
        }
        self.is_due.store(false, Ordering::Release);
    }
}

/// `PUB_KEY_ID_…` are never downloaded; they are configured.
fn could_be_a_certificate(serial: &str) -> bool {
    DIGITS.contains(&serial.len()) && serial.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str = "5A1C7E20D4B90F3366A8214C9D70B5E8137F2C64";

    fn is_due(asked: &Asked) -> bool {
        asked.is_due.load(Ordering::Acquire)
    }

    #[tokio::test(start_paused = true)]
    async fn a_serial_that_a_download_did_not_bring_wakes_nobody_for_an_hour() {
        let asked = Asked::default();
        asked.ask(SERIAL);
        assert!(is_due(&asked));
        asked.wanted().await;
        asked.ended(true, |_| false);
        asked.ask(SERIAL);
        asked.ask(&SERIAL.to_lowercase());
        assert!(!is_due(&asked), "it is known to be unknown");
        asked.ask(&SERIAL.replace('5', "6"));
        assert!(is_due(&asked), "another one is not");
        asked.ended(true, |_| true);
        tokio::time::advance(VAIN_FOR).await;
        asked.ask(SERIAL);
        assert!(is_due(&asked));
    }

    #[tokio::test]
    async fn a_failed_download_teaches_nothing() {
        let asked = Asked::default();
        asked.ask(SERIAL);
        asked.ended(false, |_| false);
        asked.ask(SERIAL);
        assert!(is_due(&asked));
    }

    #[tokio::test]
    async fn only_what_could_be_a_serial_is_looked_at_and_memory_is_bounded() {
        let asked = Asked::default();
        for other in ["", "5A", "PUB_KEY_ID_0000000000000024101100397200000006", "../../../etc/passwd", &"A".repeat(65)]
        {
            asked.ask(other);
            assert!(!is_due(&asked), "{other}");
        }
        for number in 0..1000 {
            asked.ask(&format!("{number:040X}"));
            assert!(is_due(&asked));
            asked.ask(&format!("{number:050X}"));
            asked.ended(true, |_| false);
        }
        let serials = asked.serials.lock();
        assert_eq!((serials.vain.len(), serials.asked.is_none()), (MAX_VAIN, true));
    }
}
