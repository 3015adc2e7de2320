//! The content of versions: statements, attachments, judging data.

use std::sync::Arc;

use package::Sample;
use uuid::Uuid;

use crate::Problems;
use crate::check::Check;
use crate::error::{Error, Result};
use crate::objects::{Chunks, is_digest};
use crate::problem::Problem;
use crate::read_cache::Content;
use crate::store::{self, imports::Import, versions::Statement, versions::Version};
use crate::version::{Attachment, Manifest};
use crate::viewer::{self, Viewer};

impl Problems {
    /// The version whose content the viewer sees: the published one. Without one, users who may edit the problem see
    /// the newest.
    async fn visible_version(
        &self,
        viewer: &Viewer,
        problem: &Problem,
    ) -> Result<Option<Arc<Content>>> {
        let number = match problem.published_version {
            0 if self.may(viewer, problem, viewer::UPDATE).await? => problem.last_version,
            number => number,
        };
        self.read_cache.version(&self.db, problem, number).await
    }

    /// The statement in `language`, or if that is empty, in the best match for the `accept-language` header `accepted`.
    pub async fn statement(
        &self,
        viewer: &Viewer,
        name: &str,
        language: &str,
        accepted: &str,
    ) -> Result<(Statement, Vec<Sample>)> {
        let problem = self.find(viewer, name).await?;
        let found = self.visible_version(viewer, &problem).await?;
        let content = found.ok_or(Error::NotFound("statement"))?;
        let Content { version, manifest } = &*content;
        let language = match language {
            "" => choose(&manifest.languages, accepted),
            wanted => manifest.languages.iter().find(|have| have.eq_ignore_ascii_case(wanted)),
        };
        let language = language.ok_or(Error::NotFound("statement"))?;
        let number = version.version;
        let statement = self.read_cache.statement(&self.db, &problem, number, language).await?;
        let statement = statement.ok_or(Error::NotFound("statement"))?;
        Ok((Statement::clone(&statement), manifest.samples.clone()))
    }

    pub async fn attachment(
        &self,
        viewer: &Viewer,
        name: &str,
        file: &str,
    ) -> Result<(Attachment, Chunks)> {
        let problem = self.find(viewer, name).await?;
        let found = self.visible_version(viewer, &problem).await?;
        let content = found.ok_or(Error::NotFound("attachment"))?;
        let attachments = &content.manifest.attachments;
        let found = attachments.iter().find(|attachment| attachment.name == file).cloned();
        let attachment = found.ok_or(Error::NotFound("attachment"))?;
        if content.version.state == "rejected" {
            let text = "the verification of this version failed or was canceled, so its files are not stored; import a \
                        corrected package";
            return Err(Error::Precondition("VERSION_REJECTED", text));
        }
        let chunks = self.objects.get(&attachment.object.digest).await?;
        Ok((attachment, chunks))
    }

    /// A version by the id of its problem, for services.
    pub async fn judge_data(&self, problem: &str, version: i64) -> Result<(Version, Manifest)> {
        let id = ids::parse(problem).ok_or(Error::NotFound("version"))?;
        let found = store::versions::get(&self.db, id, version).await?;
        let version = found.ok_or(Error::NotFound("version"))?;
        let manifest = version.manifest()?;
        Ok((version, manifest))
    }

    /// An object that a version references, for services.
    pub async fn object(&self, digest: &str) -> Result<Chunks> {
        if !is_digest(digest) {
            return Err(Error::invalid("digest", "is not a SHA-256 in lower-case hexadecimal"));
        }
        if !store::objects::is_referenced(&self.db, digest).await? {
            return Err(Error::NotFound("object"));
        }
        self.objects.get(digest).await
    }

    /// A check with its import and limits, for services.
    pub async fn verification(&self, id: &str) -> Result<(Check, Import, Manifest)> {
        let missing = || Error::NotFound("verification");
        let id: Uuid = ids::parse(id).ok_or_else(missing)?;
        let check = store::imports::check(&self.db, id).await?.ok_or_else(missing)?;
        let import = store::imports::get(&self.db, check.import_id).await?.ok_or_else(missing)?;
        let version = store::versions::get(&self.db, import.problem_id, import.version).await?;
        let manifest = version.ok_or_else(missing)?.manifest()?;
        Ok((check, import, manifest))
    }
}

/// The best match for an `accept-language` header; the first language if none matches.
fn choose<'l>(have: &'l [String], accepted: &str) -> Option<&'l String> {
    let mut wanted: Vec<(&str, f32)> = accepted
        .split(',')
        .take(20)
        .filter_map(|part| {
            let (tag, quality) = part.split_once(";q=").unwrap_or((part, "1"));
            Some((tag.trim(), quality.trim().parse().ok()?))
        })
        .filter(|(tag, quality)| !tag.is_empty() && *quality > 0.0)
        .collect();
    wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    for (tag, _) in wanted {
        let exact = have.iter().find(|have| have.eq_ignore_ascii_case(tag));
        let found = exact.or_else(|| have.iter().find(|have| primary(have) == primary(tag)));
        if found.is_some() {
            return found;
        }
    }
    have.first()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_negotiated() {
        let have = ["en", "de", "pt-BR"].map(str::to_owned);
        let check = |accepted, language: &str| {
            assert_eq!(choose(&have, accepted).unwrap(), language, "{accepted}");
        };
        check("", "en");
        check("de", "de");
        check("DE-at, en;q=0.5", "de");
        check("fr, de;q=0.3, pt;q=0.4", "pt-BR");
        check("fr", "en");
        check("de;q=0", "en");
        check(";;;q=,,=", "en");
        assert!(choose(&[], "de").is_none());
    }
}
