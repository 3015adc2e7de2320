//! Runs programs, friendly and not, in real boxes.

use sandbox::{RunSpec, Sandbox};

#[tokio::test]
async fn runs_true() {
    let sandbox = Sandbox::start(sandbox::testing::config()).await.unwrap();
    let mut slot = sandbox.lease().await.unwrap();
    for _ in 0..3 {
        let outcome = slot.run(RunSpec::new(["/bin/true"])).await.unwrap();
        assert!(outcome.is_success(), "{outcome:?}");
    }
    drop(slot);
    sandbox.shutdown().await;
}
