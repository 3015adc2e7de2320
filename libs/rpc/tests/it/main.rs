//! The stack and the listener, as clients meet them.

mod garbage;
mod life;
mod probe;
mod reflection;
mod stack;
