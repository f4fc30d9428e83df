//! Reads the constants of a compiled Python module as the assignments they came from: `NAME = 'value'`. Compiling puts
//! names and values apart, so that no rule that needs a name sees its value in the bytes.
//!
//! Executes nothing and decompiles nothing: where a text constant is stored under a name, an attribute or a key, or is
//! passed as a keyword, the instructions say so in a row. CPython 2.7 and 3.6 to 3.13 as released; other versions number
//! their instructions otherwise and are searched as the bytes they are.

use std::collections::HashSet;
use std::ops::Range;

use super::archive::{Members, OpenError, Refusal, Step};
use super::sqlite::assignment;

/// Values that are worth a line: no rule judges shorter ones by their name, and longer ones are texts.
const VALUE_BYTES: Range<usize> = 6..8192;

/// Objects inside of each other. Compilers write a dozen; CPython reads 2,000.
const DEPTH: usize = 100;

/// Constants in a row that are looked back at: keywords of a call and keys of a dictionary.
const IN_A_ROW: usize = 256;

/// Hands the assignments over as one stream; nothing where there is none.
pub(super) fn open(bytes: &[u8], members: &mut dyn Members) -> Result<(), OpenError> {
    let text = assignments(bytes)?;
    if text.is_empty() {
        return Ok(());
    }
    members
        .member(Step::Stream("pyc"), &mut text.as_slice())
        .map_err(OpenError::Content)
}

/// The assignments in a module, one a line. *Errors*: where its objects cannot be read to their end.
pub fn assignments(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let version =
        Version::of(bytes).ok_or_else(|| Refusal::Unsupported("this version of Python".to_owned()))?;
    let mut objects = Objects {
        bytes,
        at: version.head_bytes,
        version,
        nodes: Vec::new(),
        referred: Vec::new(),
        interned: Vec::new(),
        codes: Vec::new(),
    };
    let read = objects.read(0);
    let mut told = Told::default();
    for code in &objects.codes {
        objects.tell(code, &mut told);
    }
    if told.text.is_empty() {
        read?;
    }
    Ok(told.text)
}

/// Whether a module of a version that is known begins here.
pub(super) fn is_known(head: &[u8]) -> bool {
    Version::of(head).is_some()
}

/// What differs between versions.
#[derive(Clone, Copy)]
struct Version {
    /// Minor version of Python 3; 2 for Python 2.7.
    minor: u8,
    head_bytes: usize,
    instructions: &'static Instructions,
}

/// The numbers of the instructions that matter.
struct Instructions {
    build_const_key_map: u8,
    build_map: u8,
    call: u8,
    call_with_names: u8,
    extended: u8,
    first_with_argument: u8,
    load_const: u8,
    store_attribute: u8,
    store_fast: u8,
    store_global: u8,
    store_name: u8,
    store_subscript: u8,
}

/// 2.7: `STORE_MAP` builds a dictionary, `CALL_FUNCTION` has the keywords on the stack.
const OF_2_7: Instructions = Instructions {
    build_const_key_map: 0,
    build_map: 54,
    call: 131,
    call_with_names: 0,
    extended: 145,
    first_with_argument: 90,
    load_const: 100,
    store_attribute: 95,
    store_fast: 125,
    store_global: 97,
    store_name: 90,
    store_subscript: 60,
};

/// 3.6 to 3.10: `CALL_FUNCTION_KW`.
const OF_3_6: Instructions = Instructions {
    build_const_key_map: 156,
    build_map: 105,
    call: 0,
    call_with_names: 141,
    extended: 144,
    ..OF_2_7
};

/// 3.11 and 3.12: `KW_NAMES`.
const OF_3_11: Instructions = Instructions {
    call_with_names: 172,
    ..OF_3_6
};

/// 3.13: `CALL_KW`, and all of them renumbered.
const OF_3_13: Instructions = Instructions {
    build_const_key_map: 46,
    build_map: 48,
    call: 0,
    call_with_names: 57,
    extended: 71,
    first_with_argument: 44,
    load_const: 83,
    store_attribute: 108,
    store_fast: 110,
    store_global: 113,
    store_name: 114,
    store_subscript: 39,
};

impl Version {
    fn of(head: &[u8]) -> Option<Self> {
        let [low, high, b'\r', b'\n', ..] = *head else {
            return None;
        };
        let (minor, head_bytes, instructions) = match u16::from_le_bytes([low, high]) {
            62211 => (2, 8, &OF_2_7),
            3379 => (6, 12, &OF_3_6),
            3394 => (7, 16, &OF_3_6),
            3413 => (8, 16, &OF_3_6),
            3425 => (9, 16, &OF_3_6),
            3439 => (10, 16, &OF_3_6),
            3495 => (11, 16, &OF_3_11),
            3531 => (12, 16, &OF_3_11),
            3571 => (13, 16, &OF_3_13),
            _ => return None,
        };
        Some(Self {
            minor,
            head_bytes,
            instructions,
        })
    }

