//! The shape of a rule after it was loaded and checked. The TOML form is described in `rules/README.md`.

use super::grade::lowercase_display;
use super::{Confidence, Evidence, RuleId, Severity};

/// The most bytes a match may have. A rule that cannot keep to it is refused.
pub const MAX_MATCH: usize = 16 * 1024;

/// How far from a literal a rule may look, in either direction: a match, plus its context and the other
/// half of a pair. A rule that reaches further is refused.
pub const REACH: usize = MAX_MATCH + 4 * 1024;

/// One kind of credential.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Names it had before; a baseline made with one of them still fits.
    pub formerly: Vec<RuleId>,
    /// A few words, as a heading.
    pub title: String,
    /// One or two sentences: what it is and what it opens.
    pub description: String,
    /// Who issues it: the name of its file.
    pub provider: String,
    /// What a live one opens.
    pub severity: Severity,
    /// How sure a match is before evidence moves it.
    pub confidence: Confidence,
    /// Whether the value can be guessed, which decides how it is fingerprinted.
    pub kind: SecretKind,
    /// Whether the anchor alone is an identifier, no leak by itself. Such a rule has parts.
    pub identifier: bool,
    /// Whether it describes no one credential: any other rule that finds the same text is preferred.
    pub generic: bool,
    /// The anchor: what the literals lead to.
    pub anchor: Part,
    /// The other halves of a credential that has several.
    pub parts: Vec<Part>,
    /// Paths the rule is limited to, as globs; empty for any.
    pub paths: Vec<globset::Glob>,
    /// What only rules in the format of Gitleaks have.
    pub filter: Option<Box<Filter>>,
    /// How to revoke one.
    pub revoke: String,
    /// Where the facts come from.
    pub references: Vec<String>,
    /// Entries of the catalogue of formats this rule covers.
    pub covers: Vec<String>,
    /// Templates of texts it must find.
    pub examples: Vec<Example>,
    /// Templates of texts it must not find.
    pub counter_examples: Vec<Example>,
}

impl Rule {
    /// Whether no text leads to it, so that its expression runs over every byte.
    pub fn is_slow(&self) -> bool {
        self.anchor.literals.is_empty() && self.anchor.key.is_none() && self.paths.is_empty()
    }

    /// Whether only the path of a small file leads to it.
    pub fn is_by_path(&self) -> bool {
        self.anchor.literals.is_empty() && self.anchor.key.is_none() && !self.paths.is_empty()
    }
}

/// What a rule in the format of Gitleaks lets pass or is limited to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The expression that the path of a file must match.
    pub path: Option<String>,
    /// Matches that are none.
    pub allow: Vec<Allow>,
}

/// Matches that are none: those that one of its conditions holds for, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Expressions that match `target`.
    pub regexes: Vec<String>,
    /// What they are held against.
    pub target: AllowTarget,
    /// Expressions that match the path.
    pub paths: Vec<String>,
    /// Words in the secret, lower-case.
    pub stopwords: Vec<Vec<u8>>,
    /// Whether each kind of condition that is given must hold, not one of them.
    pub needs_all: bool,
}

/// What the expressions of an [`Allow`] are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowTarget {
    /// The secret.
    #[default]
    Secret,
    /// The whole match.
    Match,
    /// The line the match begins in.
    Line,
}

/// One half of a credential, or the whole of an undivided one.
#[derive(Clone, Debug)]
pub struct Part {
    /// `secret`, `id`, `session-token`, …
    pub name: String,
    /// Texts one of which stands in, or shortly before, every match. Empty where the part is only looked for
    /// next to an anchor.
    pub literals: Vec<Literal>,
    /// What a match looks like.
    pub pattern: Pattern,
    /// For a part other than the anchor: what it looks like where it stands alone, if that must be stricter.
    pub alone: Option<Pattern>,
    /// For the anchor: what the key is called whose value it is. Found in addition to what the literals lead to.
    pub key: Option<KeyName>,
    /// What may not stand next to it.
    pub boundary: Boundary,
    /// Words of which one must stand near it.
    pub context: Option<Context>,
    /// Least Shannon entropy of the secret, in bits per byte.
    pub entropy: Option<f32>,
    /// Checks, all of which must not fail.
    pub checks: Vec<Check>,
    /// SHA-256 of values that documentation prints.
    pub samples: Vec<[u8; 32]>,
    /// For a part other than the anchor: how many bytes before or after the anchor it is looked for.
    pub within: u32,
    /// For a part other than the anchor: whether the credential is of use without it.
    pub optional: bool,
}

