//! `wxgate rules fmt`: rule files in their one form.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::super::Exit;
use super::super::report::{result, talk};
use crate::config::read_rule_files;
use crate::risk::canonical;
use crate::risk::files::{MAX_RULE_FILE, is_rule_file};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Directories of rules, or rule files; `-` reads one file from standard input and prints it
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Change nothing: name the files that are not in their form, and exit 1 if there are any
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut exit = Exit::Good;
    for path in &args.paths {
        let told = if path.as_os_str() == "-" { stdin(args.check) } else { each(path, args.check) };
        match told {
            Ok(Exit::Good) => {}
            Ok(failed) => exit = worse(exit, failed),
            Err(error) => {
                talk(format_args!("wxgate rules: {}: {error}", path.display()));
                exit = Exit::Usage;
            }
        }
    }
    exit
}

fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Usage { one } else { other }
}

fn each(path: &Path, check: bool) -> io::Result<Exit> {
    if !path.is_dir() {
        return file(path, check);
    }
    let mut exit = Exit::Good;
    for (name, _) in read_rule_files(path)?.iter().filter(|(name, _)| is_rule_file(name)) {
        let told = file(&path.join(name), check)?;
        exit = if told == Exit::Good { exit } else { told };
    }
    Ok(exit)
}

fn file(path: &Path, check: bool) -> io::Result<Exit> {
    let text = read(fs::File::open(path)?)?;
    let Some(told) = formatted(&path.display().to_string(), &text) else { return Ok(Exit::Failed) };
    if told == text {
        return Ok(Exit::Good);
    }
    if check {
        result(format_args!("{} is not in its form", path.display()));
        return Ok(Exit::Failed);
    }
    replace(path, &told)?;
    result(format_args!("{} is written anew", path.display()));
    Ok(Exit::Good)
}

fn stdin(check: bool) -> io::Result<Exit> {
    let text = read(io::stdin().lock())?;
    let Some(told) = formatted("standard input", &text) else { return Ok(Exit::Failed) };
    if check {
        return Ok(if told == text { Exit::Good } else { Exit::Failed });
    }
    result(told.trim_end_matches('\n'));
    Ok(Exit::Good)
}

/// None: it has no form, which has been told.
fn formatted(name: &str, text: &str) -> Option<String> {
    canonical(name, text).map_err(talk).ok()
}

fn read(from: impl io::Read) -> io::Result<String> {
    let most = u64::try_from(MAX_RULE_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    from.take(most).read_to_string(&mut text)?;
    if text.len() > MAX_RULE_FILE {
        return Err(io::Error::other(format!("larger than {MAX_RULE_FILE} bytes, so it is no rule file")));
    }
    Ok(text)
}

/// Whole or not at all: a gateway may read the directory at any time. What begins with a dot it passes over.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("rules.yaml");
    let beside = path.with_file_name(format!(".{name}.new"));
    fs::write(&beside, text)?;
    fs::set_permissions(&beside, fs::metadata(path)?.permissions())?;
    fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_anew_once_and_check_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.yaml");
        let (odd, good) = ("kind: RuleSet\napiVersion:   v1 # one\n", "apiVersion: v1  # one\nkind: RuleSet\n");
        fs::write(&path, odd).unwrap();
        fs::write(dir.path().join("list.txt"), "x   y").unwrap();
        let args = |check| Args { paths: vec![dir.path().to_owned()], check };
        assert_eq!(run(&args(true)), Exit::Failed);
        assert_eq!(fs::read_to_string(&path).unwrap(), odd);
        assert_eq!(run(&args(false)), Exit::Good);
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
        assert_eq!(run(&args(true)), Exit::Good);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
        fs::write(&path, "a: [").unwrap();
        assert_eq!(run(&args(false)), Exit::Failed);
        assert_eq!(run(&Args { paths: vec![dir.path().join("absent.yaml")], check: true }), Exit::Usage);
    }
}
