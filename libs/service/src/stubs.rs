//! RPCs that a fake in a test does not serve.

/// Implements RPCs of a generated server trait that answer UNIMPLEMENTED. Used inside an `impl` of a fake:
/// `unimplemented_rpcs! { get_queue(GetQueueRequest) -> GetQueueResponse; }`.
#[macro_export]
macro_rules! unimplemented_rpcs {
    ($($name:ident($request:ty) -> $response:ty;)*) => {$(
        // The signature that `#[tonic::async_trait]` generates, which does not see into a macro call.
        fn $name<'life0, 'async_trait>(
            &'life0 self,
            _: ::tonic::Request<$request>,
        ) -> ::std::pin::Pin<Box<
            dyn Future<Output = Result<::tonic::Response<$response>, ::tonic::Status>>
                + Send
                + 'async_trait,
        >>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(::std::future::ready(Err(::tonic::Status::unimplemented("not faked"))))
        }
    )*};
}
