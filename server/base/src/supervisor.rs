//! Named background tasks with one owner: they stop together, and a task that dies is noticed.
//!
//! `tokio::spawn` is banned elsewhere: a task without a name and an owner outlives what it serves.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Reports of tasks that ended by themselves which wait to be read; more are counted as one.
const ENDS_MAX: usize = 16;

/// A task that ended although nobody asked it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEnd {
    /// The name it was spawned under.
    pub name: &'static str,
    /// It panicked rather than returned.
    pub panicked: bool,
}

/// Spawns tasks, tells them to stop, waits for them. Cheap to clone; all clones are one owner.
#[derive(Clone, Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: TaskTracker,
    ends: mpsc::Sender<TaskEnd>,
}

impl Supervisor {
    /// An owner without tasks, and where it reports tasks that end too early.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<TaskEnd>) {
        let (ends, reports) = mpsc::channel(ENDS_MAX);
        (Self { stop: CancellationToken::new(), tasks: TaskTracker::new(), ends }, reports)
    }

    /// Fires when the tasks shall end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task that lives until [`Self::stopping`] fires; ending earlier is reported.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, ends) = (self.stop.clone(), self.ends.clone());
        self.tasks.spawn(async move {
            let outcome = futures::FutureExt::catch_unwind(AssertUnwindSafe(task)).await;
            if outcome.is_err() || !stop.is_cancelled() {
                let panicked = outcome.is_err();
                tracing::error!(task = name, panicked, "Task {name} ended early");
                // A full channel already holds the bad news this would add.
                let _ = ends.try_send(TaskEnd { name, panicked });
            }
        });
    }

    /// Runs a command to its end even if whoever asked goes away. Shutdown waits for it; a panic
    /// is reported like the end of a task, and so ends the program: a command that moves money is
    /// half done then, and what finishes it is the next start.
    pub fn detach<F>(&self, command: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.detach_as("command", command)
    }

    /// As [`Self::detach`], under the name that a panic is reported with.
    pub fn detach_as<F>(&self, name: &'static str, command: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let ends = self.ends.clone();
        self.tasks.spawn(async move {
            let outcome = futures::FutureExt::catch_unwind(AssertUnwindSafe(command)).await;
            outcome.unwrap_or_else(|panic| {
                tracing::error!(task = name, panicked = true, "Command {name} panicked");
                // A full channel already holds the bad news this would add.
                let _ = ends.try_send(TaskEnd { name, panicked: true });
                // Whoever waits for it shall see that it has no answer.
                std::panic::resume_unwind(panic)
            })
        })
    }

    /// Room for so many detached commands at once.
    #[must_use]
    pub fn commands(&self, at_most: usize) -> Commands {
        Commands { supervisor: self.clone(), room: Arc::new(Semaphore::new(at_most)) }
    }

    /// Asks every task to end and waits at most `grace`. True when all ended in time.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

/// Commands that are detached, only so many at once: whoever asked may have gone long before a
/// command ends, and does not bound them. Cheap to clone; all clones have one room.
#[derive(Clone, Debug)]
pub struct Commands {
    supervisor: Supervisor,
    room: Arc<Semaphore>,
}

impl Commands {
    /// As [`Supervisor::detach_as`]; none, and nothing was begun, while there is no room.
    pub fn detach_as<F>(&self, name: &'static str, command: F) -> Option<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let place = self.room.clone().try_acquire_owned().ok()?;
        Some(self.supervisor.detach_as(name, async move {
            let _place = place;
            command.await
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_reported_by_name() {
        let (supervisor, mut ends) = Supervisor::new();
        supervisor.spawn("doomed", async { panic!("on purpose") });
        let end = ends.recv().await;
        assert_eq!(end, Some(TaskEnd { name: "doomed", panicked: true }));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_tasks_that_listen_and_reports_nothing() {
        let (supervisor, mut ends) = Supervisor::new();
        let stop = supervisor.stopping();
        supervisor.spawn("listener", async move { stop.cancelled().await });
        assert!(supervisor.shutdown(Duration::from_secs(1)).await);
        assert!(ends.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_detached_command_that_panics_is_reported_by_name_and_gives_no_answer() {
        let (supervisor, mut ends) = Supervisor::new();
        let doomed = supervisor.detach_as("doomed", async { panic!("on purpose") });
        assert!(doomed.await.is_err_and(|error: tokio::task::JoinError| error.is_panic()));
        assert_eq!(ends.try_recv(), Ok(TaskEnd { name: "doomed", panicked: true }));
        assert_eq!(supervisor.detach_as("fine", async { 7 }).await.ok(), Some(7));
        assert!(ends.try_recv().is_err(), "a command that ends is no news");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_there_is_no_room_for_does_not_begin_until_another_ended() {
        let (supervisor, _ends) = Supervisor::new();
        let commands = supervisor.commands(1);
        let (go, waits) = tokio::sync::oneshot::channel::<()>();
        let first = commands.detach_as("first", waits).expect("there is room");
        assert!(commands.clone().detach_as("second", async {}).is_none());
        go.send(()).expect("it waits");
        assert!(first.await.is_ok());
        let third = commands.detach_as("third", async { 3 }).expect("there is room again");
        assert_eq!(third.await.ok(), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_a_detached_command_but_not_for_ever() {
        let (supervisor, _ends) = Supervisor::new();
        let _command = supervisor.detach(std::future::pending::<()>());
        assert!(!supervisor.shutdown(Duration::from_secs(1)).await);
    }
}
