//! The command line: without a command the program runs the shop; `apply`, `get` and `delete` talk
//! to one that runs.

use crate::config::Args;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

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
