//! `agon problem download`: what contestants get, as files.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proto::problem::{DownloadAttachmentRequest, Problem, Statement};

use super::browse::{self, Client};
use crate::cli::arguments::DownloadProblem;
use crate::cli::client;
use crate::cli::output::counted;
use crate::failure::Failure;

pub async fn run(arguments: DownloadProblem) -> Result<ExitCode, Failure> {
    let mut client = Client::new(client::maybe_signed_in(&arguments.remote).await?);
    let problem = browse::get(&mut client, &arguments.problem).await?;
    let directory = arguments.to.unwrap_or_else(|| PathBuf::from(&problem.slug));
    let mut target = Target::create(directory)?;
    for statement in statements(&mut client, &problem).await? {
        target.add_statement(&statement)?;
    }
    for attachment in &problem.attachments {
        target.add_attachment(&mut client, &problem, &attachment.name).await?;
    }
    print_line!("{}: {}", target.directory.display(), counted(target.files, "file"));
    Ok(ExitCode::SUCCESS)
}

/// The statements in all languages.
async fn statements(client: &mut Client, problem: &Problem) -> Result<Vec<Statement>, Failure> {
    let mut languages = problem.statement_languages.clone();
    // Only published problems list their languages.
    if languages.is_empty() {
        languages.push(String::new());
    }
    let mut statements = Vec::new();
    for language in languages {
        statements.extend(browse::statement(client, problem, &language).await?);
    }
    Ok(statements)
}

/// The directory that is written.
struct Target {
    directory: PathBuf,
    files: usize,
}

impl Target {
    fn create(directory: PathBuf) -> Result<Self, Failure> {
        let fail = |text: &str| {
            Failure::storage(format!("cannot create {}: {text}; see --to", directory.display()))
        };
        fs::create_dir(&directory).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => fail("it exists"),
            _ => fail(&error.to_string()),
        })?;
        Ok(Self { directory, files: 0 })
    }

    /// Creates a file. Names come from the server, so they must not lead out of the directory.
    fn file(&mut self, parts: &[&str]) -> Result<fs::File, Failure> {
        let mut path = self.directory.clone();
        for part in parts {
            if !package::is_allowed_name(part.as_bytes()) {
                let text =
                    format!("the server sent the file name {part:?}, which packages cannot have");
                return Err(Failure::new(text));
            }
            path.push(part);
        }
        self.files += 1;
        let parent = path.parent().unwrap_or(Path::new("."));
        let created = fs::create_dir_all(parent).and_then(|()| fs::File::create_new(&path));
        created.map_err(|error| cannot_write(&path, &error))
    }

    fn write(&mut self, parts: &[&str], text: &str) -> Result<(), Failure> {
        let mut file = self.file(parts)?;
        file.write_all(text.as_bytes()).map_err(|error| cannot_write(&self.directory, &error))
    }

    /// The samples are the same for all languages.
    fn add_statement(&mut self, statement: &Statement) -> Result<(), Failure> {
        let language = &statement.language;
        let (ending, text) = match statement.markdown.as_str() {
            "" => ("html", &statement.html),
            _ => ("md", &statement.markdown),
        };
        let has_samples = self.directory.join("sample").exists();
        self.write(&["statement", &format!("problem.{language}.{ending}")], text)?;
        for sample in statement.samples.iter().filter(|_| !has_samples) {
            let name = sample.name.trim_start_matches("sample/").replace('/', "-");
            self.write(&["sample", &format!("{name}.in")], &sample.input)?;
            self.write(&["sample", &format!("{name}.ans")], &sample.answer)?;
            if sample.truncated {
                eprintln!("sample {name} is truncated");
            }
        }
        Ok(())
    }

    async fn add_attachment(
        &mut self,
        client: &mut Client,
        problem: &Problem,
        name: &str,
    ) -> Result<(), Failure> {
        let request = DownloadAttachmentRequest {
            problem_id: problem.problem_id.clone(),
            name: name.to_owned(),
        };
        let mut chunks = client.download_attachment(request).await?.into_inner();
        let mut file = self.file(&["attachments", name])?;
        while let Some(chunk) = chunks.message().await? {
            file.write_all(&chunk.data).map_err(|error| cannot_write(&self.directory, &error))?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::storage(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use proto::problem::Sample;

    use super::*;

    #[test]
    fn statements_and_samples_become_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut target = Target::create(dir.path().join("shelf")).unwrap();
        let sample = Sample { name: "easy/1".into(), input: "2\n".into(), ..Sample::default() };
        let statement = |language: &str, markdown: &str| Statement {
            language: language.into(),
            markdown: markdown.into(),
            html: "<p>x</p>".into(),
            samples: vec![sample.clone()],
            ..Statement::default()
        };
        target.add_statement(&statement("en", "x\n")).unwrap();
        target.add_statement(&statement("pt-BR", "")).unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join("shelf").join(path)).unwrap();
        assert_eq!(read("statement/problem.en.md"), "x\n");
        assert_eq!(read("statement/problem.pt-BR.html"), "<p>x</p>");
        assert_eq!(read("sample/easy-1.in"), "2\n");
        assert_eq!(target.files, 4);
        assert!(Target::create(dir.path().join("shelf")).is_err());
    }

    #[test]
    fn names_that_lead_out_of_the_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut target = Target::create(dir.path().join("shelf")).unwrap();
        for name in ["..", "../x", "/etc/x", "a/b", ""] {
            assert!(target.file(&["attachments", name]).is_err(), "{name}");
        }
    }
}
