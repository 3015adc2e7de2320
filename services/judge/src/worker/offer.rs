//! The languages that work on this machine, remembered from one start to the next.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::judge as pb;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::languages::{Language, Languages, Toolchain};

/// A language that was tried and works.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    /// Its id.
    pub id: String,
    /// Its commands.
    pub language: Language,
    /// Its programs.
    pub toolchain: Toolchain,
    /// What its version command printed.
    pub version: String,
    /// The directory of precompiled headers.
    pub precompiled: Option<PathBuf>,
}

/// What is on offer, as it changes.
pub(super) struct Offer {
    directory: PathBuf,
    languages: Languages,
    toolchains: BTreeMap<String, Toolchain>,
    current: watch::Sender<Current>,
}

/// What is on offer.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    /// By id.
    pub languages: BTreeMap<String, Arc<Offered>>,
    /// All have been tried.
    pub complete: bool,
}

/// A language that worked at an earlier start.
#[derive(Serialize, Deserialize)]
struct Tried {
    digest: String,
    version: String,
}

impl Offer {
    /// Offers at once what worked with the same programs before.
    pub fn open(directory: PathBuf, languages: Languages, root: Option<&Path>) -> Offer {
        let tried = fs::read(directory.join("tried.json")).unwrap_or_default();
        let tried: BTreeMap<String, Tried> = serde_json::from_slice(&tried).unwrap_or_default();
        let mut toolchains = BTreeMap::new();
        let mut current = Current::default();
        for (id, language) in &languages {
            let toolchain = match Toolchain::find(language, root) {
                Ok(toolchain) => toolchain,
                Err(reason) => {
                    tracing::debug!(language = id, reason, "not offered");
                    continue;
                }
            };
            if let Some(tried) = tried.get(id).filter(|tried| tried.digest == toolchain.digest()) {
                let offered = Offered {
                    id: id.clone(),
                    language: language.clone(),
                    version: tried.version.clone(),
                    precompiled: precompiled(&directory, language, &toolchain),
                    toolchain: toolchain.clone(),
                };
                current.languages.insert(id.clone(), offered.into());
            }
            toolchains.insert(id.clone(), toolchain);
        }
        Offer { directory, languages, toolchains, current: watch::Sender::new(current) }
    }

    /// What is on offer, and when it changes.
    pub fn watch(&self) -> watch::Receiver<Current> {
        self.current.subscribe()
    }

    /// A language on offer.
    pub fn get(&self, id: &str) -> Option<Arc<Offered>> {
        self.current.borrow().languages.get(id).cloned()
    }

    /// The languages on offer, to guess one of.
    pub fn languages(&self) -> Languages {
        let current = self.current.borrow();
        let pair = |(id, o): (&String, &Arc<Offered>)| (id.clone(), o.language.clone());
        current.languages.iter().map(pair).collect()
    }

    /// Languages whose programs are here, and which have not been tried.
    pub fn untried(&self) -> Vec<Offered> {
        let current = self.current.borrow();
        let untried = self.toolchains.iter().filter(|(id, _)| !current.languages.contains_key(*id));
        let offered = untried.map(|(id, toolchain)| Offered {
            id: id.clone(),
            language: self.languages[id].clone(),
            toolchain: toolchain.clone(),
            version: String::new(),
            precompiled: precompiled(&self.directory, &self.languages[id], toolchain),
        });
        offered.collect()
    }

    /// Languages on offer whose headers are not precompiled yet.
    pub fn unprepared(&self) -> Vec<Arc<Offered>> {
        let current = self.current.borrow();
        let without = |offered: &&Arc<Offered>| {
            offered.language.precompile.is_some() && offered.precompiled.is_none()
        };
        current.languages.values().filter(without).cloned().collect()
    }

    /// Where the precompiled headers of a toolchain belong.
    pub fn header_directory(&self, toolchain: &Toolchain) -> PathBuf {
        header_directory(&self.directory, toolchain)
    }

    /// Offers a language that was tried, or prepared.
    pub fn add(&self, offered: Offered) {
        self.current.send_modify(|current| {
            current.languages.insert(offered.id.clone(), offered.into());
        });
    }

    /// All have been tried: remembers what works.
    pub fn complete(&self) {
        self.current.send_modify(|current| current.complete = true);
        let current = self.current.borrow();
        let tried: BTreeMap<&String, Tried> = current
            .languages
            .iter()
            .map(|(id, offered)| {
                let digest = offered.toolchain.digest().to_owned();
                (id, Tried { digest, version: offered.version.clone() })
            })
            .collect();
        let path = self.directory.join("tried.json");
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| Ok(serde_json::to_vec_pretty(&tried)?))
            .and_then(|text| fs::write(path.with_extension("new"), text))
            .and_then(|()| fs::rename(path.with_extension("new"), &path));
        if let Err(error) = written {
            tracing::warn!(%error, "languages will be tried again at the next start");
        }
    }
}

fn header_directory(directory: &Path, toolchain: &Toolchain) -> PathBuf {
    directory.join("precompiled").join(&toolchain.digest()[..16])
}

fn precompiled(directory: &Path, language: &Language, toolchain: &Toolchain) -> Option<PathBuf> {
    let precompile = language.precompile.as_ref()?;
    let path = header_directory(directory, toolchain);
    path.join(&precompile.file).exists().then_some(path)
}

impl Offered {
    /// For callers.
    pub fn wire(&self) -> pb::Language {
        wire(&self.id, &self.language, &self.version)
    }
}

/// Languages that nobody has tried yet, for callers.
pub fn untried(languages: &Languages) -> Vec<pb::Language> {
    languages.iter().map(|(id, language)| wire(id, language, "")).collect()
}

fn wire(id: &str, language: &Language, version: &str) -> pb::Language {
    let millis = language.extra_time_ms;
    let extra_time = prost_types::Duration {
        seconds: i64::try_from(millis / 1000).unwrap_or(0),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or(0),
    };
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
        extra_time: Some(extra_time),
        memory_floor_bytes: i64::try_from(language.memory_floor_mib << 20).unwrap_or(i64::MAX),
        source_name: language.source_name.clone(),
    }
}
