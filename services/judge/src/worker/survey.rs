//! Tests all languages on this machine, for `agon doctor`.

use futures_util::future::BoxFuture;

use super::{Worker, probe};
use crate::languages::Toolchain;

/// Whether a language works on this machine.
#[derive(Clone, Debug, serde::Serialize)]
pub struct LanguageTest {
    pub id: String,
    pub name: String,
    /// What its version command prints, if the language works.
    pub version: Option<String>,
    /// Why it does not work.
    pub reason: Option<String>,
}

impl Worker {
    /// Compiles and runs the hello-world program of every language in the sandbox. Calls no other service.
    pub fn test_languages(self) -> BoxFuture<'static, Result<Vec<LanguageTest>, String>> {
        Box::pin(async move {
            let started = sandbox::Sandbox::start(self.sandbox_config()).await;
            let sandbox = started.map_err(|error| error.to_string())?;
            let (languages, root) = (self.languages.clone(), self.config.root());
            let opened = self.engine(sandbox.clone()).await;
            let engine = opened.map_err(|error| error.to_string())?;
            let installed = engine.offer.untested();
            let mut tests = Vec::new();
            for (id, language) in &languages {
                let tested = match installed.iter().find(|offered| offered.id == *id) {
                    Some(offered) => {
                        probe::probe(&engine, offered).await.map_err(|error| error.to_string())
                    }
                    None => Err(Toolchain::find(language, root.as_deref())
                        .err()
                        .unwrap_or_else(|| "was installed during the test".to_owned())),
                };
                let (id, name) = (id.clone(), language.name.clone());
                let (version, reason) = (tested.as_ref().ok().cloned(), tested.err());
                tests.push(LanguageTest { id, name, version, reason });
            }
            sandbox.shutdown().await;
            Ok(tests)
        })
    }
}
