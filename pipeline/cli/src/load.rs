//! From folders and files to a catalog and checked jobs.

use crate::exit::{Failure, Outcome};
use citystream_lake::load;
use citystream_model::Error;
use citystream_model::catalog::Connectors;
use citystream_sql::{Catalog, CheckedJob, SqlFile, Tables, compile};
use std::path::{Path, PathBuf};
use tokio::runtime::Handle;

/// Streams, tables and the tables' rows.
pub(crate) struct Schemas {
    pub(crate) catalog: Catalog,
    pub(crate) tables: Tables,
    /// The declarations as they are written.
    pub(crate) files: Vec<SqlFile>,
}

/// Reads `stream.sql` and `table.sql` of every subfolder of `folder`.
pub(crate) fn schemas(folder: &Path, connectors: &dyn Connectors, handle: &Handle) -> Outcome<Schemas> {
    let files = declarations(folder)?;
    let catalog = Catalog::read(&files, connectors)?;
    catalog.in_their_folders()?;
    let mut tables = Tables::new();
    let mut findings = Vec::new();
    for (name, table) in &catalog.tables {
        match load(table, handle) {
            Ok(loaded) => drop(tables.insert(name.clone(), loaded)),
            Err(error) => findings.push(catalog.unreadable(name, &error)),
        }
    }
    if findings.is_empty() { Ok(Schemas { catalog, tables, files }) } else { Err(Failure::Findings(findings)) }
}

/// Reads and checks job files; one wrong file and there is none.
pub(crate) fn jobs(files: &[PathBuf], schemas: &Schemas, connectors: &dyn Connectors) -> Outcome<Vec<CheckedJob>> {
    checked(&job_files(files)?, schemas, connectors)
}

/// Job files as they are written.
pub(crate) fn job_files(files: &[PathBuf]) -> Outcome<Vec<SqlFile>> {
    files.iter().map(|path| read(path)).collect()
}

/// Checks job files; one wrong file and there is none.
pub(crate) fn checked(files: &[SqlFile], schemas: &Schemas, connectors: &dyn Connectors) -> Outcome<Vec<CheckedJob>> {
    Ok(compile(files, &schemas.catalog, &schemas.tables, connectors)?)
}

fn declarations(folder: &Path) -> Outcome<Vec<SqlFile>> {
    let listed = std::fs::read_dir(folder).map_err(|error| {
        Error::job(format!(
            "schemas folder '{}': cannot be read, expected a folder with a subfolder per stream and table",
            folder.display()
        ))
        .caused_by(error)
    })?;
    let mut folders: Vec<PathBuf> =
        listed.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    let candidates = folders.iter().flat_map(|folder| [folder.join("stream.sql"), folder.join("table.sql")]);
    let files = candidates.filter(|path| path.is_file()).map(|path| read(&path)).collect::<Outcome<Vec<_>>>()?;
    if files.is_empty() {
        return Err(Error::job(format!(
            "schemas folder '{}': found no <name>/stream.sql and no <name>/table.sql in it",
            folder.display()
        ))
        .into());
    }
    Ok(files)
}

fn read(path: &Path) -> Outcome<SqlFile> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::job(format!("file '{}': cannot be read", path.display())).caused_by(error))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    Ok(SqlFile { name: path.display().to_string(), folder, text })
}
