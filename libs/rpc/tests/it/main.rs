//! The stack and the listener, as clients meet them.

mod garbage;
mod life;
mod meters;
mod node;
mod probe;
mod reflection;
mod remote;
mod spans;
mod stack;
mod tls;
