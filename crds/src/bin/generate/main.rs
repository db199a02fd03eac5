//! `generate [--check]`: writes what is made from the types (`crds/yaml/`, the chart's copy, `docs/reference/`), or fails naming
//! the files that differ from them.

mod manifest;
mod messages;
mod reference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use shekara_crds::definitions::definitions;

/// The folders that hold nothing but generated files.
const FOLDERS: [&str; 3] = ["crds/yaml", "charts/shekara/templates/crds", "docs/reference"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(),
        ["--check"] => check(),
        _ => Err(anyhow::anyhow!("usage: generate [--check], in the top folder of the source tree")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    let files = generated()?;
    ensure!(root().join("crds/Cargo.toml").is_file(), "this is not the top folder of the source tree");
    for folder in FOLDERS {
        fs::create_dir_all(root().join(folder)).with_context(|| format!("cannot make {folder}"))?;
    }
    for path in standing()?.into_iter().filter(|path| !files.contains_key(path)) {
        fs::remove_file(root().join(&path)).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    for (path, text) in &files {
        fs::write(root().join(path), text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn check() -> Result<()> {
    let files = generated()?;
    let differs = |(path, text): &(&PathBuf, &String)| fs::read_to_string(root().join(path)).ok().as_ref() != Some(*text);
    let mut different: Vec<String> = files.iter().filter(differs).map(|(path, _)| path.display().to_string()).collect();
    let foreign = standing()?.into_iter().filter(|path| !files.contains_key(path));
    different.extend(foreign.map(|path| format!("{} (made by nobody)", path.display())));
    if different.is_empty() {
        println!("generated files: {} as the types say", files.len());
        return Ok(());
    }
    bail!("these files differ from what the types say; run `make generate`:\n  {}", different.join("\n  "))
}

/// Every generated file by its path below the root of the repository.
fn generated() -> Result<BTreeMap<PathBuf, String>> {
    let definitions = definitions();
    let mut files = BTreeMap::new();
    let mut add = |folder: &str, name: &str, text: String| files.insert(Path::new(folder).join(name), text);
    for definition in &definitions {
        let (plain, chart) = (manifest::plain(definition)?, manifest::template(definition)?);
        add("crds/yaml", &format!("{}.yaml", definition.spec.names.plural), plain);
        add("charts/shekara/templates/crds", &format!("{}.yaml", definition.spec.names.plural), chart);
        add("docs/reference", &reference::file(definition), reference::kind(definition)?);
    }
    add("docs/reference", "README.md", reference::index(&definitions));
    add("docs/reference", "reasons.md", reference::reasons());
    add("docs/reference", "messages.md", messages::page(root())?);
    Ok(files)
}

/// The files that stand in the folders now.
fn standing() -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
        for entry in entries {
            found.push(Path::new(folder).join(entry.context("cannot read a folder")?.file_name()));
        }
    }
    Ok(found)
}

/// The top folder of the source tree. It is asked for when the program runs and not when it is built: checkouts share what is built.
fn root() -> &'static Path {
    Path::new(".")
}
