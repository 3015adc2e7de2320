//! Imports: create a version from a package and request its checks.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use db::Tx;
use package::{Blob, Finding, Package, Severity};
use proto::problem as pb;
use service::Idempotent;
use uuid::Uuid;

use crate::Problems;
use crate::check::{self, Check, State, TimeFactor};
use crate::error::{Error, Result};
use crate::events;
use crate::import::{Report, time_limit};
use crate::problem::{self, Problem};
use crate::problems::free_slug;
use crate::progress::{self, Next};
use crate::samples::VerifiedPackage;
use crate::store::{self, imports::Import, versions::Version};
use crate::upload::Upload;
use crate::version::{self, Manifest};
use crate::viewer::{self, Viewer};
use crate::wire;

/// The options in the first message of an upload.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Id or slug of the problem; empty = by the package.
    pub problem: String,
    /// Publish the version when it is verified.
    pub publish: bool,
    /// Makes retries idempotent; may be empty.
    pub request_id: String,
    /// The results of an earlier verification, and where it ran.
    pub verified: Option<(String, VerifiedPackage)>,
}

/// The problem that gets the version.
#[derive(Clone, Debug)]
pub enum Target {
    Existing(Uuid),
    New(String),
    /// The problem of the caller with the uuid of the package, or a new one.
    Package,
}

/// The input of the transaction that creates a version.
struct Prepared {
    user: Uuid,
    options: Options,
    target: Target,
    upload: Upload,
    manifest: Manifest,
    digests: BTreeSet<String>,
    time_factors: BTreeMap<String, TimeFactor>,
}

