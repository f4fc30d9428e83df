//! `layersift cat`: one file of one layer, byte for byte.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};

use super::args::{CatArgs, OutputArgs};
use super::exit::Exit;
use super::login;
use super::messages::Messages;
use crate::limits::Limits;
use crate::oci::PlatformSelector;
use crate::scan::member;
use crate::source::{self, Access, OpenOptions};
use crate::text;

pub(super) fn run(args: &CatArgs, output: &OutputArgs, messages: &Messages) -> anyhow::Result<Exit> {
    let limits = Limits::default();
    let options = OpenOptions {
        registry: login::options(&args.registry, args.target == "-")?,
        ..OpenOptions::default()
    };
    let cannot_read = || format!("cannot read `{}`", source::printable(&args.target));
    let opened = source::open(&args.target, &options).with_context(cannot_read)?;
    let Access::Random(source) = opened.access else {
        bail!("`cat` needs an image that can be read twice: save the stream to a file first");
    };
    let platforms = args.platform.clone().map_or(PlatformSelector::All, |platform| {
        PlatformSelector::Only(vec![platform])
    });
    let resolved = source.resolve(&platforms, &limits).with_context(cannot_read)?;
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
    let mut blob = source
        .blob(&layer.blob, layer.descriptor.as_ref())
        .with_context(|| format!("cannot read layer {}", args.layer))?;
    let mut stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let found = member::write(&mut *blob, args.path.as_bytes(), &limits, &mut |bytes| {
        if terminal {
            // On a terminal, lines stay lines and everything else that could command it is escaped.
            let lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(text::escape).collect();
            stdout.write_all(lines.join("\n").as_bytes())
        } else {
            stdout.write_all(bytes)
        }
    })
    .with_context(|| format!("cannot read layer {}", args.layer))?;
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
