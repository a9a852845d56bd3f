//! The program `vitrine`. Everything is in the library, so that tests can reach it.

use server::{cli::Cli, config::Config, remote, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let read = Cli::read(std::env::args_os(), |name| std::env::var_os(name));
    let Cli { args, command } = read.unwrap_or_else(|error| error.exit());
    let outcome = match command {
        Some(command) => remote::run(command).map_err(run::RunError::from),
        None => Config::from_args(args, |name| std::env::var(name).ok())
            .map(|config| config.told_of(std::env::vars_os()))
            .map_err(run::RunError::from)
            .and_then(run::run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::complain(&error);
            ExitCode::FAILURE
        }
    }
}
