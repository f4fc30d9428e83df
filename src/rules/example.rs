//! Expands templates of examples with a seed: the same seed gives the same text. Stores no secret, so that no
//! scanner flags the rules; see `rules/README.md` for the form of templates.

pub mod structures;

use std::fmt;

use super::Example;

impl Example {
    /// The text of the example for `seed`. *Errors*: the template does not parse, or names what there is not.
    pub fn expand(&self, seed: u64) -> Result<Vec<u8>, TemplateError> {
        Template::parse(&self.template)?.expand(seed)
    }
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its other half.
    #[error("a `{0}` without its other half; write it twice to mean itself")]
    Brace(char),
    /// A class of characters that is none.
    #[error("`{0}` is no class of characters")]
    Class(String),
    /// A hole that is none of the known forms.
    #[error("`{{{0}}}` is no hole: `CLASS:N`, `CLASS:N-M`, `=NAME`, `@NAME`, `~TEXT` or `^`")]
    Hole(String),
    /// A structure or a computed value that does not exist, or not with these arguments.
    #[error("there is no `{0}`")]
    Unknown(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Characters { class: Class, least: usize, most: usize },
    Computed(Computed),
    Mark,
    Structure { name: String, args: Vec<String> },
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Computed {
    Crc32Base36,
    Crc32Base62,
    Crc32HexBe,
    Crc32HexLe,
    XorBase62,
}

/// Characters of a hole; each range of several characters stands for a kind that must occur.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Class {
    ranges: Vec<(u8, u8)>,
}

/// The most characters of one hole.
const HOLE_CHARACTERS: usize = 4096;

impl Template {
    /// Parses `text`. Does not look up structures.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = rest.as_bytes()[at];
            let after = &rest[at + 1..];
            if after.as_bytes().first() == Some(&brace) {
                literal.push(brace as char);
                rest = &after[1..];
                continue;
            }
            if brace == b'}' {
                return Err(TemplateError::Brace('}'));
            }
            let Some((hole, next)) = after.split_once('}') else {
                return Err(TemplateError::Brace('{'));
            };
            if let Some(verbatim) = hole.strip_prefix('~') {
                literal.push_str(verbatim);
            } else {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::parse(hole)?);
            }
            rest = next;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// The text for `seed`. *Errors*: a structure that does not exist.
    pub fn expand(&self, seed: u64) -> Result<Vec<u8>, TemplateError> {
        let mut rng = Rng::new(seed);
        let mut out = Vec::new();
        let mut mark = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Characters { class, least, most } => {
                    let length = least + rng.below(most - least + 1);
                    out.extend(class.draw(length, &mut rng));
                }
                Piece::Computed(computed) => {
                    let line = out.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                    let value = computed.of(&out[mark.max(line)..]);
                    out.extend(value);
                }
                Piece::Mark => mark = out.len(),
                Piece::Structure { name, args } => {
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    let made = structures::structure(name, &args, &mut rng);
                    out.extend(made.ok_or_else(|| TemplateError::Unknown(format!("@{name}")))?);
                }
                Piece::Text(text) => out.extend(text.as_bytes()),
            }
        }
        Ok(out)
    }
}

impl Piece {
    fn parse(hole: &str) -> Result<Self, TemplateError> {
        if hole == "^" {
            return Ok(Self::Mark);
        }
        if let Some(name) = hole.strip_prefix('=') {
            return match name {
                "crc32-base36" => Ok(Self::Computed(Computed::Crc32Base36)),
                "crc32-base62" => Ok(Self::Computed(Computed::Crc32Base62)),
                "crc32-hex-be" => Ok(Self::Computed(Computed::Crc32HexBe)),
                "crc32-hex-le" => Ok(Self::Computed(Computed::Crc32HexLe)),
                "xor-base62" => Ok(Self::Computed(Computed::XorBase62)),
                _ => Err(TemplateError::Unknown(hole.to_owned())),
            };
        }
        if let Some(call) = hole.strip_prefix('@') {
            let mut words = call.split(':').map(str::to_owned);
            return match words.next() {
                Some(name) if !name.is_empty() => Ok(Self::Structure {
                    name,
                    args: words.collect(),
                }),
                _ => Err(TemplateError::Hole(hole.to_owned())),
            };
        }
        let wrong = || TemplateError::Hole(hole.to_owned());
        let (class, count) = hole.rsplit_once(':').ok_or_else(wrong)?;
        let (least, most) = count.split_once('-').unwrap_or((count, count));
        let least: usize = least.parse().map_err(|_| wrong())?;
        let most: usize = most.parse().map_err(|_| wrong())?;
        if least > most || most > HOLE_CHARACTERS {
            return Err(wrong());
        }
        Ok(Self::Characters {
            class: Class::parse(class)?,
            least,
            most,
        })
    }
}

