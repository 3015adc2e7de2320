//! What leaves a process, as those who receive it see it.

mod collector;
mod traces;
