//! The gRPC services of one process, collected before they are served.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// A growing set of gRPC services; each service crate returns its own.
#[derive(Default)]
pub struct Services {
    add: Vec<Box<dyn FnOnce(Routes) -> Routes + Send>>,
    names: Vec<&'static str>,
}

impl Services {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a generated server.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a builder's word, not arithmetic")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.add.push(Box::new(|routes| routes.add_service(service)));
        self
    }

    /// Adds all of another set.
    #[must_use]
    pub fn merge(mut self, mut other: Self) -> Self {
        self.names.append(&mut other.names);
        self.add.append(&mut other.add);
        self
    }

    /// Names services that something in front of these answers for: health and reflection show them.
    #[must_use]
    pub fn and_names(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.names.extend(names);
        self
    }

    /// The full names of the services.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub(crate) fn into_routes(self) -> Routes {
        self.add.into_iter().fold(Routes::default(), |routes, add| add(routes)).prepare()
    }
}