impl Class {
    /// Reads what stands between the brackets of a class: characters, ranges, `\` before a character that means
    /// itself. A hyphen at either end means itself.
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let wrong = || TemplateError::Class(text.to_owned());
        if !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = text.bytes().peekable();
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        while let Some(byte) = bytes.next() {
            let first = if byte == b'\\' {
                bytes.next().ok_or_else(wrong)?
            } else {
                byte
            };
            let mut ahead = bytes.clone();
            let last = match (ahead.next(), ahead.next()) {
                (Some(b'-'), Some(last)) => {
                    bytes = ahead;
                    if last == b'\\' {
                        bytes.next().ok_or_else(wrong)?
                    } else {
                        last
                    }
                }
                _ => first,
            };
            if last < first {
                return Err(wrong());
            }
            ranges.push((first, last));
        }
        if ranges.is_empty() {
            return Err(wrong());
        }
        Ok(Self { ranges })
    }

    /// `length` characters that look random at any length: none three times in a row, none much more often than
    /// others, and from 8 characters on one of every range.
    fn draw(&self, length: usize, rng: &mut Rng) -> Vec<u8> {
        // A class of more ranges than characters never has one of each; a few hundred tries tell.
        let tries = if length < 8 { 1 } else { 300 };
        let mut text = Vec::new();
        for _ in 0..tries {
            text = self.draw_once(length, rng);
            let mut kinds = self.ranges.iter().filter(|(first, last)| first < last);
            if kinds.all(|(first, last)| text.iter().any(|byte| (first..=last).contains(&byte))) {
                break;
            }
        }
        text
    }

    fn draw_once(&self, length: usize, rng: &mut Rng) -> Vec<u8> {
        let mut all: Vec<u8> = self
            .ranges
            .iter()
            .flat_map(|&(first, last)| first..=last)
            .collect();
        all.sort_unstable();
        all.dedup();
        // One more than on average at most, so that the entropy is high for sure and not only most likely.
        let most = length.div_ceil(all.len()) + 1;
        let mut used = [0_usize; 256];
        let mut out: Vec<u8> = Vec::with_capacity(length);
        while out.len() < length {
            let byte = all[rng.below(all.len())];
            let third = all.len() > 2 && out.len() >= 2 && out[out.len() - 2..] == [byte, byte];
            if third || used[usize::from(byte)] >= most {
                continue;
            }
            used[usize::from(byte)] += 1;
            out.push(byte);
        }
        out
    }
}

impl Computed {
    fn of(self, text: &[u8]) -> Vec<u8> {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        match self {
            Self::Crc32Base36 => digits(crc32fast::hash(text), &DIGITS[..36], 7).to_ascii_lowercase(),
            Self::Crc32Base62 => digits(crc32fast::hash(text), DIGITS, 6),
            Self::Crc32HexBe | Self::Crc32HexLe => {
                // The underscore between the text and its checksum is not part of either.
                let checksum = crc32fast::hash(text.strip_suffix(b"_").unwrap_or(text));
                let bytes = match self {
                    Self::Crc32HexLe => checksum.to_le_bytes(),
                    _ => checksum.to_be_bytes(),
                };
                crate::text::hex(&bytes).into_bytes()
            }
            Self::XorBase62 => {
                let digits = [&DIGITS[10..], &DIGITS[..10]].concat();
                let sum = text.iter().fold(0, |sum, byte| sum ^ byte);
                vec![digits[usize::from(sum) % digits.len()]]
            }
        }
    }
}

/// `number` in the system that has these digits, with leading zeros up to `width`.
fn digits(mut number: u32, digits: &[u8], width: usize) -> Vec<u8> {
    let base = digits.len() as u32;
    let mut out = Vec::new();
    while number > 0 || out.len() < width {
        out.push(digits[(number % base) as usize]);
        number /= base;
    }
    out.reverse();
    out
}

