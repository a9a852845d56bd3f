//! The command line: without a command the program runs the shop; `apply`, `get` and `delete` talk
//! to one that runs.

use crate::config::Args;
use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// What stands on the command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vitrine",
    version,
    about = "A shop you can see inside: a system of microservices in one process, and a page that \
             shows everything that happens in it.",
    after_help = crate::config::AFTER_HELP,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// Of the shop itself.
    #[command(flatten)]
    pub args: Args,
    /// Something else to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads the command line and the variables. An empty variable counts as not set, as those of
    /// OpenTelemetry do; a bad value of a variable is said to be of the variable.
    ///
    /// # Errors
    /// What clap says of it, to be printed.
    pub fn read(
        line: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&OsStr) -> Option<OsString> + Copy,
    ) -> Result<Self, clap::Error> {
        let line: Vec<OsString> = line.into_iter().collect();
        let mut command = set_variables(Self::command(), variable);
        let read = command.try_get_matches_from_mut(&line);
        let read = read.and_then(|matches| Self::from_arg_matches(&matches));
        read.map_err(|error| blame(error, &command, &line, variable))
    }
}

/// Without the variables that are empty. `cargo leptos watch` names the address where it expects
/// the program in a variable of its own.
fn set_variables(
    command: clap::Command,
    variable: impl Fn(&OsStr) -> Option<OsString> + Copy,
) -> clap::Command {
    let is_set = |name: &OsStr| variable(name).is_some_and(|value| !value.is_empty());
    let watched = ["LEPTOS_WATCH", "LEPTOS_SITE_ADDR"].map(OsStr::new);
    let set = command.mut_args(|arg| match arg.get_env() {
        Some(name) if is_set(name) => arg,
        Some(_) if arg.get_id() == "listen" && watched.iter().copied().all(is_set) => {
            arg.env("LEPTOS_SITE_ADDR")
        }
        Some(name) if variable(name).is_some() => arg.env(None::<&str>),
        _ => arg,
    });
    set.mut_subcommands(|command| set_variables(command, variable))
}

/// clap names the flag whose value is bad, also where the value came from its variable.
fn blame(
    mut error: clap::Error,
    command: &clap::Command,
    line: &[OsString],
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> clap::Error {
    let bad = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let name = flag.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
    let given = line.iter().filter_map(|word| word.to_str());
    let given = given.filter(|word| word.split('=').next() == Some(&name)).count() > 0;
    if given || !bad.contains(&error.kind()) {
        return error;
    }
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let mut args = commands.flat_map(clap::Command::get_arguments);
    let of_flag = args.find(|arg| arg.get_long() == name.strip_prefix("--"));
    if let Some(env) = of_flag.and_then(clap::Arg::get_env).filter(|env| variable(env).is_some()) {
        let env = ContextValue::String(env.to_string_lossy().into_owned());
        error.insert(ContextKind::InvalidArg, env);
    }
    error
}

/// What is asked of a running Vitrine.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Apply Istio resources: YAML documents, or a Kubernetes List, from a file or standard input.
    Apply {
        /// File to read; - is standard input.
        #[arg(short = 'f', long = "filename", value_name = "FILE")]
        file: PathBuf,
        /// Say what would happen and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// List every field, not only those that are not in force.
        #[arg(long)]
        fields: bool,
        /// Which Vitrine.
        #[command(flatten)]
        server: Server,
    },
    /// Print Istio resources in force.
    Get {
        /// VirtualService, DestinationRule, … in any case, singular, plural or short (vs).
        kind: String,
        /// Of this name; a namespace may stand before it (istio-system/default).
        name: Option<String>,
        /// How: yaml, json, or name for a list.
        #[arg(short = 'o', long, value_enum, default_value = "yaml")]
        output: Output,
        /// As a real Istio takes it: extensions moved into the resources that say the same.
        #[arg(long)]
        for_istio: bool,
        /// Which Vitrine.
        #[command(flatten)]
        server: Server,
    },
    /// Delete an Istio resource.
    Delete {
        /// VirtualService, DestinationRule, …
        kind: String,
        /// Its name.
        name: String,
        /// Which Vitrine.
        #[command(flatten)]
        server: Server,
    },
}

/// How resources are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Whole, as YAML.
    Yaml,
    /// Whole, as JSON; several as a List.
    Json,
    /// One line each: kind/name.
    Name,
}

/// Where the running Vitrine is.
#[derive(Clone, Debug, clap::Args)]
pub struct Server {
    /// Address of the Vitrine that runs.
    #[arg(
        long = "server",
        env = "VITRINE_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:3000",
        value_parser = crate::config::server
    )]
    pub url: String,
    /// Access token of that Vitrine, if it has one.
    #[arg(long = "token", env = "VITRINE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str], variables: &[(&str, &str)]) -> Result<Cli, String> {
        let line = [&["vitrine"], args].concat().into_iter().map(OsString::from);
        let value = |name: &OsStr| {
            let found = variables.iter().find(|(known, _)| name == *known);
            found.map(|(_, value)| OsString::from(value))
        };
        Cli::read(line, value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_below_nothing_is_a_bad_value_and_no_unknown_flag() {
        let refused = read(&["--load", "-1"], &[]).unwrap_err();
        assert!(refused.contains("must be 0 to 200"), "{refused}");
    }

    fn parse(args: &[&str]) -> Result<Cli, String> {
        Cli::try_parse_from([&["vitrine"], args].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_command_it_runs_the_shop() {
        let cli = parse(&["--load", "5"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.args.load.to_string(), "5");
    }

    #[test]
    fn commands_are_those_people_know_from_kubectl() {
        let cli = parse(&["apply", "-f", "-", "--dry-run"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Apply { dry_run: true, .. })));
        let cli = parse(&["get", "vs", "payments", "-o", "yaml"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Get { output: Output::Yaml, .. })));
        let cli = parse(&["delete", "VirtualService", "payments"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Delete { .. })));
    }

    #[test]
    fn a_command_does_not_take_what_starts_the_shop() {
        assert!(parse(&["--load", "5", "get", "vs"]).is_err());
        assert!(parse(&["apply"]).unwrap_err().contains("--filename"));
        let refused = parse(&["get", "vs", "--server", "localhost"]).unwrap_err();
        assert!(refused.contains("http://127.0.0.1:3000"), "{refused}");
    }
}
