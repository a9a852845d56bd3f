//! What the program is told: flags, each also an environment variable, all checked before anything
//! starts.

use crate::cli::Cli;
use clap::{CommandFactory, Parser};
use contract::shop::LOAD_MAX_PER_SECOND;
use etcetera::BaseStrategy;
use std::{ffi::OsString, net::SocketAddr, path::PathBuf};
use telemetry::{ConfigErrors, TelemetryConfig};

/// Shortest access token: 128 bits in hexadecimal are twice as long.
const TOKEN_MIN: usize = 16;

/// What the scripts read that build the program and start it: set for them, and no mistake.
const OF_SCRIPTS: [&str; 9] = [
    "VITRINE_BESIDE",
    "VITRINE_BROTLI_QUALITY",
    "VITRINE_CACHE",
    "VITRINE_ROTEL",
    "VITRINE_RUSTUP_SECONDS",
    "VITRINE_WASM_BUDGET",
    "VITRINE_WEB_PROFILE",
    "VITRINE_WEB_TOOLCHAIN",
    "VITRINE_WORKERS",
];

/// A shop you can see inside: a system of microservices in one process, and a page that shows
/// everything that happens in it.
#[derive(Clone, Debug, Parser)]
#[command(name = "vitrine")]
pub struct Args {
    /// Address to listen on. Port 0 lets the system choose. An address that is not of this machine
    /// alone needs an access token.
    #[arg(long, env = "VITRINE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:3000",
          value_parser = listen)]
    pub listen: SocketAddr,

    /// Folder of the databases; made if missing. Default: the platform's data folder, e.g.
    /// ~/.local/share/vitrine.
    #[arg(long, env = "VITRINE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep nothing: a new shop in a temporary folder that is removed at the end.
    #[arg(long, env = "VITRINE_EPHEMERAL", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub ephemeral: bool,

    /// Requests per second of the load generator, 0 to 200. Can be changed from the page.
    #[arg(
        long,
        env = "VITRINE_LOAD",
        value_name = "RATE",
        default_value = "2",
        // What is below nothing is refused with the reason, and not as a flag nobody knows.
        allow_negative_numbers = true,
        value_parser = load
    )]
    pub load: f64,

    /// Access token for addresses that are not of this machine alone, at least 16 characters.
    /// Default: a new one, printed at start.
    #[arg(
        long,
        env = "VITRINE_TOKEN",
        value_name = "TOKEN",
        value_parser = token,
        hide_env_values = true
    )]
    pub token: Option<String>,

    /// Seed of ids and load, so that a run can be repeated; --ephemeral must be given too. Default:
    /// a new one.
    #[arg(long, env = "VITRINE_SEED", value_name = "NUMBER", allow_negative_numbers = true,
          value_parser = seed)]
    pub seed: Option<u64>,

    /// Address of a Jaeger page, for the button that opens a trace there.
    #[arg(long, env = "VITRINE_JAEGER_UI", value_name = "URL", value_parser = url)]
    pub jaeger_ui: Option<String>,
}

/// Ends `--help`.
pub(crate) const AFTER_HELP: &str = "\
Telemetry goes out over OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set; the standard variables
OTEL_EXPORTER_OTLP_{ENDPOINT,PROTOCOL,HEADERS,TIMEOUT,COMPRESSION,INSECURE,CERTIFICATE} and
_{CLIENT_CERTIFICATE,CLIENT_KEY}, the same with _TRACES_,
OTEL_BSP_{SCHEDULE_DELAY,MAX_QUEUE_SIZE,MAX_EXPORT_BATCH_SIZE},
OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_EXPORTER and OTEL_SDK_DISABLED are understood.
A variable that is empty counts as not set.
VITRINE_LOG sets what is printed, e.g. VITRINE_LOG=info.";

/// Everything the program is told, checked.
#[derive(Debug)]
pub struct Config {
    /// Flags.
    pub args: Args,
    /// Standard variables of OpenTelemetry.
    pub telemetry: TelemetryConfig,
    /// Where the databases are.
    pub data: DataFolder,
}

/// Where the databases are.
#[derive(Debug)]
pub enum DataFolder {
    /// Here, and they stay.
    Kept(PathBuf),
    /// In a temporary folder, which goes.
    Temporary,
}

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A standard variable is malformed.
    #[error(transparent)]
    Telemetry(#[from] ConfigErrors),
    /// A run can be repeated only from nothing.
    #[error("--seed repeats a run, which begins with an empty shop: give --ephemeral too")]
    SeedNeedsEphemeral,
    /// Data cannot be kept and thrown away.
    #[error("--data-dir keeps the data and --ephemeral throws them away: give one of them")]
    KeptAndThrownAway,
    /// The platform names no data folder.
    #[error("this machine names no data folder (is HOME set?); choose one with --data-dir")]
    NoDataFolder,
}

