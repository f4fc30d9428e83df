//! One blob, from its first byte to its last, over as many connections as that takes. Keeps no byte and verifies no
//! digest.
//!
//! After a drop the rest is asked for at the registry, never at the address it redirected to: that one was signed
//! for a short time. Where the rest cannot be had alone, the blob is sent again and what was delivered is skipped.

use std::sync::Arc;

use bytes::Buf as _;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use tokio::sync::OwnedSemaphorePermit;

use super::client::Wanted;
use super::places::{Place, Places};
use super::retry::{Fault, Tries};
use super::transport::{self, Answer, Body};
use crate::oci::Digest;
use crate::source::SourceError;
use crate::source::network::Writer;

/// Progress that earns a download its full number of tries again.
const PROGRESS: u64 = 1024 * 1024;

/// A blob whose first answer has arrived.
pub(super) struct Download {
    places: Arc<Places>,
    /// Where it comes from at present.
    place: Place,
    wanted: Wanted,
    /// What the manifest says.
    size: Option<u64>,
    delivered: u64,
    /// Where the last failure was.
    failed_at: u64,
    /// Whether the server gives parts of the blob, as far as is known.
    ranges: bool,
    tries: Tries,
    answer: Option<Answer>,
    _slot: OwnedSemaphorePermit,
}

/// How an attempt ended.
enum Ended {
    Complete,
    /// The reader was dropped.
    Unwanted,
}

impl Download {
    /// Asks for the blob until an answer arrives or the tries are used up.
    pub(super) async fn open(
        places: Arc<Places>,
        digest: Digest,
        size: Option<u64>,
        slot: OwnedSemaphorePermit,
    ) -> Result<Self, SourceError> {
        let mut place = places.from(0);
        let mut tries = place.client.tries();
        let wanted = Wanted::Blob(digest.clone());
        let answer = loop {
            let client = &place.client;
            let failed = match client.request(&wanted, None).await {
                Ok(answer) => break answer,
                Err(fault) => tries.wait(fault, &client.gates, client.host()).await,
            };
            if let Err(error) = failed {
                place = places.after(&place, error)?;
                tries = place.client.tries();
            }
        };
        places.gives(&place, &digest);
        Ok(Self {
            places,
            place,
            wanted,
            size,
            delivered: 0,
            failed_at: 0,
            ranges: true,
            tries,
            answer: Some(answer),
            _slot: slot,
        })
    }

    /// Delivers the blob.
    pub(super) async fn run(mut self, writer: Writer) {
        loop {
            let fault = match self.attempt(&writer).await {
                Ok(Ended::Complete) => return writer.finish(),
                Ok(Ended::Unwanted) => return,
                Err(Fault::Range) => {
                    self.ranges = false;
                    continue;
                }
                Err(fault) => fault,
            };
            if self.delivered - self.failed_at >= PROGRESS {
                self.tries.renew();
            }
            self.failed_at = self.delivered;
            let client = &self.place.client;
            let failed = self.tries.wait(fault, &client.gates, client.host()).await;
            if let Err(error) = failed {
                // The rest may be elsewhere; whether the whole then fits together, its digest tells.
                match self.places.after(&self.place, error) {
                    Ok(place) => self.place = place,
                    Err(error) => return writer.fail(error),
                }
                self.tries = self.place.client.tries();
                self.ranges = true;
            }
        }
    }

