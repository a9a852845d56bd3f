//! One service's SQLite database: one writer that commits in groups, a few readers.
//!
//! SQLite has one writer. Concurrent writes queue here and share one transaction, so one sync to
//! disk makes many of them durable (group commit). Each runs under its own savepoint: one that
//! fails takes nothing of its neighbours with it, and one that panics fails. A write is answered
//! after the commit, never before.

use futures::{FutureExt, future::BoxFuture};
use shop::StoreError;
use sqlx::{
    Connection, Executor, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    panic::AssertUnwindSafe,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span, field::Empty};

/// Writes that wait for the writer; more wait for room.
const QUEUE_MAX: usize = 1_024;
/// Writes that share one commit: enough to spread one sync, few enough to keep latency low.
const GROUP_MAX: usize = 128;
/// Connections that read: pages ask few questions at once.
const READERS_MAX: u32 = 2;
/// A reader unused for so long is closed.
const READER_IDLE: Duration = Duration::from_secs(30);
/// How long another process's lock is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the commit came to; the error is shared by all writes of the group.
type Committed = Result<(), Arc<sqlx::Error>>;
/// What became of one write.
type Told<T> = Result<T, Arc<sqlx::Error>>;

/// One write of a group.
trait Write: Send {
    /// Runs on the writer's connection; says whether to keep what it did.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool>;
    /// Tells the asker what became of it, whether it ran or not.
    fn answer(self: Box<Self>, committed: Committed);
}

/// A write with its asker.
struct Job<T, F> {
    /// Until it runs.
    work: Option<F>,
    /// After it ran.
    outcome: Option<Result<T, sqlx::Error>>,
    tell: oneshot::Sender<Told<T>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            // The writer is everybody's: it outlives what panics in one write.
            let done = AssertUnwindSafe(async { work(connection).await }).catch_unwind().await;
            let outcome = done.unwrap_or_else(|_| Err(sqlx::Error::Decode(Box::new(Panicked))));
            self.outcome.insert(outcome).is_ok()
        })
    }

    fn answer(self: Box<Self>, committed: Committed) {
        let told = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(Arc::new(error)),
            (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            // A group is committed when all of it ran.
            (None, Ok(())) => Err(Arc::new(sqlx::Error::WorkerCrashed)),
        };
        // A receiver that is gone asked for nothing more; the write stands all the same.
        let _ = self.tell.send(told);
    }
}

/// The writers of some databases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writers {
    pub(crate) tasks: TaskTracker,
    /// Asks them to end.
    pub(crate) closing: CancellationToken,
    /// Fires when one died: its database can be written no more.
    pub(crate) lost: CancellationToken,
}

/// A database. Clones are the same database.
#[derive(Clone)]
pub(crate) struct Database {
    service: &'static str,
    jobs: mpsc::Sender<(Box<dyn Write>, Span)>,
    readers: SqlitePool,
    committed: Arc<[Arc<Notify>; 2]>,
    /// The last commit failed.
    failing: Arc<AtomicBool>,
}

impl Database {
    /// Opens the file (made if missing), brings its schema up to date and starts its writer.
    pub(crate) async fn open(
        service: &'static str,
        file: &Path,
        synchronous: SqliteSynchronous,
        migrations: &Migrator,
        writers: &Writers,
    ) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let failed = |error| failed(service, error);
        // For a new file only, and for who may write.
        let writing = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
        let mut writer = SqliteConnection::connect_with(&writing).await.map_err(failed)?;
        migrations.run(&mut writer).await.map_err(|e| failed(e.into()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .min_connections(0)
            .idle_timeout(READER_IDLE)
            .connect_lazy_with(options.read_only(true));
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let committed = Arc::new([Arc::new(Notify::new()), Arc::new(Notify::new())]);
        let closing = writers.closing.clone();
        let failing = Arc::new(AtomicBool::new(false));
        let told = (committed.clone(), failing.clone());
        let writing = write_groups(service, writer, queue, told, closing);
        let pool = readers.clone();
        let loss = writers.lost.clone().drop_guard();
        writers.tasks.spawn(async move {
            let writer = writing.await;
            loss.disarm();
            // The last connection to close moves the log into the database file.
            pool.close().await;
            if let Err(error) = writer.close().await {
                tracing::error!(service.name = service, %error, "the database was not closed");
            }
        });
        Ok(Self { service, jobs, readers, committed, failing })
    }

    pub(crate) const fn service(&self) -> &'static str {
        self.service
    }

    /// Fires after commits; for the relay of the outbox.
    pub(crate) fn committed_outbox(&self) -> Arc<Notify> {
        self.committed[0].clone()
    }

    /// Fires after commits; for the projection.
    pub(crate) fn committed_events(&self) -> Arc<Notify> {
        self.committed[1].clone()
    }

    /// Runs `work` in a transaction and returns when it is durable. When `work` fails nothing of
    /// it is kept.
    pub(crate) async fn write<T, F>(
        &self,
        operation: &'static str,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        self.write_in(self.span(operation), work).await
    }

