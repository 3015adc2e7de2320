//! Tests of the gateway in front of a test service, through a real listener.

mod conditions;
mod fixture;
mod library;
mod limits;
mod product;
mod routing;
mod streams;
mod uploads;
