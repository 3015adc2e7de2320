//! The files of a package by path, built from the unvalidated entries of an archive.
//!
//! Paths that leave the package are refused. Names that the format does not allow (such as `.git` or `-x`) are
//! dropped, as the format requires. Links may only point inside the package.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::archive::{Entry, Kind};
use crate::error::Error;
use crate::finding::Report;
use crate::size_limits::SizeLimits;
use crate::spool::{Blob, printable};

/// Links that are followed to resolve one path.
const MAX_HOPS: usize = 40;
/// Components of a path.
const MAX_DEPTH: usize = 32;
/// Links to directories inside directories that were reached by links.
const MAX_NESTED_LINKS: usize = 4;

#[derive(Debug, Default)]
pub struct Tree {
    /// The name of the single top-level directory, if there was one. Paths do not include it.
    pub name: Option<String>,
    files: BTreeMap<String, Blob>,
    directories: BTreeSet<String>,
}

/// The content of a path before links are resolved.
#[derive(Debug)]
enum Node {
    File(Blob),
    Directory,
    Symlink(String),
}

type Nodes = BTreeMap<String, Node>;

impl Tree {
    /// Validates the entries and resolves links.
    pub fn build(
        entries: Vec<Entry>,
        size_limits: &SizeLimits,
        report: &Report,
    ) -> Result<Self, Error> {
        let mut nodes = Nodes::new();
        for entry in entries {
            insert(&mut nodes, entry)?;
        }
        let (name, mut nodes) = strip_top_directory(nodes);
        drop_ignored(&mut nodes, report);
        check_parents(&nodes)?;
        let mut tree = Self { name, ..Self::default() };
        for (path, node) in &nodes {
            match node {
                Node::File(blob) => tree.add(path, blob.clone()),
                Node::Directory => {
                    tree.directories.insert(path.clone());
                }
                Node::Symlink(_) => tree.follow(&nodes, path, path, size_limits, 0)?,
            }
        }
        Ok(tree)
    }

    pub fn file(&self, path: &str) -> Option<&Blob> {
        self.files.get(path)
    }

    pub fn is_directory(&self, path: &str) -> bool {
        self.directories.contains(path)
    }

    /// All files below a directory at any depth, with their full paths.
    pub fn below<'t>(&'t self, directory: &str) -> impl Iterator<Item = (&'t str, &'t Blob)> {
        let prefix = format!("{directory}/");
        let from = self.files.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(p, b)| (p.as_str(), b))
    }

    /// The sorted names directly in a directory (`""` = the package), each with whether it is a directory.
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

    /// Adds the target of the link at `link` under the path `destination`.
    fn follow(
        &mut self,
        nodes: &Nodes,
        link: &str,
        destination: &str,
        size_limits: &SizeLimits,
        depth: usize,
    ) -> Result<(), Error> {
        let target = resolve(nodes, link)?;
        if let Some(Node::File(blob)) = nodes.get(&target) {
            self.add(destination, blob.clone());
            return Ok(());
        }
        let prefix = if target.is_empty() { String::new() } else { format!("{target}/") };
        if link.starts_with(&prefix) || depth > MAX_NESTED_LINKS {
            return Err(Error::invalid(link, "links to a directory that contains it"));
        }
        let mut found = false;
        for (path, node) in nodes.range(prefix.clone()..) {
            let Some(rest) = path.strip_prefix(&prefix) else { break };
            found = true;
            let destination = format!("{destination}/{rest}");
            match node {
                Node::File(blob) => self.add(&destination, blob.clone()),
                Node::Directory => {
                    self.directories.insert(destination);
                }
                Node::Symlink(_) => {
                    self.follow(nodes, path, &destination, size_limits, depth + 1)?;
                }
            }
            if self.files.len() > size_limits.entries {
                return Err(Error::TooLarge(format!("{link}: links to too many files")));
            }
        }
        if !found && !matches!(nodes.get(&target), Some(Node::Directory)) {
            return Err(Error::invalid(link, format!("links to {target}, which does not exist")));
        }
        self.directories.insert(destination.to_owned());
        Ok(())
    }
}

fn insert(nodes: &mut Nodes, entry: Entry) -> Result<(), Error> {
    let Some(path) = normalise(&entry.name)? else { return Ok(()) };
    let node = match entry.kind {
        Kind::File(blob) => Node::File(blob),
        Kind::Directory => Node::Directory,
        Kind::Symlink(target) => {
            let target = String::from_utf8(target);
            Node::Symlink(
                target.map_err(|_| Error::invalid(&path, "links to a name not in UTF-8"))?,
            )
        }
        Kind::HardLink(target) => {
            let target = normalise(&target)?.unwrap_or_default();
            match nodes.get(&target) {
                Some(Node::File(blob)) => Node::File(blob.clone()),
                _ => {
                    return Err(Error::invalid(
                        &path,
                        "is a hard link to a file that does not exist",
                    ));
                }
            }
        }
    };
    match (nodes.get(&path), &node) {
        (None, _) => nodes.insert(path, node),
        (Some(Node::Directory), Node::Directory) => None,
        (Some(_), _) => return Err(Error::invalid(&path, "occurs twice in the package")),
    };
    Ok(())
}

/// The path without `.` and repeated slashes; `None` for the top directory itself.
fn normalise(name: &[u8]) -> Result<Option<String>, Error> {
    let bad = |what: &str| Err(Error::invalid(&printable(name), what));
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

/// Removes a single top-level directory from all paths.
fn strip_top_directory(nodes: Nodes) -> (Option<String>, Nodes) {
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

/// Drops the names that the format requires to be ignored.
fn drop_ignored(nodes: &mut Nodes, report: &Report) {
    let mut reported = 0;
    nodes.retain(|path, _| {
        let Some(part) = path.split('/').find(|part| !is_allowed_name(part)) else { return true };
        // Dot files are too common to report.
        if !part.starts_with('.') && part != "__MACOSX" && reported < 10 {
            reported += 1;
            report.warn(path, "is ignored: the format does not allow this name");
        }
        false
    });
}

/// `^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}$`
fn is_allowed_name(part: &str) -> bool {
    let bytes = part.as_bytes();
    let is_allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = bytes.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    first && bytes.len() <= 255 && bytes.iter().all(is_allowed) && part != "__MACOSX"
}

/// Refuses paths inside a file or a link.
fn check_parents(nodes: &Nodes) -> Result<(), Error> {
    for path in nodes.keys() {
        for (at, _) in path.match_indices('/') {
            if matches!(nodes.get(&path[..at]), Some(Node::File(_) | Node::Symlink(_))) {
                return Err(Error::invalid(path, "is inside a file or a link"));
            }
        }
    }
    Ok(())
}

/// The final target of the link at `link`.
fn resolve(nodes: &Nodes, link: &str) -> Result<String, Error> {
    let mut pending: VecDeque<String> = link.split('/').map(str::to_owned).collect();
    let mut path: Vec<String> = Vec::new();
    let mut hops = 0;
    while let Some(part) = pending.pop_front() {
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
        let Some(Node::Symlink(target)) = nodes.get(&path.join("/")) else { continue };
        hops += 1;
        if hops > MAX_HOPS {
            return Err(Error::invalid(link, "is part of a cycle of links"));
        }
        if target.starts_with('/') || target.contains(['\\', '\0']) {
            return Err(Error::invalid(link, "links to something outside the package"));
        }
        path.pop();
        for part in target.split('/').rev() {
            pending.push_front(part.to_owned());
        }
    }
    Ok(path.join("/"))
}
