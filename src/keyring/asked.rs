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
    /// Somebody asked, and no download has begun since. Looked at first: a flood stops here.
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

    /// A download begins: what it was asked for, if it was. Who asks from now on asks for the next one, since this one's
    /// list may have been made before.
    pub(super) fn begin(&self) -> Option<Box<str>> {
        let mut serials = self.serials.lock();
        self.is_due.store(false, Ordering::Release);
        serials.asked.take()
    }

    /// A list came that was asked for because of `serial`; `is_known` tells which serials are trusted now. A download that
    /// failed teaches nothing, and does not come here.
    pub(super) fn listed(&self, serial: Option<Box<str>>, is_known: impl Fn(&str) -> bool) {
        let mut serials = self.serials.lock();
        let is_answered =
            |asked: &str| is_known(asked) || serial.as_ref().is_some_and(|serial| serial.eq_ignore_ascii_case(asked));
        let has_answer = serials.asked.as_deref().is_some_and(is_answered);
        if let Some(serial) = serial.filter(|serial| !is_known(serial)) {
            serials.vain.push_back((serial, Instant::now()));
            if serials.vain.len() > MAX_VAIN {
                serials.vain.pop_front();
            }
        }
        if has_answer {
            serials.asked = None;
            self.is_due.store(false, Ordering::Release);
        }
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
        asked.listed(asked.begin(), |_| false);
        asked.ask(SERIAL);
        asked.ask(&SERIAL.to_lowercase());
        assert!(!is_due(&asked), "it is known to be unknown");
        asked.ask(&SERIAL.replace('5', "6"));
        assert!(is_due(&asked), "another one is not");
        asked.listed(asked.begin(), |_| true);
        tokio::time::advance(VAIN_FOR).await;
        asked.ask(SERIAL);
        assert!(is_due(&asked));
    }

    #[tokio::test]
    async fn a_failed_download_teaches_nothing() {
        let asked = Asked::default();
        asked.ask(SERIAL);
        drop(asked.begin());
        asked.ask(SERIAL);
        assert!(is_due(&asked));
    }

    #[tokio::test]
    async fn who_asks_while_a_download_is_under_way_asks_for_the_next_one() {
        let asked = Asked::default();
        let begun = asked.begin();
        asked.ask(SERIAL);
        asked.listed(begun, |_| false);
        assert!(is_due(&asked), "its list may have been made before");
        let begun = asked.begin();
        asked.ask(SERIAL);
        asked.listed(begun, |serial| serial == SERIAL);
        assert!(!is_due(&asked), "there it is");
        asked.ask(SERIAL);
        let begun = asked.begin();
        asked.ask(SERIAL);
        asked.listed(begun, |_| false);
        assert!(!is_due(&asked), "the same one was looked for just now");
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
            asked.listed(asked.begin(), |_| false);
        }
        let serials = asked.serials.lock();
        assert_eq!((serials.vain.len(), serials.asked.is_none()), (MAX_VAIN, true));
    }
}
