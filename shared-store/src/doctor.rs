//! Checks a store for `doctor`. It changes nothing, because the service may be running.

use std::{
    error::Error,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use shared_http::{report::Report, shown_settings::ShownSettings};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use crate::{
    content::Content,
    location::Location,
    maintenance::describe,
    postgres::{TlsError, connect_options},
};

/// Free space in bytes below which a disk counts as nearly full.
const MIN_FREE_SPACE: u64 = 100 << 20;

/// How long connecting to a database may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Checks the store that `settings` name. They hold no password. So a PostgreSQL database is checked only if `own`, the
/// location in this environment, is the same database.
pub async fn examine(
    report: &mut Report,
    settings: &ShownSettings,
    own: Option<&Location>,
    content: &Content,
) {
    let url = settings.get("DATABASE_URL");
    let own = || own.filter(|own| own.without_password() == url).cloned();
    match Location::of(settings).or_else(own) {
        Some(location) => examine_location(report, &location, content).await,
        None => report.note(format_args!(
            "store: {url:?} was not looked at, for this environment has no password for it; run doctor with the \
             service's DATABASE_URL"
        )),
    }
}

async fn examine_location(report: &mut Report, location: &Location, content: &Content) {
    match location {
        Location::Memory => {
            report.wrong(
                "store: memory, which a restart forgets; set DATABASE_URL, for instance to sqlite:///data/",
            );
        }
        Location::Sqlite { path, is_expected } => {
            examine_directory(report, path);
            if path.exists() {
                match describe(path, content).await {
                    Ok(found) => report.good(format_args!("store: {}: {found}", path.display())),
                    Err(error) => {
                        report.wrong(format_args!("store: {error}; to go on with a backup: restore PATH"));
                    }
                }
            } else if *is_expected {
                report.wrong(format_args!(
                    "store: {} is missing, and EXPECT_DATA is true; mount its disk, bring a backup back with restore \
                     PATH, or begin anew with EXPECT_DATA=false",
                    path.display()
                ));
            } else {
                report.good(format_args!("store: {} will be made at the first start", path.display()));
            }
        }
        Location::Postgres(url) => match ask_postgres(url).await {
            Ok(version) => report.good(format_args!("store: PostgreSQL {version} takes writes")),
            Err(error) => {
                report.wrong(format_args!("store: {error}; see to the database, or correct DATABASE_URL"));
            }
        },
    }
}

fn examine_directory(report: &mut Report, path: &Path) {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let shown = directory.display();
    match try_writing(directory) {
        Ok(()) => report.good(format_args!("disk: {shown} takes writes")),
        Err(error) => report.wrong(format_args!(
            "disk: {shown} takes no writes ({error}); make it a directory that belongs to whom the service runs as"
        )),
    }
    // A missing directory was reported above.
    let Ok(disk) = rustix::fs::statvfs(directory) else { return };
    let (free, mib) = (disk.f_bavail * disk.f_frsize, 1 << 20);
    if free < MIN_FREE_SPACE {
        report.wrong(format_args!("disk: {shown} has {} MiB left; make room", free / mib));
    } else {
        report.good(format_args!("disk: {shown} has {} MiB left", free / mib));
    }
}

/// Writes a file without a name, or with a random one, so that no symbolic link in `directory` is followed.
fn try_writing(directory: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(b"doctor")?;
    file.sync_all()
}

/// The version of the PostgreSQL server, if the database takes writes.
async fn ask_postgres(url: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let options = connect_options(url)?.disable_statement_logging();
    let connected = timeout(CONNECT_WITHIN, options.connect()).await.map_err(|_| "it does not answer")?;
    let mut connection = connected.map_err(|error| match TlsError::of(&error, options.get_ssl_mode()) {
        Some(error) => Box::<dyn Error + Send + Sync>::from(error),
        None => error.into(),
    })?;
    let ask = "SELECT current_setting('server_version'), current_setting('transaction_read_only')";
    let (version, read_only): (String, String) = sqlx::query_as(ask).fetch_one(&mut connection).await?;
    connection.close().await?;
    if read_only == "on" { Err("the database is read-only".into()) } else { Ok(version) }
}
