//! The files of a package by path, built from the unvalidated entries of an archive.
//!
//! Paths that leave the package are refused. Names that the format does not allow (such as `.git` or `-x`) are
//! dropped, as the format requires. Links may only point inside the package.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::archive::{Entry, Kind};
use crate::error::Error;
use crate::finding::Report;
use crate::names;
use crate::size_limits::SizeLimits;
use crate::spool::{Blob, printable};

/// Links that are followed to resolve one path.
const MAX_HOPS: usize = 40;
/// Links to directories inside directories that were reached by links.
const MAX_NESTED_LINKS: usize = 4;

#[derive(Debug, Default)]
pub struct Tree {
    /// The name of the single top-level directory, if there was one. Paths do not include it.
    pub name: Option<String>,
    files: BTreeMap<String, Blob>,
    directories: BTreeSet<String>,
    /// Paths that were reported and dropped: that something is missing there is no further mistake.
    refused: BTreeSet<String>,
    /// Paths that links to directories added.
    linked: usize,
}

/// The content of a path before links are resolved.
#[derive(Clone, Debug)]
enum Node {
    File(Blob),
    Directory,
    Symlink(String),
    /// The content of an ignored entry is not read.
    Ignored,
    /// Refused, unless its name is ignored; the message says why. `None` if a message about another path does.
    Refused(Option<String>),
}

type Nodes = BTreeMap<String, Node>;

impl Tree {
    /// Validates the entries and resolves links; mistakes are reported.
    pub fn build(
        entries: Vec<Entry>,
        size_limits: &SizeLimits,
        report: &Report,
    ) -> Result<Self, Error> {
        let mut nodes = Nodes::new();
        for entry in entries {
            match names::normalise(&entry.name) {
                Ok(Some(path)) => insert(&mut nodes, path, entry.kind),
                Ok(None) => {}
                Err(message) => report.error(&printable(&entry.name), message),
            }
        }
        let (name, mut nodes) = strip_top_directory(nodes);
        drop_ignored(&mut nodes, report);
        let refused = drop_refused(&mut nodes, report);
        let mut tree = Self { name, refused, ..Self::default() };
        let links = Links { nodes: &nodes, top: tree.name.clone(), size_limits, report };
        for (path, node) in &nodes {
            match node {
                Node::File(blob) => tree.add(path, blob.clone()),
                Node::Symlink(_) => tree.follow(&links, path, path, 0)?,
                _ => {
                    tree.add_parents(path);
                    tree.directories.insert(path.clone());
                }
            }
        }
        Ok(tree)
    }

    pub fn file(&self, path: &str) -> Option<&Blob> {
        self.files.get(path)
    }

