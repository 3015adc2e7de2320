//! The files of a package by their paths, made from what an archive claims.
//!
//! Names that could lead elsewhere are refused; names that the format does not allow (such as
//! `.git` or `-x`) are left out, as the format asks; links are followed inside the package only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::archive::{Entry, Kind, shown};
use super::bounds::Bounds;
use super::error::Error;
use super::finding::Report;
use super::spool::Blob;

const MAX_HOPS: usize = 40;
const MAX_DEPTH: usize = 32;

/// The files of a package.
#[derive(Debug, Default)]
pub struct Tree {
    /// The single top-level directory's name, if there was one.
    pub name: Option<String>,
    files: BTreeMap<String, Blob>,
    directories: BTreeSet<String>,
}

/// What stands at a path before links are followed.
#[derive(Debug)]
enum Node {
    File(Blob),
    Directory,
    Link(String),
}

type Nodes = BTreeMap<String, Node>;

impl Tree {
    /// Checks and arranges entries.
    pub fn build(entries: Vec<Entry>, bounds: &Bounds, report: &Report) -> Result<Self, Error> {
        let mut nodes = Nodes::new();
        for entry in entries {
            insert(&mut nodes, entry)?;
        }
        let (name, mut nodes) = strip(nodes);
        drop_ignored(&mut nodes, report);
        check_parents(&nodes)?;
        let mut tree = Self { name, ..Self::default() };
        for (path, node) in &nodes {
            match node {
                Node::File(blob) => tree.add(path, blob.clone()),
                Node::Directory => {
                    tree.directories.insert(path.clone());
                }
                Node::Link(_) => tree.follow(&nodes, path, path, bounds, 0)?,
            }
        }
        Ok(tree)
    }

    /// The file at a path.
    pub fn file(&self, path: &str) -> Option<&Blob> {
        self.files.get(path)
    }

    /// Whether there is a directory at a path.
    pub fn is_directory(&self, path: &str) -> bool {
        self.directories.contains(path)
    }

    /// All files below a directory, with their whole paths.
    pub fn below<'t>(&'t self, directory: &str) -> impl Iterator<Item = (&'t str, &'t Blob)> {
        let prefix = format!("{directory}/");
        let from = self.files.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(p, b)| (p.as_str(), b))
    }

    /// The names directly in a directory (`""` = the package), each with whether it is a directory.
    pub fn children(&self, directory: &str) -> Vec<(String, bool)> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let direct = |path: &String| {
            let name = path.strip_prefix(&prefix)?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        };
        let directories = self.directories.iter().filter_map(direct).map(|name| (name, true));
        let files = self.files.keys().filter_map(direct).map(|name| (name, false));
        let mut children: Vec<_> = directories.chain(files).collect();
        children.sort();
        children
    }

    fn add(&mut self, path: &str, blob: Blob) {
        self.add_parents(path);
        self.files.insert(path.to_owned(), blob);
    }

    fn add_parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.directories.insert(path[..at].to_owned());
        }
    }

    /// Puts what the link at `link` leads to at `place`.
    fn follow(
        &mut self,
        nodes: &Nodes,
        link: &str,
        place: &str,
        bounds: &Bounds,
        depth: usize,
    ) -> Result<(), Error> {
        let target = resolve(nodes, link)?;
        if let Some(Node::File(blob)) = nodes.get(&target) {
            self.add(place, blob.clone());
            return Ok(());
        }
        let prefix = if target.is_empty() { String::new() } else { format!("{target}/") };
        if link.starts_with(&prefix) || depth > 4 {
            return Err(Error::invalid(link, "is a link to a directory around it"));
        }
        let mut inside = false;
        for (path, node) in nodes.range(prefix.clone()..) {
            let Some(rest) = path.strip_prefix(&prefix) else { break };
            inside = true;
            let place = format!("{place}/{rest}");
            match node {
                Node::File(blob) => self.add(&place, blob.clone()),
                Node::Directory => {
                    self.directories.insert(place);
                }
                Node::Link(_) => self.follow(nodes, path, &place, bounds, depth + 1)?,
            }
            if self.files.len() > bounds.entries {
                return Err(Error::TooLarge(format!("{link}: links to too many files")));
            }
        }
        if !inside && !matches!(nodes.get(&target), Some(Node::Directory)) {
            return Err(Error::invalid(link, format!("links to {target}, which is not there")));
        }
        self.directories.insert(place.to_owned());
        Ok(())
    }
}

