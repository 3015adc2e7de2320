//! The languages that work on this machine. Test results are stored on disk for the next start.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proto::judge as pb;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::languages::{Language, Languages, Precompile, Toolchain};

/// A language that passed its test.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub id: String,
    pub language: Language,
    pub toolchain: Toolchain,
    pub version: String,
    /// The directory of precompiled headers, if one exists.
    pub precompiled: Option<PathBuf>,
}

/// The offered languages, with change notification.
pub(super) struct Offer {
    directory: PathBuf,
    languages: Languages,
    toolchains: BTreeMap<String, Toolchain>,
    current: watch::Sender<Current>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    /// By id.
    pub languages: BTreeMap<String, Arc<Offered>>,
    pub complete: bool,
}

/// A test result from an earlier start.
#[derive(Serialize, Deserialize)]
struct TestedLanguage {
    digest: String,
    version: String,
}

impl Offer {
    /// Immediately offers the languages that passed their test with the same toolchain before.
    pub fn open(directory: PathBuf, languages: Languages, root: Option<&Path>) -> Offer {
        let tested = fs::read(directory.join("tried.json")).unwrap_or_default();
        let tested: BTreeMap<String, TestedLanguage> =
            serde_json::from_slice(&tested).unwrap_or_default();
        let mut toolchains = BTreeMap::new();
        let mut current = Current::default();
        for (id, language) in &languages {
            let toolchain = match Toolchain::find(language, root) {
                Ok(toolchain) => toolchain,
                Err(reason) => {
                    tracing::debug!(language = id, reason, "language not installed");
                    continue;
                }
            };
            let is_current = |tested: &&TestedLanguage| tested.digest == toolchain.digest();
            if let Some(tested) = tested.get(id).filter(is_current) {
                let version = tested.version.clone();
                let offered = Offered::new(&directory, id, language, &toolchain, version);
                current.languages.insert(id.clone(), offered.into());
            }
            toolchains.insert(id.clone(), toolchain);
        }
        Offer { directory, languages, toolchains, current: watch::Sender::new(current) }
    }

    pub fn watch(&self) -> watch::Receiver<Current> {
        self.current.subscribe()
    }

    pub fn get(&self, id: &str) -> Option<Arc<Offered>> {
        self.current.borrow().languages.get(id).cloned()
    }

    pub fn languages(&self) -> Languages {
        let current = self.current.borrow();
        let pair = |(id, o): (&String, &Arc<Offered>)| (id.clone(), o.language.clone());
        current.languages.iter().map(pair).collect()
    }

    /// Installed languages that are not offered yet.
    pub fn untested(&self) -> Vec<Offered> {
        let current = self.current.borrow();
        let untested =
            self.toolchains.iter().filter(|(id, _)| !current.languages.contains_key(*id));
        let offered = untested.map(|(id, toolchain)| {
            Offered::new(&self.directory, id, &self.languages[id], toolchain, String::new())
        });
        offered.collect()
    }

    /// Offered languages with headers to precompile.
    pub fn with_headers(&self) -> Vec<Arc<Offered>> {
        let current = self.current.borrow();
        let with_headers = |offered: &&Arc<Offered>| offered.language.precompile.is_some();
        current.languages.values().filter(with_headers).cloned().collect()
    }

    /// The directory for the precompiled headers of a toolchain.
    pub fn header_directory(&self, toolchain: &Toolchain) -> PathBuf {
        header_directory(&self.directory, toolchain)
    }

    /// Offers a language, or updates an offered one.
    pub fn add(&self, offered: Offered) {
        self.current.send_modify(|current| {
            current.languages.insert(offered.id.clone(), offered.into());
        });
    }

    /// Marks the tests as complete and stores their results.
    pub fn complete(&self) {
        self.current.send_modify(|current| current.complete = true);
        let current = self.current.borrow();
        let tested: BTreeMap<&String, TestedLanguage> = current
            .languages
            .iter()
            .map(|(id, offered)| {
                let digest = offered.toolchain.digest().to_owned();
                (id, TestedLanguage { digest, version: offered.version.clone() })
            })
            .collect();
        let path = self.directory.join("tried.json");
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| Ok(serde_json::to_vec_pretty(&tested)?))
            .and_then(|text| fs::write(path.with_extension("new"), text))
            .and_then(|()| fs::rename(path.with_extension("new"), &path));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot store language test results");
        }
    }
}

fn header_directory(directory: &Path, toolchain: &Toolchain) -> PathBuf {
    directory.join("precompiled").join(&toolchain.digest()[..16])
}

impl Offered {
    fn new(
        directory: &Path,
        id: &str,
        language: &Language,
        toolchain: &Toolchain,
        version: String,
    ) -> Offered {
        let headers = header_directory(directory, toolchain);
        let exists = |header: &String| headers.join(Precompile::file(header)).exists();
        let precompiled =
            language.precompile.as_ref().is_some_and(|it| it.headers.iter().any(exists));
        Offered {
            id: id.to_owned(),
            language: language.clone(),
            toolchain: toolchain.clone(),
            version,
            precompiled: precompiled.then_some(headers),
        }
    }

    pub fn wire(&self) -> pb::Language {
        wire(&self.id, &self.language, &self.version)
    }
}

/// Configured languages as messages, before any worker has tested them.
pub fn untested(languages: &Languages) -> Vec<pb::Language> {
    languages.iter().map(|(id, language)| wire(id, language, "")).collect()
}

fn wire(id: &str, language: &Language, version: &str) -> pb::Language {
    let programs: BTreeMap<String, &String> = language
        .programs
        .iter()
        .filter_map(|(name, candidates)| Some((format!("{{{name}}}"), candidates.first()?)))
        .collect();
    let line = |words: &[String]| {
        let shown = words.iter().filter(|word| *word != "{precompiled}").map(|word| {
            let program = programs.get(word).map_or(word.as_str(), |path| path.as_str());
            let word = program.replace("{sources}", &language.source_name);
            word.replace("{main}", &language.source_name).replace("{class}", "Main")
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    pb::Language {
        language_id: id.to_owned(),
        name: language.name.clone(),
        version: version.to_owned(),
        extensions: language.extensions.clone(),
        compile_command: language.compile.iter().map(|c| line(c)).collect::<Vec<_>>().join(" && "),
        run_command: line(&language.run),
        time_multiplier: language.time_multiplier,
        extra_time: Duration::from_millis(language.extra_time_ms).try_into().ok(),
        memory_floor_bytes: i64::try_from(language.memory_floor_mib << 20).unwrap_or(i64::MAX),
        source_name: language.source_name.clone(),
        unserved: false,
    }
}