impl Part {
    /// The furthest a match led to by one of the literals can begin before it or end behind it, in bytes.
    ///
    /// A literal that need not stand in the match stands in its context, which lies between them.
    pub fn furthest(&self) -> usize {
        let literal = self
            .literals
            .iter()
            .map(|literal| literal.text.len())
            .max()
            .unwrap_or(0);
        let furthest = |pattern: &Pattern| match *pattern {
            Pattern::Regex {
                max_bytes,
                lead: Some(_),
                ..
            } => max_bytes as usize,
            Pattern::Regex {
                max_bytes,
                lead: None,
                ..
            } => max_bytes as usize + self.context_bytes() + literal,
            Pattern::Extractor(_) => MAX_MATCH,
        };
        let alone = self.alone.as_ref().map_or(0, furthest);
        let key = self.key.as_ref().map_or(0, |_| KEY_REACH);
        furthest(&self.pattern).max(alone).max(key)
    }

    /// How many bytes around a match decide whether it is one: its context, and a boundary, which is at most an
    /// escape such as `\u0022`.
    pub fn margin(&self) -> usize {
        self.context_bytes() + 8
    }

    fn context_bytes(&self) -> usize {
        self.context
            .as_ref()
            .map_or(0, |context| context.before.max(context.after) as usize)
    }
}

/// How far the value of a key can end behind a word in its name, in bytes.
const KEY_REACH: usize = 1536;

/// What the key of a value is called, however it is spelled and whatever the language.
#[derive(Clone, Debug)]
pub struct KeyName {
    /// An expression for the words of the name and of what encloses it, in lower case: those of one name are joined
    /// by `_`, names by a dot.
    pub names: String,
    /// Texts one of which every such name holds, when `_` and dots are left out of it; none where it may be any name
    /// that ends in some word.
    pub leads: Vec<Vec<u8>>,
    /// What the value looks like from its begin on.
    pub value: Pattern,
}

/// A text that leads the matcher to a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal {
    /// The text, lower-case where case is ignored. At least two bytes.
    pub text: Vec<u8>,
    /// Whether ASCII case is ignored.
    pub ignore_case: bool,
}

/// What a match looks like.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// A regular expression over bytes. The group `secret`, where it has one, is the secret; else the whole
    /// match is.
    Regex {
        /// The expression as written, in `regex` syntax, without Unicode classes.
        source: String,
        /// The most bytes a match can have, and so the furthest a literal can lie from either end.
        max_bytes: u32,
        /// The most bytes of a match before the first of the part's literals begins, where every match is known
        /// to hold one; else a literal stands in the context.
        lead: Option<u32>,
    },
    /// A matcher written in code, for what an expression cannot bound or describe.
    Extractor(Extractor),
}

/// Matchers written in code. Each begins at a literal and reads at most 16 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extractor {
    /// The innermost JSON object around the literal, strings and escapes honoured.
    JsonObject,
    /// A PEM block from its BEGIN line to its END line, also with escaped line breaks (`\n`) or indented.
    Pem,
}

/// Bytes that may not stand directly before or after a secret. The ends of the region touch nothing, and neither does
/// an escape before it, such as `\n` or `%3D`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Boundary {
    /// Nothing is excluded.
    None,
    /// `A-Z a-z 0-9 _ -` before; the same after.
    #[default]
    Token,
    /// `A-Z a-z 0-9 + /` before, the same and `=` after. (`=` before a value is an assignment.)
    Base64,
    /// `A-Z a-z 0-9 _ -`, and a dot with one of these on its other side: for values that hold dots.
    Dotted,
    /// `A-Z a-z 0-9`.
    Alnum,
}

/// Words of which one must stand near a match, ASCII case ignored.
#[derive(Clone, Debug)]
pub struct Context {
    /// The words, lower-case.
    pub any: Vec<Vec<u8>>,
    /// How many bytes before the match they are looked for.
    pub before: u32,
    /// How many bytes after the match they are looked for.
    pub after: u32,
}

/// Whether a secret was made by a machine or could be guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Random and long: a hash of it tells nobody anything.
    #[default]
    Generated,
    /// Chosen by a person: a hash of it could be tried against a list of passwords.
    Guessable,
}

