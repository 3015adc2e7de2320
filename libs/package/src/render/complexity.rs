//! Limits on depth and size of the HTML of a statement: parsing time is quadratic in the depth, and unclosed tags can
//! multiply elements.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, local_name, ns, parse_fragment};

pub const MAX_DEPTH: usize = 100;
const MAX_ELEMENTS: usize = 100_000;
/// Bytes that are parsed between two checks of the limits.
const CHUNK: usize = 1024;

/// Refuses HTML that is expensive to sanitise; the error says why.
///
/// Only a parser knows how deep HTML nests. This uses the parser of the sanitiser with a tree that stores no content, and
/// stops as soon as a limit is exceeded.
pub fn check(html: &str) -> Result<(), String> {
    let name = QualName::new(None, ns!(html), local_name!("div"));
    let sink = Measure::default();
    let mut parser = parse_fragment(sink, ParseOpts::default(), name, Vec::new(), false);
    let mut rest = html;
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(rest.floor_char_boundary(CHUNK.min(rest.len())));
        parser.process(chunk.into());
        rest = tail;
        parser.tokenizer.sink.sink.check()?;
    }
    parser.finish()
}

/// A tree that records its depth and its number of elements.
#[derive(Default)]
struct Measure {
    document: Handle,
    deepest: Cell<usize>,
    elements: Cell<usize>,
}

type Handle = Rc<Element>;

/// An element, or a placeholder for any other parent.
struct Element {
    name: QualName,
    parent: RefCell<Option<Weak<Element>>>,
    children: RefCell<Vec<Handle>>,
    /// The content of a `<template>`.
    contents: RefCell<Option<Handle>>,
}

impl Default for Element {
    fn default() -> Self {
        Self::new(QualName::new(None, ns!(), local_name!("")))
    }
}

impl Element {
    fn new(name: QualName) -> Self {
        let (parent, children) = (RefCell::default(), RefCell::default());
        Self { name, parent, children, contents: RefCell::default() }
    }

    fn parent(&self) -> Option<Handle> {
        self.parent.borrow().as_ref().and_then(Weak::upgrade)
    }
}

/// Drops descendants iteratively: recursion would overflow the stack on a deep tree.
impl Drop for Element {
    fn drop(&mut self) {
        let mut pending = std::mem::take(self.children.get_mut());
        pending.extend(self.contents.get_mut().take());
        while let Some(handle) = pending.pop() {
            if let Some(mut element) = Rc::into_inner(handle) {
                pending.append(element.children.get_mut());
                pending.extend(element.contents.get_mut().take());
            }
        }
    }
}

impl Measure {
    fn check(&self) -> Result<(), String> {
        if self.deepest.get() > MAX_DEPTH {
            return Err(format!("is nested more than {MAX_DEPTH} levels deep"));
        }
        if self.elements.get() > MAX_ELEMENTS {
            return Err(format!("has more than {MAX_ELEMENTS} HTML elements"));
        }
        Ok(())
    }

    fn attach(&self, parent: &Handle, child: NodeOrText<Handle>) {
        let NodeOrText::AppendNode(child) = child else { return };
        self.detach(&child);
        child.parent.replace(Some(Rc::downgrade(parent)));
        parent.children.borrow_mut().push(child);
        let (mut depth, mut at) = (1, parent.parent());
        while let Some(above) = at {
            depth += 1;
            at = above.parent();
        }
        self.deepest.set(self.deepest.get().max(depth));
    }

    fn detach(&self, child: &Handle) {
        let parent = child.parent.take().and_then(|parent| parent.upgrade());
        if let Some(parent) = parent {
            let mut children = parent.children.borrow_mut();
            // Elements that move were usually added last.
            if let Some(at) = children.iter().rposition(|other| Rc::ptr_eq(other, child)) {
                children.remove(at);
            }
        }
    }
}

impl TreeSink for Measure {
    type Handle = Handle;
    type Output = Result<(), String>;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self::Output {
        self.check()
    }
    fn parse_error(&self, _: Cow<'static, str>) {}
    fn get_document(&self) -> Handle {
        self.document.clone()
    }
    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        target.name.expanded()
    }
    fn create_element(&self, name: QualName, _: Vec<Attribute>, flags: ElementFlags) -> Handle {
        self.elements.set(self.elements.get() + 1);
        let element = Rc::new(Element::new(name));
        if flags.template {
            let contents = Rc::new(Element::default());
            contents.parent.replace(Some(Rc::downgrade(&element)));
            element.contents.replace(Some(contents));
        }
        element
    }
    fn create_comment(&self, _: StrTendril) -> Handle {
        self.elements.set(self.elements.get() + 1);
        Handle::default()
    }
    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        self.create_comment(StrTendril::new())
    }
    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.attach(parent, child);
    }
    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        previous: &Handle,
        child: NodeOrText<Handle>,
    ) {
        let parent = element.parent();
        self.attach(parent.as_ref().unwrap_or(previous), child);
    }
    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}
    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.contents.borrow().clone().unwrap_or_default()
    }
    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        Rc::ptr_eq(one, other)
    }
    fn set_quirks_mode(&self, _: QuirksMode) {}
    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        if let Some(parent) = sibling.parent() {
            self.attach(&parent, child);
        }
    }
    fn add_attrs_if_missing(&self, _: &Handle, _: Vec<Attribute>) {
        // Each attribute is compared with all earlier ones.
        self.elements.set(self.elements.get() + 100);
    }
    fn remove_from_parent(&self, target: &Handle) {
        self.detach(target);
    }
    fn reparent_children(&self, node: &Handle, parent: &Handle) {
        let children = node.children.take();
        for child in &children {
            child.parent.replace(Some(Rc::downgrade(parent)));
        }
        parent.children.borrow_mut().extend(children);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_pages_pass() {
        let nested = format!("{}x{}", "<div>".repeat(90), "</div>".repeat(90));
        for html in ["", "<p>é</p>", "<table><tr><td>a<td>b<tr><td>c</table>", &nested] {
            assert_eq!(check(html), Ok(()));
        }
        assert_eq!(check(&"<li>a<br>é".repeat(20_000)), Ok(()));
        assert_eq!(check(&"<p><b>a</b><template>x</template></p>".repeat(10_000)), Ok(()));
    }

    #[test]
    fn deep_or_large_pages_are_refused() {
        for html in [
            "<div>".repeat(100_000),
            "<blockquote>".repeat(40_000),
            "<div><table></div></table>".repeat(20_000),
            "<svg><td>".repeat(40_000),
            "<svg><g></svg><template>".repeat(20_000),
            "<div><!-- </div> -->".repeat(20_000),
            "<table><tr><td>".repeat(30_000),
        ] {
            assert!(check(&html).is_err_and(|e| e.contains("deep")), "{}", &html[..20]);
        }
        let open: String = (0..90).map(|i| format!("<b x{i}>")).collect();
        let html = format!("<p>{open}</p>{}", "<p>a</p>".repeat(50_000));
        assert!(check(&html).is_err_and(|e| e.contains("elements")));
        assert!(check(&"<html a>".repeat(50_000)).is_err());
    }
}
