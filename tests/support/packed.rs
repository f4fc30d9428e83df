//! Archives and compressed streams as tools write them, and as they never would. Packs no layer: see `image`.

use std::io::{Read as _, Write as _};

/// A member of a zip archive: its name, its content, whether it is deflated, and its flags.
pub type Zipped<'z> = (&'z str, &'z [u8], bool, u16);

pub fn zip(members: &[Zipped<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content, packed, flags) in members {
        let data = if *packed {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        } else {
            content.to_vec()
        };
        let method = if *packed { 8 } else { 0 };
        let mut common = [20, *flags, method, 0, 0].map(u16::to_le_bytes).concat();
        common.extend(
            [0, data.len() as u32, content.len() as u32]
                .map(u32::to_le_bytes)
                .concat(),
        );
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10]].concat());
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), &data].concat());
    }
    let (start, count) = (bytes.len() as u32, members.len() as u16);
    let length = directory.len() as u32;
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].map(u16::to_le_bytes).concat());
    bytes.extend([length, start].map(u32::to_le_bytes).concat());
    bytes.extend([0, 0]);
    bytes
}

/// One deflated member.
pub fn zip_of(name: &str, content: &[u8]) -> Vec<u8> {
    zip(&[(name, content, true, 0)])
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1)
        .read_to_end(&mut packed)
        .unwrap();
    packed
}