/// A check on a matched secret, written in code. The name in a rules file is the kebab-case form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// Account number and base32 form of an AWS access key id.
    AwsAccessKeyId,
    /// Azure DevOps tokens of 52 characters: CRC-32 within. A mismatch proves nothing.
    AzureDevopsPat,
    /// A shared access signature of Azure: `se` of the query it stands in says until when it holds.
    AzureSas,
    /// Entra client secrets: Marvin32 of the eighth generation. A mismatch proves nothing.
    AzureEntraSecret,
    /// Azure's identifiable keys: Marvin32 over the decoded key.
    AzureMarvin32,
    /// Base58 of Bitcoin with its checksum: private keys of wallets.
    Base58Check,
    /// A prefix and base64 of a JSON object.
    Base64Json,
    /// Decodes as base64 to at least 16 bytes that are not text.
    Base64Random,
    /// Bech32 checksum (BIP-173).
    Bech32,
    /// A seed phrase of the English list of BIP-39 with a right checksum.
    Bip39,
    /// GitHub, npm: CRC-32 of the random part in base62, the last six characters.
    Crc32Base62,
    /// GitLab routable tokens: CRC-32 in base36. Tokens without a dot have none and pass.
    Crc32Base36,
    /// Zuplo: CRC-32 of what stands between two underscores, in hex behind the last one.
    Crc32HexBe,
    /// Grafana: CRC-32 in little-endian hex after the last underscore.
    Crc32HexLe,
    /// Discord bot tokens: the first segment is base64 of a number.
    DiscordToken,
    /// Docker `auths` and HTTP Basic: base64 of `user:password`, neither empty nor a placeholder.
    DockerAuth,
    /// A Google service-account file: private key and client e-mail are there, and the key parses.
    GcpServiceAccount,
    /// GitHub's fine-grained tokens: base32 of SHA-256 within. A mismatch proves nothing.
    GithubFineGrained,
    /// A JSON Web Token: header and payload decode. `exp` is compared with the date of the rules, not with the clock.
    Jwt,
    /// A key store of Java or PKCS#12 in base64 that holds a private key; default passwords are tried.
    KeyStore,
    /// A letter and a digit are both there.
    LetterAndDigit,
    /// A macaroon, as PyPI's tokens are.
    Macaroon,
    /// Not made of hex digits alone.
    NotHex,
    /// Not a placeholder (`changeme`, `${VAR}`, `<password>`, one character repeated, …).
    NotPlaceholder,
    /// A password that is no placeholder; those of stock images and manuals pass as samples.
    Password,
    /// A private key that parses: PKCS#1, PKCS#8, SEC1, OpenSSH, DSA, PGP; known test keys are recognised.
    PrivateKey,
    /// A seed of Stellar: base32 with CRC-16.
    StellarSeed,
    /// Upper-case letter, lower-case letter and digit are all there.
    ThreeClasses,
    /// Upper-case letter and lower-case letter are both there.
    TwoCases,
    /// A URI whose password is neither empty nor a placeholder.
    UriPassword,
    /// Temporary tokens of the crate registry: the XOR of 31 characters, the last one.
    XorBase62,
}

/// A template of a text, expanded with a seed: see [`super::example`].
#[derive(Clone, Debug)]
pub struct Example {
    /// The template.
    pub template: String,
    /// Where it stands: the path of a file, for rules that are limited to paths.
    pub path: Option<String>,
    /// Evidence the match must carry.
    pub expect: Vec<Evidence>,
    /// For a counter-example: whether not even a match of low confidence is allowed.
    pub strict: bool,
}

/// All rules of a scan, checked together. Order is by id.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) hash: String,
    pub(super) notes: Vec<super::Problem>,
}

impl RuleSet {
    /// The rules in order of their ids.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of this id, or one that formerly had it.
    pub fn find(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.0 == id).or_else(|| {
            self.rules
                .iter()
                .find(|rule| rule.formerly.iter().any(|former| former.0 == id))
        })
    }

    /// `sha256:` of the engine's build and of every rule as loaded: two scans with the same hash found by
    /// the same means.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What of a file in another tool's format was left out or means something else here.
    pub fn notes(&self) -> &[super::Problem] {
        &self.notes
    }

    /// The rules without those that `keep` refuses, and their new hash.
    pub fn retain(mut self, keep: impl Fn(&Rule) -> bool) -> Self {
        self.rules.retain(|rule| keep(rule));
        self.rehash();
        self
    }
}

lowercase_display! {
    Boundary { None => "none", Token => "token", Base64 => "base64", Dotted => "dotted", Alnum => "alnum" }
    Extractor { JsonObject => "json-object", Pem => "pem" }
    SecretKind { Generated => "generated", Guessable => "guessable" }
    Check {
        AwsAccessKeyId => "aws-access-key-id", AzureDevopsPat => "azure-devops-pat",
        AzureEntraSecret => "azure-entra-secret", AzureMarvin32 => "azure-marvin32", AzureSas => "azure-sas", Base58Check => "base58check", Base64Json => "base64-json", Base64Random => "base64-random",
        Bech32 => "bech32", Bip39 => "bip39", Crc32Base62 => "crc32-base62", Crc32Base36 => "crc32-base36",
        Crc32HexBe => "crc32-hex-be", Crc32HexLe => "crc32-hex-le", DiscordToken => "discord-token", DockerAuth => "docker-auth", GcpServiceAccount => "gcp-service-account",
        GithubFineGrained => "github-fine-grained", Jwt => "jwt", KeyStore => "key-store", LetterAndDigit => "letter-and-digit", Macaroon => "macaroon", NotHex => "not-hex", NotPlaceholder => "not-placeholder",
        Password => "password", PrivateKey => "private-key", StellarSeed => "stellar-seed", ThreeClasses => "three-classes", TwoCases => "two-cases",
        UriPassword => "uri-password", XorBase62 => "xor-base62",
    }
}