    /// Whether a reported mistake explains that something is missing at `path` or below it.
    pub fn is_refused(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let next = self.refused.range(below.clone()..).next();
        let ancestors = path.match_indices('/').map(|(at, _)| &path[..at]);
        ancestors.chain([path]).any(|path| self.refused.contains(path))
            || next.is_some_and(|next| next.starts_with(&below))
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

    /// Adds the target of the link at `link` under the path `destination`; a bad link is reported.
    fn follow(
        &mut self,
        links: &Links<'_>,
        link: &str,
        destination: &str,
        depth: usize,
    ) -> Result<(), Error> {
        let target = match links.resolve(link) {
            Ok(target) => target,
            Err(message) => {
                if !self.is_refused(&message.target) {
                    links.report_once(link, message.text);
                }
                self.refused.insert(destination.to_owned());
                return Ok(());
            }
        };
        if let Some(Node::File(blob)) = links.nodes.get(&target) {
            self.add(destination, blob.clone());
            return Ok(());
        }
        let prefix = if target.is_empty() { String::new() } else { format!("{target}/") };
        if link.starts_with(&prefix) || depth > MAX_NESTED_LINKS {
            links.report_once(link, too_deep(link.starts_with(&prefix)));
            self.refused.insert(destination.to_owned());
            return Ok(());
        }
        for (path, node) in links.nodes.range(prefix.clone()..) {
            let Some(rest) = path.strip_prefix(&prefix) else { break };
            self.linked += 1;
            if self.linked > links.size_limits.entries {
                let max = links.size_limits.entries;
                let text = format!("{link}: links to directories add more than {max} files");
                return Err(Error::TooLarge(text));
            }
            let destination = format!("{destination}/{rest}");
            match node {
                Node::File(blob) => self.add(&destination, blob.clone()),
                Node::Symlink(_) => self.follow(links, path, &destination, depth + 1)?,
                _ => {
                    self.directories.insert(destination);
                }
            }
        }
        self.add_parents(destination);
        self.directories.insert(destination.to_owned());
        Ok(())
    }
}

fn insert(nodes: &mut Nodes, path: String, kind: Kind) {
    let node = match kind {
        Kind::File(blob) => Node::File(blob),
        Kind::Directory => Node::Directory,
        Kind::Ignored => Node::Ignored,
        Kind::Refused(message) => Node::Refused(Some(message)),
        Kind::Symlink(target) => match String::from_utf8(target) {
            Ok(target) => Node::Symlink(target),
            Err(_) => Node::Refused(Some("links to a name that is not UTF-8".to_owned())),
        },
        Kind::HardLink(target) => hard_link(nodes, &target),
    };
    match (nodes.get(&path), &node) {
        (None, _) => nodes.insert(path, node),
        (Some(Node::Directory), Node::Directory) | (Some(Node::Ignored), _) => None,
        (Some(_), _) => {
            let message = "occurs twice in the package; a path must have one entry";
            nodes.insert(path, Node::Refused(Some(message.to_owned())))
        }
    };
}

fn hard_link(nodes: &Nodes, target: &[u8]) -> Node {
    let refuse = |what: &str| {
        let message = format!("is a hard link to {}, which {what}", printable(target));
        Node::Refused(Some(message))
    };
    match names::normalise(target) {
        Err(_) => refuse("is outside the package"),
        Ok(path) => match path.and_then(|path| nodes.get(&path)) {
            Some(node @ (Node::File(_) | Node::Symlink(_))) => node.clone(),
            Some(Node::Refused(_)) => Node::Refused(None),
            Some(Node::Ignored) => refuse("is ignored because of its name; store the file itself"),
            _ => refuse("is not an earlier file of the archive"),
        },
    }
}

/// Removes a single top-level directory from all paths.
fn strip_top_directory(nodes: Nodes) -> (Option<String>, Nodes) {
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let visible: BTreeSet<String> = nodes
        .keys()
        .map(|path| top(path))
        .filter(|name| !names::is_hidden(name.as_bytes()))
        .collect();
    // Names that the format does not allow count only if there are no others.
    let allowed = visible.iter().filter(|name| names::is_allowed(name.as_bytes()));
    let mut tops: Vec<&String> = allowed.collect();
    if tops.is_empty() {
        tops = visible.iter().collect();
    }
    let [only] = tops.as_slice() else { return (None, nodes) };
    if !matches!(nodes.get(*only), None | Some(Node::Directory)) {
        return (None, nodes);
    }
    let only = (*only).clone();
    let prefix = format!("{only}/");
    let inner = nodes.into_iter().filter_map(|(path, node)| match path.strip_prefix(&prefix) {
        Some(inner) => Some((inner.to_owned(), node)),
        // Ignored files beside the package are reported like those in it.
        None => (path != only).then_some((path, Node::Ignored)),
    });
    let inner = inner.collect();
    (Some(only), inner)
}

/// Drops the names that the format requires to be ignored.
fn drop_ignored(nodes: &mut Nodes, report: &Report) {
    let mut reported = BTreeSet::new();
    nodes.retain(|path, node| {
        let part = names::ignored_part(path);
        if part.is_none() && !matches!(node, Node::Ignored) {
            return true;
        }
        let part = part.unwrap_or(path);
        let name = part.rsplit('/').next().unwrap_or(part);
        if !names::is_hidden(name.as_bytes()) && reported.insert(part.to_owned()) {
            let hint = if name.contains('\\') { "; directories are separated by `/`" } else { "" };
            let message = format!("is ignored: the format does not allow this name{hint}");
            report.warn(&printable(part.as_bytes()), message);
        }
        false
    });
}

/// Reports and drops entries that cannot be used, and paths inside a file or a link. Returns their paths.
fn drop_refused(nodes: &mut Nodes, report: &Report) -> BTreeSet<String> {
    let is_leaf =
        |(path, node): (&String, &Node)| (!matches!(node, Node::Directory)).then(|| path.clone());
    let leaves: BTreeSet<String> = nodes.iter().filter_map(is_leaf).collect();
    let mut refused = BTreeSet::new();
    nodes.retain(|path, node| {
        let mut parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        let leaf = parents.find(|parent| leaves.contains(*parent));
        match (leaf, &*node) {
            // Its parent was reported.
            (Some(leaf), _) if refused.contains(leaf) => {}
            (Some(_), _) => report.error(path, "is inside a file or a link"),
            (None, Node::Refused(Some(message))) => report.error(path, message.as_str()),
            (None, Node::Refused(None)) => {}
            (None, _) => return true,
        }
        refused.insert(path.clone());
        false
    });
    refused
}

/// Why a link has no target.
struct BadLink {
    text: String,
    /// The path that does not exist; empty for other reasons.
    target: String,
}

impl From<&str> for BadLink {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), target: String::new() }
    }
}

