//! The edge over a small service, through a real listener.

mod conditions;
mod fixture;
mod library;
mod limits;
mod product;
mod routing;
mod streams;
mod uploads;