/// A small generator of numbers that look random (splitmix64). Not for secrets of value.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 where `end` is 0. The bias is below 2⁻³² for the ends used here.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % (end.max(1) as u64)) as usize
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[0]).collect()
    }

    /// So many characters of a class written as in a template, such as `A-Za-z0-9`; empty where it is no class.
    pub fn characters(&mut self, class: &str, count: usize) -> Vec<u8> {
        Class::parse(class).map_or_else(
            |_| Vec::new(),
            |class| class.draw(count.min(HOLE_CHARACTERS), self),
        )
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, seed: u64) -> String {
        String::from_utf8(Template::parse(template).unwrap().expand(seed).unwrap()).unwrap()
    }

    #[test]
    fn text_outside_of_holes_stays_and_doubled_braces_mean_themselves() {
        assert_eq!(expand("a {{b}} {~c}{~d}", 1), "a {b} cd");
    }

    #[test]
    fn a_seed_gives_the_same_text_and_another_seed_another() {
        assert_eq!(expand("{A-Z0-9:20}", 7), expand("{A-Z0-9:20}", 7));
        assert_ne!(expand("{A-Z0-9:20}", 7), expand("{A-Z0-9:20}", 8));
    }

    #[test]
    fn a_class_is_drawn_within_its_bounds_with_every_range_and_no_runs() {
        for seed in 0..300 {
            for (template, least, most) in [("{A-Za-z0-9_-:8}", 8, 8), ("{a-f0-9:30-40}", 30, 40)] {
                let text = expand(template, seed);
                assert!((least..=most).contains(&text.len()), "{text}");
                assert!(text.bytes().any(|byte| byte.is_ascii_digit()), "{text}");
                assert!(text.bytes().any(|byte| byte.is_ascii_lowercase()), "{text}");
                assert!(
                    !text
                        .as_bytes()
                        .windows(3)
                        .any(|three| three[0] == three[1] && three[1] == three[2]),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_hyphen_at_the_end_of_a_class_is_itself() {
        let class = Class::parse("a-c_-").unwrap();
        assert_eq!(class.ranges, [(b'a', b'c'), (b'_', b'_'), (b'-', b'-')]);
        assert_eq!(Class::parse("-a").unwrap().ranges, [(b'-', b'-'), (b'a', b'a')]);
        assert_eq!(Class::parse(r"\--/").unwrap().ranges, [(b'-', b'/')]);
    }

    #[test]
    fn a_checksum_covers_what_was_made_since_the_mark_on_its_line() {
        let text = expand("x\nab_{^}{a-z:30}{=crc32-base62}", 3);
        let body = &text[5..35];
        assert_eq!(&text.as_bytes()[35..], Computed::Crc32Base62.of(body.as_bytes()));
        assert_eq!(text.len(), 41);
        // CRC-32 of "123456789" is CBF43926: the check value of its specification.
        assert_eq!(expand("123456789_{=crc32-hex-le}", 0), "123456789_2639f4cb");
        assert_eq!(
            expand("x_{^}123456789_{=crc32-hex-be}", 0),
            "x_123456789_cbf43926"
        );
        // `a` is 97, and digit 97 - 62 = 35 is `j`.
        assert_eq!(expand("x_{^}a{=xor-base62}", 0), "x_aj");
        assert_eq!(Computed::Crc32Base36.of(b"123456789"), b"1kl8mjq");
    }

    #[test]
    fn wrong_templates_are_refused() {
        assert_eq!(Template::parse("a}"), Err(TemplateError::Brace('}')));
        assert_eq!(Template::parse("{a"), Err(TemplateError::Brace('{')));
        assert_eq!(Template::parse("{abc}"), Err(TemplateError::Hole("abc".into())));
        assert_eq!(
            Template::parse("{a:5-3}"),
            Err(TemplateError::Hole("a:5-3".into()))
        );
        assert_eq!(
            Template::parse("{z-a:5}"),
            Err(TemplateError::Class("z-a".into()))
        );
        assert_eq!(
            Template::parse("{=md5}"),
            Err(TemplateError::Unknown("=md5".into()))
        );
        let unknown = Template::parse("{@no-such-thing}").unwrap().expand(0);
        assert_eq!(unknown, Err(TemplateError::Unknown("@no-such-thing".into())));
    }
}
