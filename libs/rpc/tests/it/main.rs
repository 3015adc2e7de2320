//! Integration tests of the middleware, the listener and the channels.

mod attacks;
mod garbage;
mod life;
mod node;
mod probe;
mod reflection;
mod remote;
mod spans;
mod stack;
mod tls;