fn insert(nodes: &mut Nodes, entry: Entry) -> Result<(), Error> {
    let Some(path) = clean(&entry.name)? else { return Ok(()) };
    let node = match entry.kind {
        Kind::File(blob) => Node::File(blob),
        Kind::Directory => Node::Directory,
        Kind::Link(target) => {
            let target = String::from_utf8(target);
            Node::Link(target.map_err(|_| Error::invalid(&path, "links to a name not in UTF-8"))?)
        }
        Kind::Same(target) => {
            let target = clean(&target)?.unwrap_or_default();
            match nodes.get(&target) {
                Some(Node::File(blob)) => Node::File(blob.clone()),
                _ => {
                    return Err(Error::invalid(
                        &path,
                        "is another name of a file that is not there",
                    ));
                }
            }
        }
    };
    match (nodes.get(&path), &node) {
        (None, _) => nodes.insert(path, node),
        (Some(Node::Directory), Node::Directory) => None,
        (Some(_), _) => return Err(Error::invalid(&path, "is in the package twice")),
    };
    Ok(())
}

/// The path without `.` and doubled slashes; `None` for the root itself.
fn clean(name: &[u8]) -> Result<Option<String>, Error> {
    let bad = |what: &str| Err(Error::invalid(&shown(name), what));
    let Ok(text) = std::str::from_utf8(name) else { return bad("has a name that is not UTF-8") };
    let drive = text.as_bytes().get(1) == Some(&b':');
    if text.starts_with('/') || drive {
        return bad("has an absolute path; paths are relative to the package");
    }
    if text.contains(['\\', '\0']) {
        return bad("has a backslash or a zero byte in its name");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return bad("has a path that leads out of the package (`..`)");
    }
    if parts.len() > MAX_DEPTH || text.len() > 4096 {
        return bad("has a path that is too long");
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// Takes away a single top-level directory.
fn strip(nodes: Nodes) -> (Option<String>, Nodes) {
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let visible = |name: &String| !name.starts_with('.') && name != "__MACOSX";
    let tops: BTreeSet<String> = nodes.keys().map(|path| top(path)).filter(visible).collect();
    let mut tops = tops.into_iter();
    let (Some(only), None) = (tops.next(), tops.next()) else { return (None, nodes) };
    if !matches!(nodes.get(&only), None | Some(Node::Directory)) {
        return (None, nodes);
    }
    let prefix = format!("{only}/");
    let inner = nodes.into_iter().filter_map(|(path, node)| {
        path.strip_prefix(&prefix).map(str::to_owned).map(|path| (path, node))
    });
    let inner = inner.collect();
    (Some(only), inner)
}

/// Leaves out what the format says is not there.
fn drop_ignored(nodes: &mut Nodes, report: &Report) {
    let mut told = 0;
    nodes.retain(|path, _| {
        let Some(part) = path.split('/').find(|part| !allowed(part)) else { return true };
        // Dot files are everyday company of any folder and not worth a word.
        if !part.starts_with('.') && part != "__MACOSX" && told < 10 {
            told += 1;
            report.warn(path, "is ignored: its name is not one the format allows");
        }
        false
    });
}

/// `^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}$`
fn allowed(part: &str) -> bool {
    let bytes = part.as_bytes();
    let fine = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = bytes.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    first && bytes.len() <= 255 && bytes.iter().all(fine) && part != "__MACOSX"
}

/// Nothing may lie below a file or a link.
fn check_parents(nodes: &Nodes) -> Result<(), Error> {
    for path in nodes.keys() {
        for (at, _) in path.match_indices('/') {
            if matches!(nodes.get(&path[..at]), Some(Node::File(_) | Node::Link(_))) {
                return Err(Error::invalid(path, "lies below a file or a link"));
            }
        }
    }
    Ok(())
}

/// Where the link at `link` leads in the end.
fn resolve(nodes: &Nodes, link: &str) -> Result<String, Error> {
    let mut todo: VecDeque<String> = link.split('/').map(str::to_owned).collect();
    let mut path: Vec<String> = Vec::new();
    let mut hops = 0;
    while let Some(part) = todo.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                if path.pop().is_none() {
                    return Err(Error::invalid(link, "links to something outside the package"));
                }
                continue;
            }
            _ => path.push(part),
        }
        let Some(Node::Link(target)) = nodes.get(&path.join("/")) else { continue };
        hops += 1;
        if hops > MAX_HOPS {
            return Err(Error::invalid(link, "is a link that leads in a circle"));
        }
        if target.starts_with('/') || target.contains(['\\', '\0']) {
            return Err(Error::invalid(link, "links to something outside the package"));
        }
        path.pop();
        for part in target.split('/').rev() {
            todo.push_front(part.to_owned());
        }
    }
    Ok(path.join("/"))
}
