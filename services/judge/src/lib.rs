//! The judge.
#![allow(dead_code)]
mod checker;
