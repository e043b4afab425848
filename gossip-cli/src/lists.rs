//! Files that say what would be long on a command line: one thing a line; empty lines and such as begin with `#` say
//! nothing.

use std::path::Path;

use crate::file::read_text;

/// The seeds that a file names.
///
/// # Errors
///
/// It cannot be read, or names none.
pub(crate) fn seed_texts(path: &Path) -> Result<Vec<String>, String> {
    let lines = lines(path)?;
    let seeds = lines.iter().flat_map(|line| line.split(',')).map(str::trim).filter(|seed| !seed.is_empty());
    let seeds: Vec<_> = seeds.map(Into::into).collect();
    if seeds.is_empty() {
        return Err(format!("{} names no seed (write ADDR[:PORT], one a line)", path.display()));
    }
    Ok(seeds)
}

/// The assignments in a file, each with the number of its line. Values are taken as they are, white space included.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn assignments(path: &Path) -> Result<Vec<(usize, String)>, String> {
    numbered_lines(path)
}

/// The keys in a file, each with the number of its line.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn key_texts(path: &Path) -> Result<Vec<(usize, String)>, String> {
    numbered_lines(path)
}

/// The networks in a file, each with the number of its line.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn network_texts(path: &Path) -> Result<Vec<(usize, String)>, String> {
    numbered_lines(path)
}

fn lines(path: &Path) -> Result<Vec<String>, String> {
    Ok(numbered_lines(path)?.into_iter().map(|(_, line)| line).collect())
}

fn numbered_lines(path: &Path) -> Result<Vec<(usize, String)>, String> {
    let text = read_text(path)?;
    let says_something = |(_, line): &(usize, &str)| !line.trim().is_empty() && !line.starts_with('#');
    let numbered = (1..).zip(text.lines()).filter(says_something);
    Ok(numbered.map(|(number, line)| (number, line.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, "# seeds\n\n 10.0.0.1 \n10.0.0.2:7001\n").unwrap();
        assert_eq!(seed_texts(&path).unwrap(), ["10.0.0.1", "10.0.0.2:7001"]);
        assert_eq!(lines(&path).unwrap(), [" 10.0.0.1 ", "10.0.0.2:7001"]);
        std::fs::write(&path, "\u{feff}10.0.0.1 , 10.0.0.2,\r\n").unwrap();
        assert_eq!(seed_texts(&path).unwrap(), ["10.0.0.1", "10.0.0.2"]);
        std::fs::write(&path, "# none\n").unwrap();
        assert!(seed_texts(&path).unwrap_err().contains("names no seed"));
        assert!(seed_texts(&dir.path().join("absent")).unwrap_err().contains("cannot be read"));
    }
}
