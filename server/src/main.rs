//! The program `vitrine`. Everything is in the library, so that tests can reach it.

use clap::Parser;
use server::{
    config::{Args, Config},
    run,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = Config::from_args(args, |name| std::env::var(name).ok())
        .map_err(run::RunError::from)
        .and_then(run::run);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::complain(&error);
            ExitCode::FAILURE
        }
    }
}
