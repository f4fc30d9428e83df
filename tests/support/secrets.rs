//! Fake credentials, made from their structure so that none stands in the source. The same seed gives the same
//! ones. None of them opens anything.

use layersift::rules::Example;

/// Makes fake credentials.
pub struct Secrets {
    state: u64,
}

const DIGITS: &str = "0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A generator; different seeds give different secrets.
pub fn secrets(seed: u64) -> Secrets {
    Secrets { state: seed }
}

impl Secrets {
    /// An access id of 61 characters and its secret, of a Cloud Storage HMAC key.
    pub fn gcs_hmac_pair(&mut self) -> (String, String) {
        let id = self.characters(&[UPPER, DIGITS], 57);
        (format!("{}{id}", "GOOG"), self.base64_characters(40))
    }

    /// An access key id of 20 characters and its secret, of AWS.
    pub fn aws_pair(&mut self) -> (String, String) {
        let id = self.characters(&[UPPER, "234567"], 16);
        (format!("{}{id}", "AKIA"), self.base64_characters(40))
    }

    /// A personal access token of GitHub, the classic form, with a checksum that is right.
    pub fn github_token(&mut self) -> String {
        let random = self.characters(&[DIGITS, UPPER, LOWER], 30);
        let checksum = base62(crc32fast::hash(random.as_bytes()));
        format!("{}_{random}{checksum}", "ghp")
    }

    /// A password of letters and digits.
    pub fn password(&mut self, length: usize) -> String {
        self.characters(&[DIGITS, UPPER, LOWER], length)
    }

    /// A private key that parses: PKCS#8, P-256, made for this seed.
    pub fn private_key(&mut self) -> String {
        let template = "{@pkcs8-pem}\n".to_owned();
        let example = Example {
            template,
            path: None,
            expect: Vec::new(),
            strict: false,
        };
        String::from_utf8(example.expand(self.next()).expect("there is such a structure"))
            .expect("PEM is text")
    }

    /// Characters of these classes, no two neighbours equal.
    pub fn characters(&mut self, classes: &[&str], length: usize) -> String {
        let alphabet: Vec<char> = classes.iter().flat_map(|class| class.chars()).collect();
        let mut text = String::new();
        let mut last = None;
        while text.len() < length {
            let next = alphabet[(self.next() % alphabet.len() as u64) as usize];
            if last != Some(next) {
                text.push(next);
                last = Some(next);
            }
        }
        text
    }

    fn base64_characters(&mut self, length: usize) -> String {
        // Always with both signs in it, so that a rule without them is caught.
        let mut text = self.characters(&[DIGITS, UPPER, LOWER], length - 2);
        text.insert(length / 3, '/');
        text.insert(length / 2, '+');
        text
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Six digits, the most significant one first.
fn base62(mut number: u32) -> String {
    let digits: Vec<char> = [DIGITS, UPPER, LOWER].concat().chars().collect();
    let mut text = ['0'; 6];
    for digit in text.iter_mut().rev() {
        *digit = digits[(number % 62) as usize];
        number /= 62;
    }
    text.iter().collect()
}
