//! Runs programs, friendly and not, in real boxes; says what came of it, and looks at what is left.

mod arena;
mod doctor;
mod files;
mod isolation;
mod languages;
mod lifecycle;
mod limits;
