//! Puts the web UI's files where they are compiled in. Where they were not built, a page that says how stands in, so that Rust alone is enough
//! to build the server.

use std::{
    fs,
    path::{Path, PathBuf},
};

const STAND_IN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Windlass</title>\
<p>This server was built without its web UI. Run <code>scripts/build-ui.sh</code>, and build it again.</p></html>\n";

fn main() -> std::io::Result<()> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("ui");
    println!("cargo:rerun-if-changed={}", built.display());
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    if built.join("index.html").is_file() { copy(&built, &out) } else { fs::write(out.join("index.html"), STAND_IN) }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
