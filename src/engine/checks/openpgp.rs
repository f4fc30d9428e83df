//! OpenPGP secret keys: from the packets of an armoured block to whether a usable secret is among them.
//! Reads the public fields only as far as the byte that tells how the secret is protected.

/// What the secret key packets of a block hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Every secret is under a passphrase.
    Passphrase,
    /// One at least is in the clear.
    None,
}

/// Looks for secret key packets (tags 5 and 7). `None` where the first packet is not one, where a length lies, or
/// where all are stubs whose secret is kept elsewhere. *Source*: RFC 9580 sections 4.2 and 5.5.
pub fn protection(bytes: &[u8]) -> Option<Protection> {
    let mut rest = bytes;
    let mut found = None;
    let mut is_first = true;
    while !rest.is_empty() {
        let (tag, body, after) = packet(rest)?;
        if is_first && tag != 5 {
            return None;
        }
        is_first = false;
        rest = after;
        if tag != 5 && tag != 7 {
            continue;
        }
        match secret_of(body)? {
            Secret::Plain => return Some(Protection::None),
            Secret::Encrypted => found = Some(Protection::Passphrase),
            Secret::Elsewhere => {}
        }
    }
    found
}

/// CRC-24 of OpenPGP armour.
pub fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 16, |sum, _| {
            let shifted = sum << 1;
            if shifted & 0x0100_0000 == 0 {
                shifted
            } else {
                shifted ^ 0x0186_4cfb
            }
        })
    }) & 0x00ff_ffff
}

enum Secret {
    Plain,
    Encrypted,
    /// GnuPG's stubs: the secret is on a card or was taken out.
    Elsewhere,
}

fn secret_of(body: &[u8]) -> Option<Secret> {
    let version = *body.first()?;
    let algorithm = *body.get(5)?;
    // Version 6 counts the bytes of the public fields.
    let mut rest = body.get(if version == 6 { 10 } else { 6 }..)?;
    if !matches!(version, 4 | 6) {
        return None;
    }
    match algorithm {
        1..=3 => skip_integers(&mut rest, 2)?,
        16 => skip_integers(&mut rest, 3)?,
        17 => skip_integers(&mut rest, 4)?,
        18 | 19 | 22 => {
            let length = usize::from(*rest.first()?);
            rest = rest.get(1 + length..)?;
            skip_integers(&mut rest, 1)?;
            if algorithm == 18 {
                let length = usize::from(*rest.first()?);
                rest = rest.get(1 + length..)?;
            }
        }
        25 | 27 => rest = rest.get(32..)?,
        26 => rest = rest.get(56..)?,
        28 => rest = rest.get(57..)?,
        _ => return None,
    }
    let (&usage, rest) = rest.split_first()?;
    match usage {
        0 => (rest.len() >= 16).then_some(Secret::Plain),
        // Specifier 101 and the letters GNU, then 1 (no secret) or 2 (on a card).
        254 | 255 if rest.get(1) == Some(&101) && rest.get(3..6) == Some(b"GNU") => Some(Secret::Elsewhere),
        _ => (rest.len() >= 16).then_some(Secret::Encrypted),
    }
}

fn skip_integers(rest: &mut &[u8], count: usize) -> Option<()> {
    for _ in 0..count {
        let (bits, after) = rest.split_first_chunk::<2>()?;
        *rest = after.get(usize::from(u16::from_be_bytes(*bits)).div_ceil(8)..)?;
    }
    Some(())
}

/// Tag, body and what follows.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&head, rest) = bytes.split_first()?;
    if head & 0x80 == 0 {
        return None;
    }
    let (tag, length, rest) = if head & 0x40 == 0 {
        let width = 1usize << (head & 3);
        if width == 8 {
            return None; // indeterminate: not used for keys
        }
        let length = rest
            .get(..width)?
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte));
        (head >> 2 & 15, length, &rest[width..])
    } else {
        let (length, width) = match *rest.first()? {
            short @ 0..=191 => (usize::from(short), 1),
            high @ 192..=223 => (
                ((usize::from(high) - 192) << 8) + usize::from(*rest.get(1)?) + 192,
                2,
            ),
            255 => (u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?) as usize, 5),
            _ => return None, // partial lengths: not allowed for keys
        };
        (head & 63, length, &rest[width..])
    };
    Some((tag, rest.get(..length)?, &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret key packet of Ed25519 in its version 4 form, in the new packet format.
    fn key_packet(tag: u8, tail: &[u8]) -> Vec<u8> {
        let mut body = vec![4, 0x65, 0, 0, 0, 22, 9];
        body.extend([0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1]);
        body.extend([1, 7, 0x40]);
        body.extend([0x5a; 32]);
        body.extend(tail);
        [vec![0xc0 | tag, body.len() as u8], body].concat()
    }

    fn secret(usage: &[u8]) -> Vec<u8> {
        [usage, &[0x33; 40]].concat()
    }

    #[test]
    fn plain_and_protected_secrets_are_told_apart() {
        assert_eq!(protection(&key_packet(5, &secret(&[0]))), Some(Protection::None));
        assert_eq!(
            protection(&key_packet(5, &secret(&[254, 9, 3, 8]))),
            Some(Protection::Passphrase)
        );
    }

    #[test]
    fn a_stub_counts_by_its_subkeys() {
        let stub = key_packet(5, b"\xff\x00\x65\x00GNU\x01");
        assert_eq!(protection(&stub), None);
        let with_subkey = [stub, key_packet(7, &secret(&[0]))].concat();
        assert_eq!(protection(&with_subkey), Some(Protection::None));
    }

    #[test]
    fn public_keys_and_cut_packets_are_refused() {
        assert_eq!(protection(&key_packet(6, &[])), None, "a public key");
        let whole = key_packet(5, &secret(&[0]));
        for length in 1..whole.len() {
            assert_eq!(protection(&whole[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn crc24_of_the_check_string_is_that_of_the_catalogue() {
        // The value every catalogue of checksums gives for CRC-24/OPENPGP.
        assert_eq!(crc24(b"123456789"), 0x21_cf02);
        assert_eq!(crc24(b""), 0xb7_04ce);
    }
}
