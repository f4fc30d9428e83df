//! When a failed request is worth another try, and how long to wait before it. Sends nothing itself.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::limits::Limits;
use crate::source::SourceError;

/// The pause between tries: random between zero and a ceiling that doubles, so that many clients which failed
/// together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling after the first failure.
    pub first: Duration,
    /// The highest ceiling.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The ceiling after `failures` failures in a row.
    fn ceiling(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    fn pause(self, failures: u32) -> Duration {
        let ceiling = self.ceiling(failures);
        // The hasher's random keys are the only randomness needed here: nothing depends on its quality.
        let fraction = RandomState::new().hash_one(failures) as f64 / u64::MAX as f64;
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another try would end the same way.
    Lasting(SourceError),
    /// Another try may succeed.
    Passing {
        error: SourceError,
        /// How long the server asks to be left alone.
        after: Option<Duration>,
    },
    /// The server does not give this part of the object; it may give the whole.
    Range,
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::Lasting(error)
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(super) struct Tries {
    failures: u32,
    allowed: u32,
    backoff: Backoff,
    longest_after: Duration,
}

impl Tries {
    pub(super) fn new(limits: &Limits, backoff: Backoff) -> Self {
        Self {
            failures: 0,
            allowed: limits.tries.max(1),
            backoff,
            longest_after: limits.retry_after,
        }
    }

    /// Forgets the failures so far: something was achieved since.
    pub(super) fn renew(&mut self) {
        self.failures = 0;
    }

    /// Waits until the next try is due, or gives the error back where there is none.
    pub(super) async fn wait(&mut self, fault: Fault, gates: &Gates, host: &str) -> Result<(), SourceError> {
        let (error, after) = match fault {
            Fault::Lasting(error) => return Err(error),
            Fault::Passing { error, after } => (error, after),
            Fault::Range => return Ok(()),
        };
        self.failures += 1;
        if self.failures >= self.allowed {
            return Err(error);
        }
        match after {
            Some(after) if after > self.longest_after => {
                return Err(too_long(error, after, self.longest_after));
            }
            Some(after) => gates.close(host, after).await,
            None => tokio::time::sleep(self.backoff.pause(self.failures)).await,
        }
        tracing::debug!(host, failures = self.failures, "trying again");
        Ok(())
    }
}

fn too_long(error: SourceError, after: Duration, longest: Duration) -> SourceError {
    match error {
        SourceError::Status {
            host, what, status, ..
        } => SourceError::Status {
            host,
            what,
            status,
            why: format!(
                "it asks to wait {} s, which is over the limit of {} s",
                after.as_secs(),
                longest.as_secs()
            ),
        },
        other => other,
    }
}

/// Until when each host asked to be left alone. One answer holds back every request to that host.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<String, Instant>>);

impl Gates {
    /// The hosts that are to be left alone, and for how much longer.
    pub(super) async fn closed(&self) -> Vec<(String, Duration)> {
        let now = Instant::now();
        let gates = self.0.lock().await;
        let closed = gates.iter().filter(|(_, until)| **until > now);
        closed.map(|(host, until)| (host.clone(), *until - now)).collect()
    }

    pub(super) async fn close(&self, host: &str, after: Duration) {
        let until = Instant::now() + after;
        let mut gates = self.0.lock().await;
        let gate = gates.entry(host.to_owned()).or_insert(until);
        *gate = (*gate).max(until);
    }

    /// Waits while `host` is to be left alone.
    pub(super) async fn pass(&self, host: &str) {
        loop {
            let until = self.0.lock().await.get(host).copied();
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// Whether a status tells of a condition that may pass.
pub(super) fn may_pass(status: StatusCode) -> bool {
    // 425: too early. 499 and 520 to 526 are proxies that lost their client or their origin.
    matches!(status.as_u16(), 408 | 425 | 429 | 499 | 500 | 502..=504 | 520..=524 | 527 | 529 | 598)
}

/// The least number that is taken for a time since 1970 and not for seconds to wait: September 2001, or 31 years.
const STAMPS: u64 = 1_000_000_000;

/// What a `Retry-After` asks for: seconds or a date (RFC 9110, 10.2.3), or a date in seconds since 1970, as Docker Hub
/// has written it. A date in the past means now; anything else is not understood.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::from(u32::MAX));
        if !(STAMPS..u64::from(u32::MAX)).contains(&seconds) {
            return Some(Duration::from_secs(seconds));
        }
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        return Some(date.duration_since(now).unwrap_or_default());
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 10:00:00 GMT").unwrap();
        let seconds = |text: &str| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("2"), Some(2));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("86400"), Some(86_400));
        assert_eq!(seconds("Sat, 21 Nov 2026 10:01:30 GMT"), Some(90));
        let stamp = |seconds: u64| {
            (now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + seconds).to_string()
        };
        assert_eq!(seconds(&stamp(90)), Some(90));
        assert_eq!(seconds("1000000000"), Some(0), "past");
        assert_eq!(seconds("Sat, 21 Nov 2020 10:00:00 GMT"), Some(0), "past");
        assert_eq!(seconds("999999999999999999999999"), Some(u64::from(u32::MAX)));
        for garbage in ["", "soon", "-5", "1.5", "+3", "2026-11-21"] {
            assert_eq!(seconds(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn the_pause_grows_to_its_ceiling_and_never_beyond() {
        let backoff = Backoff::default();
        let ceilings: Vec<u128> = (1..=8).map(|n| backoff.ceiling(n).as_millis()).collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        for failures in (1..200).chain([u32::MAX]) {
            assert!(backoff.pause(failures) <= backoff.ceiling(failures));
        }
    }

    #[test]
    fn refusals_are_not_tried_again() {
        for status in [200, 206, 301, 400, 401, 403, 404, 405, 410, 416, 501, 505] {
            assert!(!may_pass(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [408, 429, 499, 500, 502, 503, 504, 522] {
            assert!(may_pass(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }
}