    /// Numbers in front of the objects of a code object.
    fn numbers(self) -> usize {
        match self.minor {
            2 => 4,
            8..=10 => 6,
            _ => 5,
        }
    }
}

/// An object, as far as it matters.
#[derive(Clone)]
enum Node {
    Other,
    Text(Range<usize>),
    Tuple(Vec<usize>),
}

/// A code object, by the numbers of its parts.
struct Code {
    instructions: usize,
    constants: usize,
    names: usize,
    locals: usize,
}

/// The objects of a marshal stream.
struct Objects<'b> {
    bytes: &'b [u8],
    at: usize,
    version: Version,
    nodes: Vec<Node>,
    /// What references lead to: by flag, and interned ones of Python 2.
    referred: Vec<usize>,
    interned: Vec<usize>,
    codes: Vec<Code>,
}

impl Objects<'_> {
    fn take(&mut self, count: usize) -> Result<Range<usize>, Refusal> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Refusal::Truncated)?;
        let taken = self.at..end;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        let at = self.take(1)?;
        Ok(self.bytes[at.start])
    }

    /// A number of four bytes that counts something.
    fn count(&mut self) -> Result<usize, Refusal> {
        let at = self.take(4)?;
        let bytes = self.bytes[at].first_chunk::<4>().copied().unwrap_or_default();
        usize::try_from(i32::from_le_bytes(bytes)).map_err(|_| Refusal::malformed("a length is negative"))
    }

    /// Reads the object that is next and gives its number; of the end of a dictionary, `None`.
    fn read(&mut self, depth: usize) -> Result<Option<usize>, Refusal> {
        if depth > DEPTH {
            return Err(Refusal::malformed("its objects are nested too deep"));
        }
        let kind = self.byte()?;
        if kind == b'0' {
            return Ok(None);
        }
        if kind == b'r' || kind == b'R' {
            let number = self.count()?;
            let list = if kind == b'r' {
                &self.referred
            } else {
                &self.interned
            };
            return match list.get(number) {
                Some(node) => Ok(Some(*node)),
                None => Err(Refusal::malformed("a reference leads nowhere")),
            };
        }
        let number = self.nodes.len();
        self.nodes.push(Node::Other);
        if kind & 0x80 != 0 {
            self.referred.push(number);
        }
        let kind = kind & 0x7f;
        let node = match kind {
            b'N' | b'F' | b'T' | b'S' | b'.' => Node::Other,
            b'i' => self.skip(4)?,
            b'I' | b'g' => self.skip(8)?,
            b'y' => self.skip(16)?,
            b'f' => self.skip_short()?,
            b'x' => {
                self.skip_short()?;
                self.skip_short()?
            }
            b'l' => {
                let at = self.take(4)?;
                let digits = self.bytes[at].first_chunk::<4>().copied().unwrap_or_default();
                let digits = i32::from_le_bytes(digits).unsigned_abs() as usize;
                self.skip(digits.saturating_mul(2))?
            }
            b's' | b't' | b'u' | b'a' | b'A' => {
                let length = self.count()?;
                if kind == b't' && self.version.minor == 2 {
                    self.interned.push(number);
                }
                Node::Text(self.take(length)?)
            }
            b'z' | b'Z' => {
                let length = usize::from(self.byte()?);
                Node::Text(self.take(length)?)
            }
            b'(' | b'[' | b'<' | b'>' => {
                let length = self.count()?;
                self.tuple(length, depth)?
            }
            b')' => {
                let length = usize::from(self.byte()?);
                self.tuple(length, depth)?
            }
            b'{' => {
                while self.read(depth + 1)?.is_some() {
                    self.read(depth + 1)?;
                }
                Node::Other
            }
            b'c' => self.code(depth)?,
            _ => return Err(Refusal::malformed("an object is of no known type")),
        };
        self.nodes[number] = node;
        Ok(Some(number))
    }

    fn skip(&mut self, count: usize) -> Result<Node, Refusal> {
        self.take(count)?;
        Ok(Node::Other)
    }

    fn skip_short(&mut self) -> Result<Node, Refusal> {
        let length = usize::from(self.byte()?);
        self.skip(length)
    }

    fn tuple(&mut self, length: usize, depth: usize) -> Result<Node, Refusal> {
        // Each element takes a byte at least.
        let mut elements = Vec::with_capacity(length.min(self.bytes.len() - self.at).min(1024));
        for _ in 0..length {
            elements.push(self.element(depth)?);
        }
        Ok(Node::Tuple(elements))
    }

    fn element(&mut self, depth: usize) -> Result<usize, Refusal> {
        let element = self.read(depth + 1)?;
        element.ok_or_else(|| Refusal::malformed("an object is missing"))
    }

    fn code(&mut self, depth: usize) -> Result<Node, Refusal> {
        self.take(4 * self.version.numbers())?;
        let [instructions, constants, names, locals] = [0; 4].map(|_: u8| self.element(depth));
        let code = Code {
            instructions: instructions?,
            constants: constants?,
            names: names?,
            locals: locals?,
        };
        // Before 3.11 free and cell variables, file, name; since then kinds of variables, file, name, qualified name.
        for _ in 0..4 {
            self.element(depth)?;
        }
        self.take(4)?;
        let tables = if self.version.minor >= 11 { 2 } else { 1 };
        for _ in 0..tables {
            self.element(depth)?;
        }
        self.codes.push(code);
        Ok(Node::Other)
    }

    /// The elements of a tuple.
    fn elements(&self, node: usize) -> &[usize] {
        match self.nodes.get(node) {
            Some(Node::Tuple(elements)) => elements,
            _ => &[],
        }
    }

    fn text(&self, node: usize) -> Option<&[u8]> {
        match self.nodes.get(node) {
            Some(Node::Text(at)) => self.bytes.get(at.clone()),
            _ => None,
        }
    }

    /// Goes through the instructions of a code object.
    fn tell(&self, code: &Code, told: &mut Told) {
        let known = self.version.instructions;
        let constants = self.elements(code.constants);
        let name = |list: usize, argument: usize| {
            self.elements(list)
                .get(argument)
                .and_then(|name| self.text(*name))
                .unwrap_or_default()
        };
        let instructions = self.text(code.instructions).unwrap_or_default();
        // The constants that were loaded in a row, and one before other things were loaded.
        let mut row: Vec<usize> = Vec::new();
        let mut before = Before::default();
        for (instruction, argument) in Instruction::all(instructions, self.version) {
            if instruction == known.load_const {
                if let Some(constant) = constants.get(argument) {
                    if row.len() == IN_A_ROW {
                        row.remove(0);
                    }
                    row.push(*constant);
                }
                continue;
            }
            let last = row.last().and_then(|last| self.text(*last));
            if instruction == known.store_name || instruction == known.store_global {
                told.add(name(code.names, argument), last);
            } else if instruction == known.store_fast {
                told.add(name(code.locals, argument), last);
            } else if instruction == known.store_attribute {
                told.add(
                    name(code.names, argument),
                    before.value(&row).and_then(|value| self.text(value)),
                );
            } else if instruction == known.store_subscript {
                let value = before.constant.filter(|_| row.len() == 1);
                told.add(last.unwrap_or_default(), value.and_then(|value| self.text(value)));
            } else if self.has_names(instruction) {
                let names = if self.version.minor >= 11
                    && self.version.minor < 13
                    && instruction == known.call_with_names
                {
                    constants.get(argument).copied()
                } else {
                    row.pop()
                };
                let names = names.map_or(&[][..], |names| self.elements(names));
                for (name, value) in names.iter().rev().zip(row.iter().rev()) {
                    told.add(self.text(*name).unwrap_or_default(), self.text(*value));
                }
            } else if instruction == known.build_map || (self.version.minor == 2 && instruction == known.call)
            {
                self.tell_pairs(instruction, argument, &row, told);
            }
            before.pass(&mut row);
        }
    }

    fn has_names(&self, instruction: u8) -> bool {
        let known = self.version.instructions;
        instruction != 0
            && (instruction == known.build_const_key_map || instruction == known.call_with_names)
            && self.version.minor > 2
    }

    /// Names and values that were loaded in turns.
    fn tell_pairs(&self, instruction: u8, argument: usize, row: &[usize], told: &mut Told) {
        let is_old = self.version.minor == 2;
        let is_map = instruction == self.version.instructions.build_map;
        let pairs = match (is_old, is_map) {
            (true, true) => 1,
            (true, false) => argument >> 8,
            _ => argument,
        };
        for pair in row.rchunks_exact(2).take(pairs) {
            let (name, value) = if is_old && is_map {
                (pair[1], pair[0])
            } else {
                (pair[0], pair[1])
            };
            told.add(self.text(name).unwrap_or_default(), self.text(value));
        }
    }
}

