//! The city's own jobs compile against the city's own schemas.

use crate::accepted::describe;
use crate::fixture::{TestConnectors, empty_tables, folder, is_update};
use citystream_sql::{Catalog, SqlFile, compile, explain};
use std::path::{Path, PathBuf};

#[test]
fn all_jobs_of_the_repository_are_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schemas = subfolders(&root.join("schemas"))
        .into_iter()
        .flat_map(|folder| [folder.join("stream.sql"), folder.join("table.sql")]);
    let schemas: Vec<SqlFile> = schemas.filter(|path| path.exists()).map(|path| read(&path)).collect();
    let jobs: Vec<SqlFile> =
        subfolders(&root.join("jobs")).into_iter().map(|folder| read(&folder.join("job.sql"))).collect();
    let catalog = Catalog::read(&schemas, &TestConnectors).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let checked = compile(&jobs, &catalog, &empty_tables(&catalog), &TestConnectors);
    let checked = checked.unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert!(checked.len() >= jobs.len());
    for job in &checked {
        println!("{}", describe(job));
        let golden = folder("explained").join(format!("{}.txt", job.spec.name));
        if is_update() {
            std::fs::create_dir_all(folder("explained")).unwrap();
            std::fs::write(&golden, explain(job)).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(explain(job), expected, "{}: UPDATE=1 writes it anew", golden.display());
    }
}

fn read(path: &Path) -> SqlFile {
    let text = std::fs::read_to_string(path).unwrap();
    SqlFile { name: path.display().to_string(), folder: path.parent().unwrap().to_owned(), text }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
