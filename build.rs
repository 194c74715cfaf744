//! The page of `web/dist` is built into the binary: this has the crate built anew when the page changes.

fn main() {
    // A folder that is not there counts as changed at every build, so a fresh checkout gets an empty one.
    if let Err(error) = std::fs::create_dir_all("web/dist") {
        println!("cargo:warning=web/dist cannot be made: {error}");
    }
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=build.rs");
}
