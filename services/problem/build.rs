//! Generates the list of the files of the sample problems, which are built into the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let samples = root.join("samples");
    println!("cargo:rerun-if-changed=samples");
    let mut code = String::from(
        "type File = (&'static str, &'static [u8]);\nconst SAMPLES: &[(&str, &[File])] = &[\n",
    );
    for sample in sorted(&samples)?.iter().filter(|path| path.is_dir()) {
        let slug = sample.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _ = writeln!(code, "({slug:?}, &[");
        let mut files = Vec::new();
        walk(sample, &mut files)?;
        for file in files {
            let name = file.strip_prefix(sample).unwrap_or(&file).to_string_lossy().into_owned();
            let file = file.to_string_lossy();
            let _ = writeln!(code, "({name:?}, include_bytes!({file:?}) as &[u8]),");
        }
        code.push_str("]),\n");
    }
    code.push_str("];\n");
    let out = PathBuf::from(std::env::var("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("samples.rs"), code)
}

fn sorted(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?;
    let mut paths = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for path in sorted(directory)? {
        println!("cargo:rerun-if-changed={}", path.display());
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
