//! Writes what a target starts from: its seeds into `corpus/TARGET`, its words as `dictionaries/TARGET.dict`; prints the
//! length of the longest input worth trying. `fuzz/run` calls it.

use std::fs;
use std::io;
use std::path::Path;

use layersift_fuzz::bodies::TARGETS;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = std::env::args().nth(1);
    for target in TARGETS {
        if wanted.as_ref().is_some_and(|wanted| wanted != target.name) {
            continue;
        }
        let corpus = folder.join("corpus").join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number:02}")), seed)?;
        }
        let dictionaries = folder.join("dictionaries");
        fs::create_dir_all(&dictionaries)?;
        let words = target.words.iter().map(|word| {
            let bytes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{bytes}\"\n")
        });
        fs::write(dictionaries.join(format!("{}.dict", target.name)), words.collect::<String>())?;
        println!("{} {}", target.name, target.longest);
    }
    Ok(())
}
