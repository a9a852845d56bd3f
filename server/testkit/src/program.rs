//! The built program as a process: started with arguments, read, stopped gently or not.

use crate::{Client, eventually};
use parking_lot::Mutex;
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

/// A start or an end may take so long on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is printed before the address.
const BEFORE_ADDRESS: &str = "Vitrine is ready at http://";

/// A start that is about to be. Nothing of the environment is handed on but `PATH`.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folder: Option<PathBuf>,
}

impl Launch {
    /// Of this program (`env!("CARGO_BIN_EXE_vitrine")`), without arguments.
    #[must_use]
    pub fn new(binary: impl AsRef<Path>) -> Self {
        let binary = binary.as_ref().to_owned();
        Self { binary, args: Vec::new(), env: Vec::new(), folder: None }
    }

    /// Of this program as tests mostly want it: any free port, these data, so much load.
    #[must_use]
    pub fn shop(binary: impl AsRef<Path>, data: &Path, load: &str) -> Self {
        let data = data.to_string_lossy();
        Self::new(binary)
            .args(&["--listen", "127.0.0.1:0", "--data-dir", &data])
            .args(&["--load", load])
    }

    /// With further arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In this working folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Starts the process and waits for nothing.
    ///
    /// # Panics
    /// When the system does not start it.
    #[must_use]
    pub fn spawn(&self) -> Program {
        let mut command = Command::new(&self.binary);
        command.args(&self.args).env_clear().envs(self.env.iter().cloned());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let stdout = gather(process.stdout.take().expect("its output"));
        let stderr = gather(process.stderr.take().expect("its complaints"));
        Program { process, stdout, stderr }
    }

    /// Starts the process and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(&self) -> (Program, Client) {
        let mut program = self.spawn();
        let address = program.address().await;
        (program, Client::new(address))
    }

    /// Runs the process to its own end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn finish(&self) -> Finished {
        let mut program = self.spawn();
        let status = program.exit(PATIENCE).await;
        Finished { status, stdout: program.stdout(), stderr: program.stderr() }
    }
}

/// A process that ended by itself.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Text that a thread gathers from a pipe until the other side closes it.
type Gathered = Arc<Mutex<(String, bool)>>;

fn gather(pipe: impl Read + Send + 'static) -> Gathered {
    let gathered = Gathered::default();
    let sink = gathered.clone();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            sink.lock().0.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
        sink.lock().1 = true;
    });
    gathered
}

/// A process. Whatever becomes of the test, it does not outlive this value.
#[derive(Debug)]
pub struct Program {
    process: Child,
    stdout: Gathered,
    stderr: Gathered,
}

impl Program {
    /// Where it serves, once it says so.
    ///
    /// # Panics
    /// When it ends or stays silent instead.
    pub async fn address(&mut self) -> SocketAddr {
        let stdout = self.stdout.clone();
        let line = eventually(PATIENCE, "the start of the program", async || {
            let (text, over) = stdout.lock().clone();
            // Only a whole line counts.
            let line = text.split_inclusive('\n').find(|line| line.ends_with('\n'));
            line.map(str::to_owned).or_else(|| over.then(String::new))
        })
        .await;
        let address = line.strip_prefix(BEFORE_ADDRESS).and_then(|rest| {
            let end = rest.find([' ', '/'])?;
            rest[..end].parse().ok()
        });
        let Some(address) = address else {
            panic!("the program did not start: {line}{}", self.stderr());
        };
        address
    }

    /// Its id, for whoever looks at it from outside.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.lock().0.clone()
    }

    /// What it complained about so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().0.clone()
    }

    /// SIGKILL: no warning, no clean-up. Returns when it is gone.
    ///
    /// # Panics
    /// When the system does not end it.
    pub fn kill(&mut self) {
        self.process.kill().expect("it is killed");
        self.process.wait().expect("it is gone");
    }

    /// SIGTERM: asks it to stop.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal, named as `kill` names it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill` is everywhere, and needs no unsafe code here.
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -$1 $0"]).args([&self.id().to_string(), name]);
        let status = kill.status().expect("a shell");
        assert!(status.success(), "SIG{name} was not sent");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let process = &mut self.process;
        let status = eventually(within, "the end of the program", async || {
            process.try_wait().expect("its state")
        })
        .await;
        let pipes = [&self.stdout, &self.stderr];
        eventually(within, "the end of its output", async || {
            pipes.iter().all(|pipe| pipe.lock().1).then_some(())
        })
        .await;
        status
    }

    /// SIGTERM, and its end.
    ///
    /// # Panics
    /// When it does not end well, or something in it panicked.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.exit(PATIENCE).await;
        let stderr = self.stderr();
        assert!(status.success(), "it ended with {status}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
