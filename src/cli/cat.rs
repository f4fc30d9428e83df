//! `layersift cat`: one file of one layer, byte for byte.

use std::io::{IsTerminal as _, Read, Write as _};

use anyhow::{Context as _, bail};

use super::args::{CatArgs, OutputArgs};
use super::exit::Exit;
use super::login;
use super::messages::Messages;
use super::scan;
use crate::limits::Limits;
use crate::oci::PlatformSelector;
use crate::scan::member;
use crate::source::{self, Access, OpenOptions};
use crate::text;

pub(super) fn run(args: &CatArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let limits = Limits::default();
    let options = OpenOptions {
        registry: login::options(&args.registry, args.target == "-")?,
        from: args.from,
        ..OpenOptions::default()
    };
    let cannot_read = || format!("cannot read `{}`", source::printable(&args.target));
    let mut opened = scan::open(&args.target, &options, messages).with_context(cannot_read)?;
    if matches!(opened.access, Access::Stream(_)) && !matches!(opened.kind, "docker-daemon" | "podman") {
        bail!("`cat` needs an image that can be read twice: save the stream to a file first");
    }
    let platforms = args.platform.clone().map_or(PlatformSelector::All, |platform| {
        PlatformSelector::Only(vec![platform])
    });
    let resolved = match &mut opened.access {
        Access::Random(source) => source.resolve(&platforms, &limits).with_context(cannot_read)?,
        // What was not read of a blob is skipped. Where the layer is, the end of the stream tells.
        Access::Stream(stream) => {
            while stream.next_blob().with_context(cannot_read)?.is_some() {}
            stream.resolve(&platforms, &limits).with_context(cannot_read)?
        }
    };
    let [image] = resolved.images.as_slice() else {
        let names: Vec<String> = resolved
            .images
            .iter()
            .filter_map(|image| image.platform.as_ref())
            .map(ToString::to_string)
            .collect();
        bail!(
            "`{}` is {} images: choose one with --platform ({})",
            source::printable(&args.target),
            resolved.images.len(),
            names.join(", ")
        );
    };
    let Some(layer) = args
        .layer
        .checked_sub(1)
        .and_then(|index| image.layers.get(index))
    else {
        bail!(
            "the image has {} layers, and `--layer {}` is none of them",
            image.layers.len(),
            args.layer
        );
    };
    let mut stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let mut print = |bytes: &[u8]| {
        if terminal {
            // On a terminal, lines stay lines and everything else that could command it is escaped.
            let lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(text::escape).collect();
            stdout.write_all(lines.join("\n").as_bytes())
        } else {
            stdout.write_all(bytes)
        }
    };
    let mut write = |blob: &mut dyn Read| {
        member::write(blob, args.path.as_bytes(), &limits, &mut print)
            .with_context(|| format!("cannot read layer {}", args.layer))
    };
    let found = match opened.access {
        Access::Random(source) => write(&mut *source.blob(&layer.blob, layer.descriptor.as_ref())?)?,
        Access::Stream(_) => {
            let again = scan::open(&args.target, &options, messages)?;
            let Access::Stream(mut stream) = again.access else {
                bail!("the engine had the image, and has it no more");
            };
            loop {
                match stream.next_blob()? {
                    Some(mut blob) if blob.key == layer.blob => break write(&mut *blob.reader)?,
                    Some(_) => {}
                    None => bail!("the export of the engine does not hold layer {}", args.layer),
                }
            }
        }
    };
    stdout.flush().context("cannot write to standard output")?;
    match found {
        0 => bail!(
            "layer {} has no file `{}`",
            args.layer,
            text::escape(args.path.as_bytes())
        ),
        1 => {}
        several if !output.quiet => messages.note(format!(
            "the layer has this file {several} times; all are printed"
        )),
        _ => {}
    }
    Ok(Exit::Clean)
}
