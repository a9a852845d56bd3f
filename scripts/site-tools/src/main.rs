//! Cuts the compiled dashboard into the files the browser loads: `site-tools WHOLE.wasm FOLDER`.
//!
//! First wasm-split takes out the functions that are marked with `wasm_split`, then wasm-bindgen
//! writes the browser's bindings for what is left, the first page. Called by the name
//! `wasm-bindgen` it is that tool alone, as far as cargo-leptos uses it (`scripts/watch`).

use std::{error::Error, fs, path::Path, process::ExitCode};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::{Options, transform};

/// What the files are called.
const NAME: &str = "vitrine";

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let done = if Path::new(&called).file_stem().is_some_and(|name| name == "wasm-bindgen") {
        bind_as_asked(&arguments)
    } else if let [wasm, folder] = arguments.as_slice() {
        cut(Path::new(wasm), Path::new(folder))
    } else {
        Err("usage: site-tools WHOLE.wasm FOLDER".into())
    };
    match done {
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

/// Names of functions stay, for who looks into the browser's console.
fn bind_as_asked(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (mut binding, mut folder, mut input) = (Bindgen::new(), None, None);
    binding.web(true)?.typescript(false);
    for argument in arguments {
        match argument.split_once('=').unwrap_or((argument, "")) {
            ("--target", "web") => {}
            ("--out-name", name) => _ = binding.out_name(name),
            ("--out-dir", given) => folder = Some(given),
            ("--keep-lld-exports", "") => _ = binding.keep_lld_exports(true),
            ("--no-demangle", "") => _ = binding.demangle(false),
            ("--debug", "") => _ = binding.debug(true),
            ("--keep-debug", "") => _ = binding.keep_debug(true),
            (given, "") if !given.starts_with('-') => input = Some(given),
            _ => return Err(format!("wasm-bindgen of Vitrine does not know {argument}").into()),
        }
    }
    let (Some(folder), Some(input)) = (folder, input) else {
        return Err("usage: wasm-bindgen --target=web --out-name=NAME --out-dir=FOLDER WASM".into());
    };
    Ok(binding.input_path(input).generate(folder)?)
}