    /// As [`Self::write`], without a span: for housekeeping that belongs to no request.
    pub(crate) async fn write_quietly<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        self.write_in(Span::none(), work).await
    }

    async fn write_in<T, F>(&self, span: Span, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        let _until_answered = Answered::of(&span);
        let (tell, told) = oneshot::channel();
        let job: Box<dyn Write> = Box::new(Job { work: Some(work), outcome: None, tell });
        let closed = || failed(self.service, sqlx::Error::PoolClosed);
        self.jobs.send((job, span.clone())).await.map_err(|_| closed())?;
        let told = told.instrument(span).await.map_err(|_| closed())?;
        told.map_err(|error| StoreError { service: self.service, cause: Box::new(Shared(error)) })
    }

    /// Runs `work` on a reader. All it reads is of one moment, however many queries it makes.
    pub(crate) async fn read<T, F>(&self, operation: &'static str, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send,
    {
        self.read_in(self.span(operation), work).await
    }

    /// As [`Self::read`], without a span.
    pub(crate) async fn read_quietly<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send,
    {
        self.read_in(Span::none(), work).await
    }

    /// Whether it can be read and written. Usually the writer commits nothing, which costs no
    /// sync; after a commit that failed it writes, so that a failing disk is not called healthy.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let tables = "SELECT count(*) FROM sqlite_schema";
        self.read_quietly(|c| Box::pin(sqlx::query_scalar::<_, i64>(tables).fetch_one(c))).await?;
        let failing = self.failing.load(Ordering::Relaxed);
        let write = self.write_quietly(move |c| {
            Box::pin(async move {
                if failing {
                    // Rewrites the first page as it is.
                    c.execute("PRAGMA user_version = 0").await?;
                }
                Ok(())
            })
        });
        write.await
    }

    async fn read_in<T, F>(&self, span: Span, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send,
    {
        let _until_answered = Answered::of(&span);
        async {
            let mut snapshot = self.readers.begin().await?;
            let found = work(&mut snapshot).await?;
            snapshot.rollback().await?;
            Ok(found)
        }
        .instrument(span)
        .await
        .map_err(|error| failed(self.service, error))
    }

    /// A client span after the semantic conventions for databases.
    fn span(&self, operation: &'static str) -> Span {
        tracing::info_span!(
            target: "vitrine::storage",
            "db",
            otel.name = operation,
            otel.kind = "client",
            service.name = self.service,
            db.system.name = "sqlite",
            db.namespace = self.service,
            db.operation.name = operation,
            db.operation.batch.size = Empty,
            { base::LASTED_US } = Empty,
        )
    }
}

/// Ends a span when its question is answered, or not asked any more. The thread of a connection,
/// and the writer, run in the span of what they do and let go of it after they have answered: by
/// them a statement would outlast the request that waited for it.
struct Answered {
    span: Span,
    began: Instant,
}

impl Answered {
    fn of(span: &Span) -> Self {
        Self { span: span.clone(), began: Instant::now() }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.span.record(base::LASTED_US, base::clock::micros(self.began.elapsed()));
    }
}

/// A write panicked; nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[error("the write panicked")]
struct Panicked;

/// An error of sqlx that several askers share.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Shared(Arc<sqlx::Error>);

pub(crate) fn failed(service: &'static str, error: sqlx::Error) -> StoreError {
    StoreError { service, cause: Box::new(error) }
}

/// The writer: takes what waits, up to a group, into one transaction. Ends when it shall close or
/// every handle is gone, after what waits is written; gives the connection back.
async fn write_groups(
    service: &'static str,
    mut writer: SqliteConnection,
    mut queue: mpsc::Receiver<(Box<dyn Write>, Span)>,
    told: (Arc<[Arc<Notify>; 2]>, Arc<AtomicBool>),
    closing: CancellationToken,
) -> SqliteConnection {
    let mut group = Vec::with_capacity(GROUP_MAX);
    loop {
        let taken = tokio::select! {
            biased;
            taken = queue.recv_many(&mut group, GROUP_MAX) => taken,
            () = closing.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        };
        if taken == 0 {
            return writer;
        }
        write_group(service, &mut writer, &mut group, &told).await;
    }
}

/// Writes what is taken, all of which is answered and gone afterwards, whatever happens.
async fn write_group(
    service: &'static str,
    writer: &mut SqliteConnection,
    group: &mut Vec<(Box<dyn Write>, Span)>,
    (committed, failing): &(Arc<[Arc<Notify>; 2]>, Arc<AtomicBool>),
) {
    let size = group.len();
    // A batch of one is none (semantic conventions for databases).
    for (_, span) in group.iter().filter(|_| size > 1) {
        span.record("db.operation.batch.size", size);
    }
    let outcome = run_group(writer, group).await.map_err(Arc::new);
    failing.store(outcome.is_err(), Ordering::Relaxed);
    match &outcome {
        Ok(()) => committed.iter().for_each(|notify| notify.notify_one()),
        Err(error) => {
            tracing::error!(service.name = service, %error, "a commit of {size} writes failed");
            // Whatever was begun is undone; when that fails too there was nothing to undo.
            let _ = writer.execute("ROLLBACK").await;
        }
    }
    group.drain(..).for_each(|(job, _)| job.answer(outcome.clone()));
}

async fn run_group(
    writer: &mut SqliteConnection,
    group: &mut [(Box<dyn Write>, Span)],
) -> Result<(), sqlx::Error> {
    writer.execute("BEGIN IMMEDIATE").await?;
    for (job, span) in group {
        writer.execute("SAVEPOINT one").await?;
        if !job.run(writer).instrument(span.clone()).await {
            writer.execute("ROLLBACK TO one").await?;
        }
        writer.execute("RELEASE one").await?;
    }
    writer.execute("COMMIT").await?;
    Ok(())
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
