//! `kubectl shekara geo`: tables that say in which country an address is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use shekara_policy::Address;
use shekara_policy::geo::build::{SourceBuilder, table};
use shekara_policy::geo::{CountrySource as _, GeoTable};

/// What to do with geo tables.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Build a table from CSV (`network,country` or `first,last,country`) and MMDB files; prints its path
    Build {
        /// A source's name and a file of it; files of one name make one source, for example IPv4 and IPv6
        #[arg(long = "source", value_name = "NAME=FILE", required = true)]
        sources: Vec<String>,
        /// The folder for the table, which is named by its digest
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Say in which country each source of a table places addresses
    Lookup {
        /// The table
        #[arg(long, value_name = "FILE")]
        table: PathBuf,
        /// The addresses
        #[arg(required = true)]
        addresses: Vec<IpAddr>,
    },
}

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Build { sources, output } => build(&sources, &output),
        Command::Lookup { table, addresses } => lookup(&table, &addresses),
    }
}

fn build(sources: &[String], output: &Path) -> Result<()> {
    let mut order = Vec::new();
    let mut builders: BTreeMap<&str, SourceBuilder> = BTreeMap::new();
    for source in sources {
        let (name, file) = source.split_once('=').with_context(|| format!("--source {source}: NAME=FILE is expected"))?;
        if !builders.contains_key(name) {
            builders.insert(name, SourceBuilder::new(name)?);
            order.push(name);
        }
        if let Some(builder) = builders.get_mut(name) {
            add(builder, Path::new(file)).with_context(|| file.to_owned())?;
        }
    }
    let sources: Vec<SourceBuilder> = order.into_iter().filter_map(|name| builders.remove(name)).collect();
    let bytes = table(&sources)?;
    // what is written is read as a sidecar will read it, so a faulty table is never handed out
    let digest = GeoTable::new(bytes.as_slice())?.digest().replace(':', "-");
    let path = output.join(format!("{digest}.geo"));
    write(&path, &bytes).with_context(|| path.display().to_string())?;
    println!("{}", path.display());
    Ok(())
}

fn add(builder: &mut SourceBuilder, file: &Path) -> Result<()> {
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mmdb")) {
        builder.add_mmdb(fs::read(file)?)?;
    } else {
        builder.add_csv(File::open(file)?)?;
    }
    Ok(())
}

/// Writes beside the name and renames, so that a table of this name is always whole.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("geo.part");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    Ok(())
}

fn lookup(table: &Path, addresses: &[IpAddr]) -> Result<()> {
    let bytes = fs::read(table).with_context(|| table.display().to_string())?;
    let table = GeoTable::new(bytes).with_context(|| table.display().to_string())?;
    let names: Vec<String> = table.sources().map(str::to_owned).collect();
    if names.is_empty() {
        bail!("the table has no source");
    }
    for address in addresses {
        let address = Address::new(*address);
        let countries = table.countries(address.ip());
        let said: Vec<String> = names.iter().zip(countries).map(|(name, country)| format!("{name}={country}")).collect();
        println!("{address} {}", said.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_built_under_the_name_of_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("a.csv");
        fs::write(&csv, "192.0.2.0/24,KZ\n2001:db8::/32,KZ\n").unwrap();
        build(&[format!("a={}", csv.display())], folder.path()).unwrap();
        let tables: Vec<PathBuf> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "geo"))
            .collect();
        let table = GeoTable::new(fs::read(&tables[0]).unwrap()).unwrap();
        assert_eq!(tables[0].file_stem().unwrap().to_str().unwrap(), table.digest().replace(':', "-"));
        assert_eq!(table.countries("192.0.2.9".parse().unwrap())[0].as_str(), "KZ");
    }

    #[test]
    fn a_faulty_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("a.csv");
        fs::write(&csv, "192.0.2.0/24,KZ\nnonsense\n").unwrap();
        let error = build(&[format!("a={}", csv.display())], folder.path()).unwrap_err();
        assert!(format!("{error:#}").contains("a.csv: line 2: "), "{error:#}");
    }
}
