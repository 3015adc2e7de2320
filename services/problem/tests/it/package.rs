//! Packages of tests.

#[derive(Clone)]
pub struct Files(Vec<(String, Vec<u8>)>);

pub const UUID: &str = "8ee7605a-d1ce-47b3-be37-15de5acd757e";

impl Files {
    /// A valid package. The fake judge takes verdicts from the first line of a program.
    pub fn valid() -> Self {
        let yaml = format!(
            "problem_format_version: 2025-09\nname: Two Sum\nuuid: {UUID}\nkeywords: [Math]\n\
             credits: Ada <ada@example.org>\nlimits: {{time_limit: 2, memory: 64}}\n"
        );
        Self(Vec::new())
            .with("problem.yaml", yaml)
            .with("statement/problem.en.md", "Add $a$ and $b$.\n")
            .with("data/sample/1.in", "1 2\n")
            .with("data/sample/1.ans", "3\n")
            .with("data/secret/1.in", "2 2\n")
            .with("data/secret/1.ans", "4\n")
            .with("input_validators/check.py", "# AC\n")
            .with("submissions/accepted/a.py", "# AC\n")
            .with("submissions/wrong_answer/w.py", "# WA\n")
            .with("attachments/tool.txt", "hello\n")
    }

    pub fn without_time_limit() -> Self {
        let yaml = format!("problem_format_version: 2025-09\nname: Two Sum\nuuid: {UUID}\n");
        Self::valid().with("problem.yaml", yaml)
    }

    pub fn with(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), text.as_ref().to_vec()));
        self
    }

    pub fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.0 {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("twosum/{name}"), bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap()
    }
}
