//! The writer: what is answered is durable, and neighbours in a group do not harm each other.

use super::*;
use futures::future::join_all;

async fn database(folder: &Path) -> (Database, Writers) {
    let writers = Writers::default();
    let file = folder.join("test.sqlite");
    let none = Migrator::with_migrations(Vec::new());
    let db = Database::open("test", &file, SqliteSynchronous::Off, &none, &writers).await.unwrap();
    writers.tasks.close();
    db.write("create", |c| {
        Box::pin(async move {
            c.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)").await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    (db, writers)
}

async fn insert(db: &Database, n: i64) -> Result<(), StoreError> {
    db.write("insert", move |c| {
        Box::pin(async move {
            sqlx::query("INSERT INTO t VALUES (?)").bind(n).execute(&mut *c).await?;
            // A second statement that fails for odd numbers, after the first took effect.
            let broken = if n % 2 == 1 { n } else { n + 1_000_000 };
            sqlx::query("INSERT INTO t VALUES (?)").bind(broken).execute(c).await?;
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn a_failing_write_takes_nothing_of_its_neighbours_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _writers) = database(folder.path()).await;
    let results = join_all((0..100).map(|n| insert(&db, n))).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 50);
    assert_eq!(
        count(&db).await,
        100,
        "two rows of each write that was answered, none of the others"
    );
}

/// Another connection to the database's file, for what another process may do to it.
async fn stranger(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("test.sqlite"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Lets the writer fail at once where it would wait for another's lock.
async fn be_impatient(db: &Database) {
    let impatient = db.write("pragma", |c| {
        Box::pin(async move { c.execute("PRAGMA busy_timeout = 0").await.map(drop) })
    });
    impatient.await.unwrap();
}

async fn count(db: &Database) -> i64 {
    db.read("count", |c| Box::pin(sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(c)))
        .await
        .unwrap()
}

#[tokio::test]
async fn writes_of_a_group_that_cannot_begin_are_answered_and_never_done() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _writers) = database(folder.path()).await;
    be_impatient(&db).await;
    let mut stranger = stranger(folder.path()).await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    let writes = join_all((0..10).map(|n| insert(&db, 2 * n)));
    let refused = tokio::time::timeout(Duration::from_secs(10), writes).await.expect("answers");
    assert!(refused.iter().all(Result::is_err), "answered before it was durable");
    stranger.execute("COMMIT").await.unwrap();
    insert(&db, 100).await.unwrap();
    assert_eq!(count(&db).await, 2, "what was refused was done all the same");
}

#[tokio::test]
async fn a_database_that_cannot_be_written_does_not_pass_for_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _writers) = database(folder.path()).await;
    db.probe().await.unwrap();
    be_impatient(&db).await;
    let mut stranger = stranger(folder.path()).await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    assert!(db.probe().await.is_err(), "locked");
    stranger.execute("COMMIT").await.unwrap();
    db.probe().await.expect("the probe itself finds out that it works again");
    let broken = db.write("commit", |c| {
        Box::pin(async move {
            c.execute("CREATE TABLE u (n REFERENCES t DEFERRABLE INITIALLY DEFERRED)").await?;
            c.execute("INSERT INTO u VALUES (1)").await.map(drop)
        })
    });
    assert!(broken.await.is_err(), "only its commit fails");
    assert!(db.failing.load(Ordering::Relaxed), "a commit that failed is remembered");
    db.probe().await.unwrap();
    assert!(!db.failing.load(Ordering::Relaxed), "until a write was committed");
    db.probe().await.unwrap();
}

#[tokio::test]
async fn a_database_without_a_writer_does_not_pass_for_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let (db, writers) = database(folder.path()).await;
    writers.closing.cancel();
    writers.tasks.wait().await;
    assert!(db.probe().await.is_err());
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let (db, writers) = database(folder.path()).await;
    insert(&db, 2).await.unwrap();
    drop(db);
    writers.tasks.wait().await;
    assert!(!writers.lost.is_cancelled(), "an ordinary end is no loss");
    let (db, _writers) = database(folder.path()).await;
    let found: Vec<i64> = db
        .read("all", |c| Box::pin(sqlx::query_scalar("SELECT n FROM t ORDER BY n").fetch_all(c)))
        .await
        .unwrap();
    assert_eq!(found, [2, 1_000_002]);
}

#[tokio::test]
async fn a_write_that_panics_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (db, writers) = database(folder.path()).await;
    let doomed = db.write::<(), _>("panic", |c| {
        Box::pin(async move {
            sqlx::query("INSERT INTO t VALUES (7)").execute(c).await?;
            panic!("on purpose")
        })
    });
    let (doomed, neighbour) = tokio::join!(doomed, insert(&db, 2));
    assert!(doomed.is_err() && neighbour.is_ok());
    insert(&db, 4).await.unwrap();
    assert_eq!(count(&db).await, 4, "two rows each of those that did not panic");
    assert!(!writers.lost.is_cancelled());
}

/// A value that panics when it is thrown away.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn the_death_of_a_writer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (db, writers) = database(folder.path()).await;
    // Nobody waits for the answer, so the writer throws the value away, outside of the write.
    let asked = db.write("bomb", |_| Box::pin(async { Ok(Bomb) }));
    assert!(asked.now_or_never().is_none(), "it cannot be answered yet");
    let told = tokio::time::timeout(Duration::from_secs(10), writers.lost.cancelled()).await;
    assert!(told.is_ok(), "nobody was told");
    assert!(insert(&db, 2).await.is_err());
}

#[tokio::test]
async fn what_one_read_sees_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _writers) = database(folder.path()).await;
    let (looked, between) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let query = "SELECT count(*) FROM t";
    let (tell, wait) = (looked.clone(), between.clone());
    let reading = db.read("twice", |c| {
        Box::pin(async move {
            let before: i64 = sqlx::query_scalar(query).fetch_one(&mut *c).await?;
            tell.notify_one();
            wait.notified().await;
            let after: i64 = sqlx::query_scalar(query).fetch_one(c).await?;
            Ok((before, after))
        })
    });
    let writing = async {
        looked.notified().await;
        insert(&db, 2).await.unwrap();
        between.notify_one();
    };
    let (read, ()) = tokio::join!(reading, writing);
    assert_eq!(read.unwrap(), (0, 0));
    assert_eq!(count(&db).await, 2);
}
