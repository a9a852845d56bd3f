//! Puts what the browser loads into the program: every file of the site folder, compressed once.
//!
//! `scripts/build-site` fills the folder, perhaps while this runs. Without it the program is
//! built all the same and serves pages that work without JavaScript; it says so at start. `cargo
//! leptos watch` builds a program that reads its files from a folder: nothing is put into that one.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Brotli's densest setting: done once here, saved on every load.
const QUALITY: u32 = 11;
/// Takes a lower setting, 0 to 11, from whoever builds often: the densest takes seconds a megabyte.
const QUALITY_VARIABLE: &str = "VITRINE_BROTLI_QUALITY";
/// Set by `cargo leptos watch`.
const WATCH_VARIABLE: &str = "LEPTOS_WATCH";
/// Brotli's largest standard window, 2^22 bytes.
const WINDOW: u32 = 22;
/// Brotli's buffer, bytes.
const BUFFER: usize = 1 << 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed={WATCH_VARIABLE}");
    if env::var_os(WATCH_VARIABLE).is_some() {
        return Ok(fs::write(out.join("assets.rs"), "&[]")?);
    }
    // OUT_DIR is TARGET/PROFILE/build/NAME/out.
    let site = out.ancestors().nth(4).map(|target| target.join("site"));
    let site = site.ok_or("the target folder cannot be found from OUT_DIR")?;
    wait_until_built(&site)?;
    let mut files = Vec::new();
    if site.is_dir() {
        collect(&site, &mut files)?;
    }
    files.sort();
    println!("cargo::rerun-if-env-changed={QUALITY_VARIABLE}");
    let quality = match env::var(QUALITY_VARIABLE) {
        Ok(text) => text.parse()?,
        Err(_) => QUALITY,
    };
    let mut table = String::from("&[\n");
    for (index, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&site)?.to_str().ok_or("a file name is not UTF-8")?;
        let packed = out.join(format!("asset-{index}.br"));
        pack(file, &packed, quality)?;
        table.push_str(&format!("    ({name:?}, include_bytes!({packed:?}).as_slice()),\n"));
    }
    table.push(']');
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

/// Whoever builds the site holds a lock beside it meanwhile and gives the lock's file a new date
/// at the start (`scripts/build-site`). The date of that file is the only one that counts: those
/// of the site's files are later than the start of this script when it had to wait for them.
fn wait_until_built(site: &Path) -> std::io::Result<()> {
    let lock = site.with_extension("lock");
    let watched = if lock.exists() { &lock } else { site };
    println!("cargo::rerun-if-changed={}", watched.display());
    if lock.exists() { fs::File::open(&lock)?.lock_shared() } else { Ok(()) }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn pack(file: &Path, packed: &Path, quality: u32) -> std::io::Result<()> {
    let mut writer =
        brotli::CompressorWriter::new(fs::File::create(packed)?, BUFFER, quality, WINDOW);
    writer.write_all(&fs::read(file)?)?;
    writer.flush()
}
