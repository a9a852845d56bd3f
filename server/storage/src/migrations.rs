//! The schema of every database, inside the program.
//!
//! Not by `sqlx::migrate!`: its macro brings a second SQLite and most of sqlx, compiled for the
//! compiler, and two minutes of a first build with them.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// One file: its version, its name and its text. sqlx keeps the version and a digest of the text
/// in the database, so neither may change once released.
pub(crate) type Step = (i64, &'static str, &'static str);

/// The files of a folder under `migrations/`.
macro_rules! steps {
    ($folder:literal: $($version:literal $name:literal),+) => {
        &[$((
            $version,
            $name,
            include_str!(concat!("../../../migrations/", $folder, "/", $name, ".sql")),
        )),+]
    };
}

pub(crate) const BANK: &[Step] = steps!(
    "bank":
    1 "0001_bank",
    2 "0002_correlation",
    3 "0003_keys",
    4 "0004_retention"
);
pub(crate) const CATALOG: &[Step] = steps!("catalog": 1 "0001_products", 2 "0002_updated");
pub(crate) const CONTROL: &[Step] = steps!(
    "control":
    1 "0001_revisions",
    2 "0002_resource_faults",
    3 "0003_fault_numbers",
    4 "0004_kill_switch"
);
pub(crate) const INVENTORY: &[Step] = steps!(
    "inventory":
    1 "0001_shelves",
    2 "0002_keys",
    3 "0003_dead_letters",
    4 "0004_retention",
    10 "0010_baggage",
    12 "0012_dead_letters_baggage"
);
pub(crate) const ORDERS: &[Step] = steps!(
    "orders":
    1 "0001_orders",
    2 "0002_awaited",
    3 "0003_dead_letters",
    4 "0004_retention",
    5 "0005_correlation",
    10 "0010_baggage",
    11 "0011_key_versions",
    12 "0012_dead_letters_baggage"
);
pub(crate) const PAYMENTS: &[Step] = steps!(
    "payments":
    1 "0001_payments",
    2 "0002_dead_letters",
    3 "0003_retention",
    10 "0010_baggage",
    12 "0012_dead_letters_baggage"
);
pub(crate) const PROVIDER: &[Step] = steps!("provider": 1 "0001_provider", 2 "0002_retention");
pub(crate) const RECOMMENDATIONS: &[Step] = steps!(
    "recommendations":
    1 "0001_pairs",
    2 "0002_retention"
);
pub(crate) const USERS: &[Step] = steps!("users": 1 "0001_users");

/// What brings a database to the newest of the steps.
pub(crate) fn migrator(steps: &[Step]) -> Migrator {
    let migration = |&(version, name, text): &Step| {
        let words = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        let description = words.replace('_', " ").into();
        Migration::new(version, description, MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn every_file_of_the_folder_of_migrations_is_in_the_program_under_its_number() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let folders = [
            ("bank", BANK),
            ("catalog", CATALOG),
            ("control", CONTROL),
            ("inventory", INVENTORY),
            ("orders", ORDERS),
            ("payments", PAYMENTS),
            ("provider", PROVIDER),
            ("recommendations", RECOMMENDATIONS),
            ("users", USERS),
        ];
        let names = |path: &Path| -> BTreeSet<String> {
            let entries = fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(&root), folders.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (folder, steps) in folders {
            let inside = steps.iter().map(|(_, name, _)| format!("{name}.sql")).collect();
            assert_eq!(names(&root.join(folder)), inside, "{folder}");
            for (version, name, _) in steps {
                assert!(name.starts_with(&format!("{version:04}_")), "{folder}/{name}");
            }
        }
    }
}
