//! What a worker links.

use std::env;
use std::process::Command;

#[test]
fn a_worker_links_no_runtime_no_server_no_watcher_and_no_command_line() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--package", "headcount-writer"])
        .args(["--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let tree = String::from_utf8_lossy(&output.stdout);
    let crates: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(crates.contains(&"headcount-format"), "{tree}");
    for heavy in ["tokio", "axum", "notify", "clap"] {
        assert!(!crates.contains(&heavy), "{heavy} is in\n{tree}");
    }
}