    async fn attempt(&mut self, writer: &Writer) -> Result<Ended, Fault> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None => {
                let from = (self.ranges && self.delivered > 0).then_some(self.delivered);
                self.place.client.request(&self.wanted, from).await?
            }
        };
        let mut skip = match answer.response.status() {
            StatusCode::PARTIAL_CONTENT
                if continues(answer.response.headers(), self.delivered, self.size) =>
            {
                0
            }
            // A part that is not the one asked for, or of something else.
            StatusCode::PARTIAL_CONTENT if self.ranges => return Err(Fault::Range),
            StatusCode::PARTIAL_CONTENT => return Err(self.not_whole(&answer).into()),
            _ => self.delivered,
        };
        let is_part = answer.response.status() == StatusCode::PARTIAL_CONTENT;
        let mut body = Body::new(answer, self.place.client.limits.idle_timeout);
        let before = if is_part { self.delivered } else { 0 };
        let rest = self.size.and_then(|size| size.checked_sub(before));
        if body.length.is_none() || body.length != rest {
            // With the size of the manifest the bytes are as stored, whatever the header calls them.
            body.refuse_encoding(&self.wanted.to_string())?;
        }
        loop {
            let mut chunk = match body.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // A length that was stated too large; there is nothing left to ask for.
                Err(_) if skip == 0 && self.size == Some(self.delivered) => return Ok(Ended::Complete),
                Err(fault) => return Err(fault),
            };
            let known = skip.min(chunk.len() as u64);
            chunk.advance(known as usize);
            skip -= known;
            self.delivered += chunk.len() as u64;
            if !chunk.is_empty() && writer.write(chunk).await.is_err() {
                return Ok(Ended::Unwanted);
            }
        }
        let short = skip > 0 || self.size.is_some_and(|size| self.delivered < size);
        match short && (skip > 0 || body.end_is_ambiguous()) {
            true => Err(transport::broken_off(
                self.place.client.host().to_owned(),
                &self.wanted.to_string(),
            )),
            // Also where it is shorter than the manifest says: that is for the caller to see.
            false => Ok(Ended::Complete),
        }
    }

    fn not_whole(&self, answer: &Answer) -> SourceError {
        SourceError::Malformed {
            what: self.wanted.to_string(),
            why: format!("`{}` sent a part although the whole was asked for", answer.host),
        }
    }
}

/// Whether the answer is exactly the rest: one `Content-Range` that starts at `from` and ends with the object, whose
/// total is `size` where that is known. *Source*: RFC 9110, 14.4.
pub(super) fn continues(headers: &HeaderMap, from: u64, size: Option<u64>) -> bool {
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some((first, last, total)) = value.to_str().ok().and_then(content_range) else {
        return false;
    };
    first == from && last.checked_add(1) == Some(total) && size.is_none_or(|size| size == total)
}

/// `bytes first-last/total` as numbers. A total of `*` is none we can check.
fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let digits = |text: &str| {
        let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| all)
    };
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (digits(first)?, digits(last)?, digits(total)?);
    (first <= last && last < total).then_some((first, last, total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_RANGE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_the_exact_rest_continues_a_blob() {
        assert!(continues(&headers(&["bytes 10-99/100"]), 10, Some(100)));
        assert!(continues(&headers(&["bytes 10-99/100"]), 10, None));
        for values in [
            &[][..],
            &["bytes 10-99/100", "bytes 10-99/100"],
            &["bytes 9-99/100"],
            &["bytes 11-99/100"],
            &["bytes 10-98/100"],
            &["bytes 10-99/*"],
            &["bytes 10-100/100"],
            &["bytes 10-100/101"],
            &["bytes */100"],
            &["bytes=10-99/100"],
            &["items 10-99/100"],
            &["bytes 10-9/100"],
            &["bytes +10-99/100"],
            &["bytes 10-18446744073709551615/18446744073709551616"],
        ] {
            assert!(!continues(&headers(values), 10, Some(100)), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn a_range_that_is_written_is_read(first in 0..1000u64, length in 1..1000u64, rest in 0..1000u64) {
            let (last, total) = (first + length - 1, first + length + rest);
            prop_assert_eq!(content_range(&format!("bytes {first}-{last}/{total}")), Some((first, last, total)));
        }

        #[test]
        fn no_range_makes_the_parser_panic(value in "[ -~]{0,60}|bytes [-0-9/*]{0,60}") {
            let _ = content_range(&value);
        }
    }
}