/// A constant that was loaded before an object to put it into.
#[derive(Default)]
struct Before {
    constant: Option<usize>,
    /// Instructions since.
    distance: usize,
}

impl Before {
    /// The constant, where only the object was loaded since.
    fn value(&self, row: &[usize]) -> Option<usize> {
        self.constant.filter(|_| row.is_empty())
    }

    /// Goes on behind an instruction that is no constant.
    fn pass(&mut self, row: &mut Vec<usize>) {
        match row.last() {
            Some(last) => (self.constant, self.distance) = (Some(*last), 0),
            None => self.distance += 1,
        }
        if self.distance > 3 {
            self.constant = None;
        }
        row.clear();
    }
}

/// Walks through instructions.
struct Instruction;

impl Instruction {
    /// Each instruction and its argument, without the caches of the interpreter.
    fn all(bytes: &[u8], version: Version) -> impl Iterator<Item = (u8, usize)> {
        let known = version.instructions;
        let mut rest = bytes;
        let mut high = 0_usize;
        std::iter::from_fn(move || {
            loop {
                let (&instruction, after) = rest.split_first()?;
                let has_argument = instruction >= known.first_with_argument;
                let argument_bytes = match version.minor {
                    2 if has_argument => 2,
                    2 => 0,
                    _ => 1,
                };
                let (argument, after) = after.split_at_checked(argument_bytes)?;
                rest = after;
                let bits = 8 * argument_bytes;
                let argument = argument
                    .iter()
                    .rev()
                    .fold(0, |value, byte| value << 8 | usize::from(*byte));
                let argument = high << bits & 0xffff_ffff | argument;
                high = 0;
                if instruction == known.extended {
                    high = argument;
                } else if instruction != 0 {
                    return Some((instruction, argument));
                }
            }
        })
    }
}

