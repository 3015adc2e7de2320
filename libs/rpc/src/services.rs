//! The set of gRPC services that a process serves.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// A builder for a set of gRPC services. Each service crate returns one.
#[derive(Default)]
pub struct Services {
    add: Vec<Box<dyn FnOnce(Routes) -> Routes + Send>>,
    names: Vec<&'static str>,
}

impl Services {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "builder method")]
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

    #[must_use]
    pub fn merge(mut self, mut other: Self) -> Self {
        self.names.append(&mut other.names);
        self.add.append(&mut other.add);
        self
    }

    /// Adds names of services that a layer in front of this set answers, for health and reflection.
    #[must_use]
    pub fn and_names(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.names.extend(names);
        self
    }

    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub(crate) fn into_routes(self) -> Routes {
        self.add.into_iter().fold(Routes::default(), |routes, add| add(routes)).prepare()
    }
}
