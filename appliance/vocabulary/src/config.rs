use std::fmt;

/// Where a configuration file sets a key; prints as `:LINE`, or as nothing when the key stands nowhere (a default).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLine(Option<usize>);

impl KeyLine {
    pub fn find(text: &str, key: &str) -> Self {
        Self(key_line(text, key))
    }

    /// Of a key in the `index`-th, from 0, of several tables of the same name; the table's header where it lacks the key.
    pub fn find_in(text: &str, table: &str, index: usize, key: &str) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let is_header = |line: &str| {
            line.strip_prefix("[[").and_then(|rest| rest.split_once("]]")).is_some_and(|(name, _)| name.trim() == table)
        };
        let header = lines.iter().enumerate().filter(|(_, line)| is_header(line)).map(|(at, _)| at).nth(index);
        let Some(header) = header else { return Self(None) };
        let members = lines[header + 1..].iter().take_while(|line| !line.starts_with('['));
        let found = members
            .enumerate()
            .find(|(_, line)| line.split_once('=').is_some_and(|(name, _)| name.trim() == key))
            .map(|(below, _)| header + 2 + below);
        Self(Some(found.unwrap_or(header + 1)))
    }

    /// The line in which an octet of the text stands, as a TOML reader tells of a value.
    pub fn at(text: &str, octet: usize) -> Self {
        Self(text.get(..octet).map(|before| before.split('\n').count()))
    }
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// The line, counted from 1, in which a TOML text sets `key`, a dotted path such as `limits.head_ms`. For messages about
/// values that are well formed and still wrong: the TOML reader names lines only for what it refuses itself.
///
/// A table's own path gives its header's line. Inside inline tables and arrays the line is that of the outermost key.
fn key_line(text: &str, key: &str) -> Option<usize> {
    let mut table = String::new();
    let mut outer = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let path = if let Some(header) = line.strip_prefix('[') {
            let name = header.trim_start_matches('[').split(']').next().unwrap_or_default();
            name.trim().clone_into(&mut table);
            table.clone()
        } else {
            let Some((name, _)) = line.split_once('=') else { continue };
            let name = name.trim();
            if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
        };
        if path == key {
            return Some(index + 1);
        }
        // `request.members` also stands for what is wrong inside it.
        if key.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')) {
            outer = Some(index + 1);
        }
    }
    outer
}

#[cfg(test)]
mod tests {
    use super::key_line;

    #[test]
    fn a_key_is_found_in_its_own_table() {
        let text = "# comment\nname = \"a\"\n\n[one]\nname = 1 # c\n[two.three]\n  name=2\nlist = [\n]\n";
        assert_eq!(key_line(text, "name"), Some(2));
        assert_eq!(key_line(text, "one"), Some(4));
        assert_eq!(key_line(text, "one.name"), Some(5));
        assert_eq!(key_line(text, "two.three.name"), Some(7));
        assert_eq!(key_line(text, "two.three.list.0.x"), Some(8));
        assert_eq!(key_line(text, "absent"), None);
    }
}
