//! Cuts the compiled dashboard into the files the browser loads: `site-tools WHOLE.wasm FOLDER`.
//!
//! First wasm-split takes out the functions that are marked with `wasm_split`, then wasm-bindgen
//! writes the browser's bindings for what is left, the first page.

use std::{error::Error, fs, path::Path, process::ExitCode};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::{Options, transform};

/// What the files are called.
const NAME: &str = "vitrine";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, folder] = arguments.as_slice() else {
        eprintln!("usage: site-tools WHOLE.wasm FOLDER");
        return ExitCode::from(2);
    };
    match cut(Path::new(wasm), Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("site-tools: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn cut(wasm: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let first = folder.join("first.wasm");
    split(wasm, folder, &first)?;
    bind(&first, folder)?;
    fs::remove_file(first)?;
    Ok(())
}

fn split(wasm: &Path, folder: &Path, first: &Path) -> Result<(), Box<dyn Error>> {
    let whole = fs::read(wasm)?;
    let module = format!("./{NAME}.js");
    let mut options = Options::new(&whole);
    options.output_dir = folder;
    options.main_out_path = first;
    options.main_module = &module;
    options.target.web();
    transform(options)?;
    Ok(())
}

fn bind(first: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    Bindgen::new()
        .web(true)?
        .input_path(first)
        .out_name(NAME)
        .typescript(false)
        // The other files refer to what the linker exported.
        .keep_lld_exports(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    Ok(())
}
