//! The writer: what is answered is durable, and neighbours in a group do not harm each other.

use super::*;
use futures::future::join_all;

async fn database(folder: &Path) -> (Database, TaskTracker) {
    let tasks = TaskTracker::new();
    let file = folder.join("test.sqlite");
    let none = Migrator::with_migrations(Vec::new());
    let ways = (&tasks, &CancellationToken::new());
    let db = Database::open("test", &file, SqliteSynchronous::Off, &none, ways).await.unwrap();
    tasks.close();
    db.write("create", |c| {
        Box::pin(async move {
            c.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)").await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    (db, tasks)
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
    let (db, _tasks) = database(folder.path()).await;
    let results = join_all((0..100).map(|n| insert(&db, n))).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 50);
    let count: i64 = db
        .read("count", |c| Box::pin(sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(c)))
        .await
        .unwrap();
    assert_eq!(count, 100, "two rows of each write that was answered, none of the others");
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let (db, tasks) = database(folder.path()).await;
    insert(&db, 2).await.unwrap();
    drop(db);
    tasks.wait().await;
    let (db, _tasks) = database(folder.path()).await;
    let found: Vec<i64> = db
        .read("all", |c| Box::pin(sqlx::query_scalar("SELECT n FROM t ORDER BY n").fetch_all(c)))
        .await
        .unwrap();
    assert_eq!(found, [2, 1_000_002]);
}
