//! Compiles the protos of the example. A real service's protos lie in `proto/`, where `libs/proto` compiles them.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (own, platform) = (here.join("proto"), here.join("../../../../proto"));
    println!("cargo:rerun-if-changed={}", own.display());
    let files = ["agon/echo/v1/echo_service.proto", "agon/event/v1/echo.proto"];
    let mut compiler = protox::Compiler::new([own, platform])?;
    compiler.include_source_info(true).open_files(files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    let all = compiler.include_imports(true).file_descriptor_set();
    tonic_prost_build::configure()
        .extern_path(".agon.options.v1", "::proto::agon::options::v1")
        .extern_path(".google.api", "::proto::google::api")
        .include_file("all.rs")
        .compile_fds_with_config(all, config)?;
    Ok(())
}