/// The lines so far, each once.
#[derive(Default)]
struct Told {
    text: Vec<u8>,
    known: HashSet<Vec<u8>>,
}

impl Told {
    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let Some(value) = value else { return };
        let is_line = VALUE_BYTES.contains(&value.len())
            && (1..=128).contains(&name.len())
            && !name.starts_with(b"__")
            && !value
                .iter()
                .chain(name)
                .any(|byte| byte.is_ascii_control() || *byte == b' ');
        if !is_line {
            return;
        }
        let mut line = Vec::new();
        assignment(&mut line, name, value);
        if self.known.insert(line.clone()) {
            self.text.extend_from_slice(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `TOKEN = 'abcdefgh'` as Python 2.7 compiles it, but for what is not looked at.
    fn module() -> Vec<u8> {
        let mut bytes = 62211_u16.to_le_bytes().to_vec();
        bytes.extend(b"\r\n\0\0\0\0c");
        bytes.extend([0; 16]);
        bytes.extend(b"s\x0a\0\0\0d\0\0Z\0\0d\x01\0S");
        bytes.extend(b"(\x02\0\0\0t\x08\0\0\0abcdefghN");
        bytes.extend(b"(\x01\0\0\0t\x05\0\0\0TOKEN");
        bytes.extend(b"(\0\0\0\0(\0\0\0\0(\0\0\0\0s\x04\0\0\0m.pyt\x08\0\0\0<module>\x01\0\0\0s\0\0\0\0");
        bytes
    }

    #[test]
    fn a_constant_gets_its_name() {
        assert_eq!(assignments(&module()), Ok(b"TOKEN = 'abcdefgh'\n".to_vec()));
    }

    #[test]
    fn lengths_that_lie_and_objects_without_end_are_refused() {
        let head = [&3495_u16.to_le_bytes()[..], b"\r\n", &[0; 12]].concat();
        let deep = b")\x01".repeat(100_000);
        for (body, reason) in [
            (&b"(\xff\xff\xff\x7fN"[..], "truncated-archive"),
            (b"s\xff\xff\xff\x7fN", "truncated-archive"),
            (b"s\xff\xff\xff\xff", "malformed-archive"),
            (b"r\x05\0\0\0", "malformed-archive"),
            (b"l\0\0\0\x80", "truncated-archive"),
            (b"{NN", "truncated-archive"),
            (&deep, "malformed-archive"),
        ] {
            let refusal = assignments(&[&head[..], body].concat()).expect_err("it is broken");
            assert_eq!(refusal.name(), reason);
        }
    }

    proptest! {
        #[test]
        fn a_module_with_flipped_bytes_ends(flips in proptest::collection::vec((8..200_usize, any::<u8>()), 1..6)) {
            let mut module = module();
            for (at, byte) in flips {
                let at = 8 + at % (module.len() - 8);
                module[at] = byte;
            }
            let _ = assignments(&module);
        }
    }
}