impl Config {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// When a variable is malformed or no data folder can be found.
    pub fn from_args(
        args: Args,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let telemetry = TelemetryConfig::from_env(environment)?;
        if args.seed.is_some() && !args.ephemeral {
            return Err(ConfigError::SeedNeedsEphemeral);
        }
        let data = match (&args.data_dir, args.ephemeral) {
            (Some(_), true) => return Err(ConfigError::KeptAndThrownAway),
            (None, true) => DataFolder::Temporary,
            (Some(folder), false) => DataFolder::Kept(folder.clone()),
            (None, false) => {
                let base = etcetera::base_strategy::choose_native_strategy()
                    .map_err(|_| ConfigError::NoDataFolder)?;
                DataFolder::Kept(base.data_dir().join("vitrine"))
            }
        };
        Ok(Self { args, telemetry, data })
    }

    /// Told everything that is set, so that it can say what of it changes nothing.
    #[must_use]
    pub fn told_of(mut self, set: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let set: Vec<_> = set.into_iter().collect();
        let readable =
            set.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        self.telemetry.notice_unread(readable);
        let names = set.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
        let names = names.filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
        self.telemetry.notices.extend(misspelt(names));
        self
    }
}

/// A sentence for each variable that is named like one of the program's and is none.
fn misspelt<'n>(set: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut command = Cli::command();
    command.build();
    let variables = |of: &clap::Command| -> Vec<String> {
        let names = of.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
        names.map(str::to_owned).collect()
    };
    let mut known = variables(&command);
    known.extend(command.get_subcommands().flat_map(variables));
    let read = |name: &str| {
        name == "VITRINE_LOG" || OF_SCRIPTS.contains(&name) || known.iter().any(|of| of == name)
    };
    let unread = set.filter(|name| name.starts_with("VITRINE_") && !read(name));
    let mut told: Vec<_> =
        unread.map(|name| format!("{name} is ignored: see --help for what is read")).collect();
    // The environment has no order that holds.
    told.sort_unstable();
    told
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be an address in numbers and a port, like 127.0.0.1:3000, or 0.0.0.0:3000 for other \
         machines too"
            .to_owned()
    })
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("must be a whole number from 0 to {}, like 7", u64::MAX))
}

fn load(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    if (0.0..=LOAD_MAX_PER_SECOND).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("must be 0 to {LOAD_MAX_PER_SECOND} requests a second"))
    }
}

fn token(text: &str) -> Result<String, String> {
    if text.len() >= TOKEN_MIN
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    {
        Ok(text.to_owned())
    } else {
        Err(format!("must be at least {TOKEN_MIN} letters, digits, hyphens or underscores"))
    }
}

pub(crate) fn url(text: &str) -> Result<String, String> {
    address(text, "http://localhost:16686")
}

/// Where a Vitrine runs.
pub(crate) fn server(text: &str) -> Result<String, String> {
    address(text, "http://127.0.0.1:3000")
}

fn address(text: &str, example: &str) -> Result<String, String> {
    let parsed: Result<http::Uri, _> = text.parse();
    match parsed {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("must be an address like {example}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::try_parse_from([&["vitrine"], args].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn bad_values_are_refused_with_the_reason() {
        for (args, reason) in [
            (["--load", "201"], "0 to 200"),
            (["--load", "NaN"], "0 to 200"),
            (["--load", "fast"], "not a number"),
            (["--listen", "3000"], "like 127.0.0.1:3000"),
            (["--listen", ":4101"], "like 127.0.0.1:3000"),
            (["--listen", "localhost:4101"], "like 127.0.0.1:3000"),
            (["--token", "short"], "at least 16"),
            (["--jaeger-ui", "localhost"], "must be an address"),
            (["--seed", "x"], "like 7"),
        ] {
            let error = parse(&args).unwrap_err();
            assert!(error.contains(reason), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_named_and_one_that_is_read_is_not() {
        let set = ["VITRINE_LSTEN", "VITRINE_LISTEN", "VITRINE_SERVER", "VITRINE_LOG", "HOME"];
        let told = misspelt(set.into_iter());
        assert_eq!(told, ["VITRINE_LSTEN is ignored: see --help for what is read"]);
    }

    #[test]
    fn a_seed_on_kept_data_is_refused_because_its_ids_are_taken() {
        let args = parse(&["--seed", "7", "--data-dir", "x"]).unwrap();
        let refused = Config::from_args(args, |_| None).unwrap_err();
        assert!(refused.to_string().contains("--ephemeral"), "{refused}");
    }

    #[test]
    fn a_data_folder_that_is_kept_and_thrown_away_is_a_contradiction() {
        let args = parse(&["--ephemeral", "--data-dir", "x"]).unwrap();
        let refused = Config::from_args(args, |_| None).unwrap_err();
        assert!(matches!(refused, ConfigError::KeptAndThrownAway), "{refused}");
    }

    #[test]
    fn data_that_are_said_not_to_be_thrown_away_may_have_a_folder() {
        let args = parse(&["--ephemeral=false", "--data-dir", "x"]).unwrap();
        let data = Config::from_args(args, |_| None).unwrap().data;
        assert!(matches!(data, DataFolder::Kept(folder) if folder.ends_with("x")));
    }
}