impl Problems {
    /// Determines the target of an upload before its content arrives.
    pub async fn target(&self, viewer: &Viewer, name: &str) -> Result<Target> {
        if name.is_empty() {
            return Ok(Target::Package);
        }
        match self.find_live(viewer, name, viewer::UPDATE).await {
            Ok(problem) => Ok(Target::Existing(problem.id)),
            Err(Error::NotFound(_)) if ids::parse(name).is_none() => {
                let checked = ids::slug::check(name);
                checked
                    .map_err(|what| Error::invalid("problem_id", format!("as a slug, {what}")))?;
                Ok(Target::New(name.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a version from an upload and requests its checks.
    pub async fn import(
        &self,
        user: Uuid,
        options: Options,
        target: Target,
        upload: Upload,
    ) -> Result<pb::ImportProblemResponse> {
        let manifest = Manifest::of(&upload.package);
        let blobs = blobs(&upload.package);
        let digests: BTreeSet<String> = blobs.keys().cloned().collect();
        let (pin, time_factors) = (self.clock.new_id(), self.peers.time_factors().await);
        self.pin(pin, &digests).await?;
        let result = async {
            self.objects.put_all(&blobs).await?;
            let prepared =
                Prepared { user, options, target, upload, manifest, digests, time_factors };
            let prepared = &prepared;
            let commit = self.db.transact(|mut tx| async move {
                let response = self.commit(&mut tx, prepared).await?;
                let pinned = store::objects::unpin(&mut tx, pin).await?;
                check_pin(pinned, &prepared.digests)?;
                Ok(response)
            });
            commit.await
        };
        let result = result.await;
        if result.is_err() {
            // If this fails, too, housekeeping removes the expired pin.
            let unpin =
                self.db.transact(|mut tx| async move { store::objects::unpin(&mut tx, pin).await });
            unpin.await.ok();
        }
        result
    }

    async fn pin(&self, pin: Uuid, digests: &BTreeSet<String>) -> Result<()> {
        let pinned = self
            .db
            .transact(|mut tx| async move { store::objects::pin(&mut tx, pin, digests).await });
        pinned.await
    }

    /// Creates problem, version, import and checks, and requests the first checks.
    async fn commit(&self, tx: &mut Tx, prepared: &Prepared) -> Result<pb::ImportProblemResponse> {
        let options = &prepared.options;
        let content = [
            prepared.upload.digest.as_bytes(),
            options.problem.as_bytes(),
            &[u8::from(options.publish)],
        ];
        let once = Idempotent::new(prepared.user, "ImportProblem", &options.request_id, &content);
        if let Some(response) = once.claim(tx).await? {
            return Ok(response);
        }
        let problem = self.problem_for(tx, prepared).await?;
        let mut import = new_import(tx, &problem, prepared)?;
        let mut checks = new_checks(tx, import.id, prepared);
        let environment = adopt(prepared, &mut checks);
        self.save_version(tx, &problem, &import, prepared).await?;
        store::imports::insert(tx, &import).await?;
        let declared_us = prepared.upload.package.metadata.limits.time_us;
        let time = time_limit(declared_us, &prepared.manifest, self.config.max_limits().time_us);
        match progress::next(&mut checks, time) {
            Next::Wait => {}
            Next::Request { checks: requested, .. } => {
                request_checks(tx, &problem, import.version, &mut checks, &requested);
            }
            Next::Done { inferred_us, passed, mut findings } => {
                if let Some(limit) = inferred_us {
                    store::versions::set_time_limit(tx, problem.id, import.version, limit).await?;
                }
                findings.extend(environment.as_deref().map(verified_elsewhere));
                self.finish(tx, &import, &prepared.manifest, passed, findings).await?;
                let finished = store::imports::get(&mut *tx, import.id).await?;
                import = finished.ok_or(Error::NotFound("import"))?;
            }
        }
        for check in &checks {
            store::imports::insert_check(tx, check).await?;
        }
        let test_count = prepared.manifest.tests.len();
        let progress = BTreeMap::new();
        let report = Report { import, slug: problem.slug, test_count, checks, progress };
        let response = pb::ImportProblemResponse { problem_import: Some(wire::import(&report)?) };
        once.store(tx, &response).await?;
        Ok(response)
    }

    /// Locks or creates the problem; its last version is then the version of this import.
    async fn problem_for(&self, tx: &mut Tx, prepared: &Prepared) -> Result<Problem> {
        let package = &prepared.upload.package;
        let uuid = &package.metadata.uuid;
        let existing = match &prepared.target {
            Target::Existing(id) => Some(*id),
            Target::New(_) => None,
            Target::Package => store::problems::by_package(&mut *tx, prepared.user, uuid)
                .await?
                .map(|problem| problem.id),
        };
        if let Some(id) = existing {
            let problem = store::problems::lock(tx, id).await?;
            let problem = problem.filter(|problem| problem.deleted_at.is_none());
            let mut problem = problem.ok_or(Error::NotFound("problem"))?;
            problem.last_version += 1;
            problem.package_id = Some(uuid.clone());
            store::problems::save(tx, &problem).await?;
            return Ok(problem);
        }
        let mut problem = self.blank(prepared.user);
        problem.slug = match &prepared.target {
            Target::New(slug) => slug.clone(),
            _ => free_slug(tx, &slug_for(package, problem.id), problem.id).await?,
        };
        problem.title.clone_from(&prepared.manifest.title);
        problem.authors.clone_from(&prepared.manifest.authors);
        problem.tags = problem::tags_of(&prepared.manifest.keywords);
        problem.package_id = Some(uuid.clone());
        problem.last_version = 1;
        if !store::problems::insert(tx, &problem).await? {
            return Err(Error::SlugTaken);
        }
        events::created(tx, &problem);
        Ok(problem)
    }

    async fn save_version(
        &self,
        tx: &mut Tx,
        problem: &Problem,
        import: &Import,
        prepared: &Prepared,
    ) -> Result<()> {
        let manifest = serde_json::to_string(&prepared.manifest)?;
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let version = Version {
            problem_id: problem.id,
            version: import.version,
            state: "verifying".to_owned(),
            time_limit_us: prepared.upload.package.metadata.limits.time_us,
            digest: version::digest(manifest.as_bytes()),
            manifest,
            summary: serde_json::to_string(&prepared.manifest.summary())?,
            import_id: import.id,
            test_count: count(prepared.manifest.tests.len()),
            sample_count: count(prepared.manifest.sample_count()),
            created_at: import.created_at,
        };
        store::versions::insert(tx, &version).await?;
        for (position, statement) in prepared.upload.package.statements.iter().enumerate() {
            // Databases do not store zero bytes in texts.
            let clean = |text: &str| text.replace('\0', "\u{fffd}");
            let statement = store::versions::Statement {
                language: statement.language.clone(),
                title: statement.title.clone(),
                html: clean(&statement.html),
                markdown: clean(&statement.markdown),
            };
            let (id, n, at) = (problem.id, import.version, count(position));
            store::versions::insert_statement(tx, id, n, at, &statement).await?;
        }
        store::objects::add_references(tx, problem.id, import.version, &prepared.digests).await
    }

    /// An import that the viewer may see: they started it, or may edit the problem.
    pub async fn report(&self, viewer: &Viewer, id: &str) -> Result<Report> {
        let id = ids::parse(id).ok_or(Error::NotFound("import"))?;
        let import = store::imports::get(&self.db, id).await?.ok_or(Error::NotFound("import"))?;
        let problem = store::problems::by_id(&self.db, import.problem_id).await?;
        let problem = problem.ok_or(Error::NotFound("import"))?;
        let visible = viewer.user == Some(import.user_id)
            || self.may(viewer, &problem, viewer::UPDATE).await?;
        if !visible {
            return Err(Error::NotFound("import"));
        }
        let mut report = self.load(import, problem.slug).await?;
        let requested: Vec<Uuid> = report.requested().collect();
        report.progress = self.peers.progress(&requested).await;
        Ok(report)
    }

    async fn load(&self, import: Import, slug: String) -> Result<Report> {
        let checks = store::imports::checks(&self.db, import.id).await?;
        let (problem, version) = (import.problem_id, import.version);
        let count = store::versions::test_count(&self.db, problem, version).await?;
        let test_count = usize::try_from(count).unwrap_or_default();
        Ok(Report { import, slug, test_count, checks, progress: BTreeMap::new() })
    }

    /// The imports of a user, newest first, and whether there are more.
    pub async fn reports(
        &self,
        user: Uuid,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Report>> {
        let imports = store::imports::list(&self.db, user, after, limit).await?;
        let mut reports = Vec::new();
        for import in imports {
            let problem = store::problems::by_id(&self.db, import.problem_id).await?;
            let slug = problem.map(|problem| problem.slug).unwrap_or_default();
            reports.push(self.load(import, slug).await?);
        }
        let requested: Vec<Uuid> = reports.iter().flat_map(Report::requested).collect();
        let progress = self.peers.progress(&requested).await;
        for report in &mut reports {
            let requested: Vec<Uuid> = report.requested().collect();
            let known =
                requested.into_iter().filter_map(|id| Some((id, progress.get(&id)?.clone())));
            report.progress = known.collect();
        }
        Ok(reports)
    }
}

/// Refuses an import whose pin has expired, because its objects may have been removed.
fn check_pin(pinned: u64, digests: &BTreeSet<String>) -> Result<()> {
    match usize::try_from(pinned) == Ok(digests.len()) {
        true => Ok(()),
        false => Err(Error::Precondition(
            "IMPORT_EXPIRED",
            "storing the test data took more than 24 hours; import the package again",
        )),
    }
}

/// Requests checks, given by index and time limit, from the judge.
pub(crate) fn request_checks(
    tx: &mut Tx,
    problem: &Problem,
    version: i64,
    checks: &mut [Check],
    requested: &[(usize, i64)],
) {
    for (index, limit_us) in requested {
        let check = &mut checks[*index];
        check.state = State::Requested;
        check.limit_us = *limit_us;
        events::verification_requested(tx, problem.id, version, check);
    }
}

/// Completes the checks with the results of an earlier verification, and returns where it ran.
fn adopt(prepared: &Prepared, checks: &mut [Check]) -> Option<String> {
    let (environment, package) = prepared.options.verified.as_ref()?;
    let adopted = package.complete(&prepared.upload.digest, &prepared.manifest, checks);
    adopted.then(|| environment.clone())
}

fn verified_elsewhere(environment: &str) -> Finding {
    let text = format!(
        "verified when this release was made, with {environment}; import the package again to verify it on this server"
    );
    Finding::new(Severity::Info, "", text)
}

fn slug_for(package: &Package, id: Uuid) -> String {
    let name = package.name.as_deref().and_then(problem::slug_of);
    let names = &package.metadata.names;
    let titles = names.get("en").into_iter().chain(names.values());
    let from_title = || titles.into_iter().find_map(|title| problem::slug_of(title));
    // Titles in other scripts yield no slug.
    name.or_else(from_title).unwrap_or_else(|| {
        let id = id.simple().to_string();
        format!("problem-{}", &id[24..])
    })
}

fn new_import(tx: &Tx, problem: &Problem, prepared: &Prepared) -> Result<Import> {
    let mut findings: Vec<Finding> = prepared.upload.package.findings.clone();
    for finding in &mut findings {
        finding.message = finding.message.replace('\0', "\u{fffd}");
    }
    Ok(Import {
        id: tx.new_id(),
        problem_id: problem.id,
        version: problem.last_version,
        user_id: prepared.user,
        state: "verifying".to_owned(),
        publish: prepared.options.publish,
        findings: serde_json::to_string(&findings)?,
        canceled: false,
        revision: 1,
        created_at: tx.now(),
        done_at: None,
    })
}

fn new_checks(tx: &Tx, import: Uuid, prepared: &Prepared) -> Vec<Check> {
    let time_factor = |language: &str| prepared.time_factors.get(language).copied();
    let specs = check::of_package(&prepared.upload.package, time_factor).into_iter().enumerate();
    let new = |(position, (kind, file, spec))| Check {
        id: tx.new_id(),
        import_id: import,
        position: i64::try_from(position).unwrap_or(i64::MAX),
        kind,
        file,
        spec,
        state: State::Waiting,
        limit_us: 0,
        runs: Vec::new(),
        actual: String::new(),
        passed: false,
        cpu_time_us: 0,
        memory_bytes: 0,
        message: String::new(),
    };
    specs.map(new).collect()
}

/// All files that the judge or contestants need, by digest.
fn blobs(package: &Package) -> BTreeMap<String, Blob> {
    let data = &package.data;
    let programs =
        package.validators.iter().chain(package.solutions.iter().map(|solution| &solution.program));
    let tests = data.tests.iter().flat_map(|test| [&test.input, &test.answer]);
    let outputs = data
        .outputs
        .iter()
        .flat_map(|output| output.input.iter().chain([&output.answer, &output.output]));
    let all = tests
        .chain(outputs)
        .chain(data.invalid_inputs.iter().map(|invalid| &invalid.input))
        .chain(programs.flat_map(|program| program.sources.iter().map(|source| &source.blob)))
        .chain(package.unverified.iter().flat_map(|one| &one.sources).map(|source| &source.blob))
        .chain(package.attachments.iter().map(|attachment| &attachment.blob))
        .chain(package.statements.iter().filter_map(|statement| statement.pdf.as_ref()));
    all.map(|blob| (blob.digest.clone(), blob.clone())).collect()
}
