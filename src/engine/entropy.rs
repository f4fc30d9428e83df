//! How random a secret looks. Knows no thresholds: a rule brings its own.

/// Shannon entropy in bits per byte, 0 for no bytes. A text of `n` bytes has at most log₂ `n`.
pub(super) fn shannon(bytes: &[u8]) -> f32 {
    let total = bytes.len() as f32;
    let bits: f32 = counts(bytes)
        .into_iter()
        .filter(|&count| count > 0)
        .map(|count| {
            let share = count as f32 / total;
            -share * share.log2()
        })
        .sum();
    bits
}

/// The entropy that `length` characters have on average which are drawn evenly from an alphabet of so many.
pub(super) fn expected(length: usize, alphabet: usize) -> f32 {
    if length == 0 || alphabet < 2 {
        return 0.0;
    }
    // The mean over how often one character turns up, which is a binomial distribution.
    let (length, share) = (length as f64, 1.0 / alphabet as f64);
    let odds = share / (1.0 - share);
    let mut chance = (1.0 - share).powf(length);
    let mut mean = 0.0;
    let mut times = 0.0;
    while times < length {
        chance *= (length - times) / (times + 1.0) * odds;
        times += 1.0;
        mean += chance * times * times.log2();
    }
    (length.log2() - alphabet as f64 / length * mean) as f32
}

fn counts(bytes: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts
}

/// Whether more than half of `bytes` stands in runs of four or more equal bytes: `AKIAXXXXXXXXXXXXXXXX`.
///
/// A random text of usual length and alphabet has such a run once in ten thousand and never that many.
pub(super) fn is_filler(bytes: &[u8]) -> bool {
    let in_runs: usize = bytes
        .chunk_by(|one, next| one == next)
        .map(<[u8]>::len)
        .filter(|&length| length >= 4)
        .sum();
    in_runs * 2 > bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_that_of_the_distribution_of_bytes() {
        assert_eq!(shannon(b""), 0.0);
        assert_eq!(shannon(b"aaaa"), 0.0);
        assert_eq!(shannon(b"abab"), 1.0);
        assert_eq!(shannon(b"abcdefgh"), 3.0);
    }

    #[test]
    fn expected_entropy_grows_with_length_and_alphabet_to_that_of_the_alphabet() {
        // Means of 20,000 simulated texts.
        for (length, alphabet, mean) in [
            (10, 10, 2.553),
            (32, 16, 3.611),
            (20, 62, 4.033),
            (128, 90, 5.909),
        ] {
            assert!(
                (expected(length, alphabet) - mean).abs() < 0.01,
                "{length} of {alphabet}"
            );
        }
        assert!((expected(10_000, 16) - 4.0).abs() < 0.01);
        assert_eq!(expected(0, 16), 0.0);
        assert_eq!(expected(20, 1), 0.0);
    }

    #[test]
    fn filler_is_a_text_mostly_of_runs() {
        assert!(is_filler(b"AKIAXXXXXXXXXXXXXXXX"));
        assert!(is_filler(b"********"));
        assert!(!is_filler(b"abcXXXXdefgh"));
        assert!(!is_filler(b"aaabbbcccddd"));
        assert!(!is_filler(b""));
    }
}
