//! Migrations: numbered SQL files, forward only, one transaction each, under a
//! lock, with the checksum of what was run. Going back is restoring a backup.

use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{Store, StoreError, describe, is_unreachable, with_server_options};

/// Postgres' advisory lock for this; "phasemig" in ASCII.
const MIGRATION_LOCK: i64 = 0x7068_6173_656d_6967;

struct Migration {
    number: i32,
    name: &'static str,
    sql: &'static str,
}

/// In order, without gaps. A file that was released is never edited: its checksum is compared.
const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "events_builds_hosts",
        sql: include_str!("../../migrations/0001_events_builds_hosts.sql"),
    },
    Migration {
        number: 2,
        name: "exact_cost",
        sql: include_str!("../../migrations/0002_exact_cost.sql"),
    },
    Migration {
        number: 3,
        name: "log_lines",
        sql: include_str!("../../migrations/0003_log_lines.sql"),
    },
    Migration {
        number: 4,
        name: "history_and_costs",
        sql: include_str!("../../migrations/0004_history_and_costs.sql"),
    },
    Migration {
        number: 5,
        name: "listings",
        sql: include_str!("../../migrations/0005_listings.sql"),
    },
];

const LEDGER: &str = "
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migration IS 'Migrations that were run on this database.';
COMMENT ON COLUMN schema_migration.number IS 'Number of the file.';
COMMENT ON COLUMN schema_migration.name IS 'Name of the file.';
COMMENT ON COLUMN schema_migration.checksum IS 'SHA-256 of its text, hex.';
COMMENT ON COLUMN schema_migration.applied_at IS 'Database clock.';
";

/// Why the schema is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    /// The database was migrated by a newer program.
    #[error(
        "use this database: it is at migration {database} and this program knows {program}; run the newer program, or restore the backup taken before the upgrade"
    )]
    Newer {
        /// Its newest migration.
        database: i32,
        /// Ours.
        program: i32,
    },
    /// A migration that was run is not the one this program has.
    #[error(
        "use this database: its migration {number} ({name}) is not the one of this program; run the program that made it, or restore a backup"
    )]
    Changed {
        /// Its number.
        number: i32,
        /// Its name.
        name: String,
    },
    /// Postgres refused a migration.
    #[error("run migration {name}: {cause}")]
    Failed {
        /// Its name.
        name: &'static str,
        /// What Postgres said.
        cause: String,
    },
    /// Postgres is away: worth another try.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MigrateError {
    /// Trying again helps.
    #[must_use]
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unreachable(_)))
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The migrations that are still to be run.
fn outstanding(applied: &[(i32, String, String)]) -> Result<&'static [Migration], MigrateError> {
    for (number, name, sum) in applied {
        let known = MIGRATIONS
            .iter()
            .find(|migration| migration.number == *number);
        let Some(migration) = known else {
            return Err(MigrateError::Newer {
                database: applied.iter().map(|row| row.0).max().unwrap_or_default(),
                program: MIGRATIONS.last().map_or(0, |migration| migration.number),
            });
        };
        if checksum(migration.sql) != *sum {
            return Err(MigrateError::Changed {
                number: *number,
                name: name.clone(),
            });
        }
    }
    Ok(&MIGRATIONS[applied.len()..])
}

impl Store {
    /// Brings the schema up to date; safe to call from several programs at once.
    /// Answers how many migrations were run.
    ///
    /// # Errors
    /// See [`MigrateError`]; `is_temporary` ones are worth another try.
    pub(crate) async fn migrate(&self) -> Result<usize, MigrateError> {
        // No statement timeout: building an index may take long.
        let config = with_server_options(&self.config, "phaseline migrate", 0);
        let (mut client, connection) = config.connect(NoTls).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        client
            .execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK])
            .await?;
        // The lock ends with the connection, which ends with `client` and `tasks`.
        run_outstanding(&mut client).await
    }
}

async fn run_outstanding(client: &mut Client) -> Result<usize, MigrateError> {
    client.batch_execute(LEDGER).await?;
    let rows = client
        .query(
            "SELECT number, name, checksum FROM schema_migration ORDER BY number",
            &[],
        )
        .await?;
    let mut applied = Vec::with_capacity(rows.len());
    for row in rows {
        applied.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    let outstanding = outstanding(&applied)?;
    for migration in outstanding {
        run_one(client, migration).await?;
        tracing::info!(
            migration.number,
            migration.name,
            "migrated the database schema"
        );
    }
    Ok(outstanding.len())
}

async fn run_one(client: &mut Client, migration: &Migration) -> Result<(), MigrateError> {
    let failed = |error: tokio_postgres::Error| {
        if is_unreachable(&error) {
            return MigrateError::from(error);
        }
        MigrateError::Failed {
            name: migration.name,
            cause: describe(&error),
        }
    };
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(migration.sql)
        .await
        .map_err(failed)?;
    transaction
        .execute(
            "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)",
            &[&migration.number, &migration.name, &checksum(migration.sql)],
        )
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_run(migration: &Migration) -> (i32, String, String) {
        (
            migration.number,
            migration.name.to_owned(),
            checksum(migration.sql),
        )
    }

    #[test]
    fn migrations_are_numbered_from_one_without_gaps() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number).unwrap(), index + 1);
        }
    }

    #[test]
    fn an_empty_database_gets_all_and_a_ready_one_none() {
        assert_eq!(outstanding(&[]).unwrap().len(), MIGRATIONS.len());
        let all: Vec<_> = MIGRATIONS.iter().map(as_run).collect();
        assert_eq!(outstanding(&all).unwrap().len(), 0);
    }

    #[test]
    fn a_newer_or_different_database_is_refused_in_plain_words() {
        let mut all: Vec<_> = MIGRATIONS.iter().map(as_run).collect();
        all.push((9999, "future".to_owned(), "00".to_owned()));
        let refusal = outstanding(&all).err().unwrap().to_string();
        assert!(refusal.contains("it is at migration 9999"), "{refusal}");
        let mut all: Vec<_> = MIGRATIONS.iter().map(as_run).collect();
        all[0].2 = "00".to_owned();
        let refusal = outstanding(&all).err().unwrap().to_string();
        assert!(refusal.contains("migration 1"), "{refusal}");
    }

    #[test]
    fn every_table_and_column_says_what_it_is() {
        for migration in MIGRATIONS {
            let mut table = "";
            for line in migration.sql.lines() {
                if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                    table = rest.split_whitespace().next().unwrap_or_default();
                    let comment = format!("COMMENT ON TABLE {table} IS");
                    assert!(migration.sql.contains(&comment), "{comment}");
                } else if line.starts_with(')') {
                    table = "";
                } else if !table.is_empty() && line.starts_with("    ") {
                    let column = line.split_whitespace().next().unwrap_or_default();
                    if column.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                        let comment = format!("COMMENT ON COLUMN {table}.{column} IS");
                        assert!(migration.sql.contains(&comment), "{comment}");
                    }
                }
            }
        }
    }
}
