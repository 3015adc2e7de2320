//! Tests of the gateway in front of a test service, through a real listener.

mod attacks;
mod conditions;
mod fixture;
mod library;
mod limits;
mod product;
mod refusals;
mod routing;
mod streams;
mod uploads;