/// Resolves links.
struct Links<'a> {
    nodes: &'a Nodes,
    /// The name of the directory of the package: links may leave it and enter it again.
    top: Option<String>,
    size_limits: &'a SizeLimits,
    report: &'a Report,
}

const OUTSIDE: &str =
    "links to something outside the package; links must be relative and stay inside the package";

fn too_deep(contains_itself: bool) -> String {
    if contains_itself {
        return "links to a directory that contains it; link to files instead".to_owned();
    }
    let text = "is part of a cycle of links to directories, or of a chain of more than";
    format!("{text} {MAX_NESTED_LINKS}; link to files instead")
}

impl Links<'_> {
    /// Links to directories can lead to the same link many times.
    fn report_once(&self, link: &str, text: String) {
        if !self.report.has_errors_in(link) {
            self.report.error(link, text);
        }
    }

    /// The final target of the link at `link`, which exists.
    fn resolve(&self, link: &str) -> Result<String, BadLink> {
        let mut pending: VecDeque<String> = link.split('/').map(str::to_owned).collect();
        let mut path: Vec<String> = Vec::new();
        let mut hops = 0;
        while let Some(part) = pending.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    if path.pop().is_none() && !self.enters_again(&mut pending) {
                        return Err(OUTSIDE.into());
                    }
                    continue;
                }
                _ => path.push(part),
            }
            let Some(Node::Symlink(target)) = self.nodes.get(&path.join("/")) else { continue };
            hops += 1;
            if hops > MAX_HOPS {
                let text =
                    format!("is part of a cycle of links, or of a chain of more than {MAX_HOPS}");
                return Err(text.as_str().into());
            }
            if target.starts_with('/') {
                return Err(OUTSIDE.into());
            }
            path.pop();
            for part in target.split('/').rev() {
                pending.push_front(part.to_owned());
            }
        }
        self.existing(path.join("/"))
    }

    /// Whether the rest of a path outside the package begins with the directory of the package, which is removed.
    fn enters_again(&self, pending: &mut VecDeque<String>) -> bool {
        while pending.front().is_some_and(|part| matches!(part.as_str(), "" | ".")) {
            pending.pop_front();
        }
        pending.pop_front().is_some_and(|part| Some(part) == self.top)
    }

    fn existing(&self, target: String) -> Result<String, BadLink> {
        let inside = format!("{target}/");
        let has_content = || {
            let next = self.nodes.range(inside.clone()..).next();
            next.is_some_and(|(path, _)| path.starts_with(&inside))
        };
        if target.is_empty() || self.nodes.contains_key(&target) || has_content() {
            return Ok(target);
        }
        let shown = printable(target.as_bytes());
        let text = match names::ignored_part(&target) {
            Some(_) => format!("links to {shown}, which is ignored because of its name"),
            None => format!("links to {shown}, which does not exist in the package"),
        };
        Err(BadLink { text, target })
    }
}
