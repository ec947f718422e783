//! The arrows of `docs/ARCHITECTURE.md`, read from the imports.

use std::fs;
use std::path::{Path, PathBuf};

/// For each layer: the layers and the crates that it may not name.
const RULES: &[(&str, &[&str], &[&str])] = &[
    (
        "sync",
        &[
            "api",
            "app",
            "config",
            "controller",
            "engine",
            "metrics",
            "notion",
            "probes",
            "store",
            "webhook",
        ],
        &[
            "kube",
            "k8s_openapi",
            "sqlx",
            "reqwest",
            "warp",
            "tokio",
            "tracing",
            "prometheus_client",
        ],
    ),
    (
        "api",
        &[
            "app",
            "config",
            "controller",
            "engine",
            "metrics",
            "notion",
            "probes",
            "store",
            "sync",
            "webhook",
        ],
        &[
            "sqlx",
            "reqwest",
            "warp",
            "tokio",
            "tracing",
            "prometheus_client",
        ],
    ),
    (
        "notion",
        &[
            "api",
            "app",
            "config",
            "controller",
            "engine",
            "probes",
            "store",
            "webhook",
        ],
        &["kube", "k8s_openapi", "sqlx", "warp"],
    ),
    (
        "store",
        &[
            "api",
            "app",
            "config",
            "controller",
            "engine",
            "notion",
            "probes",
            "webhook",
        ],
        &["kube", "k8s_openapi", "reqwest", "warp"],
    ),
    (
        "engine",
        &["api", "app", "config", "controller", "probes", "webhook"],
        &["kube", "k8s_openapi", "sqlx", "reqwest", "warp"],
    ),
    (
        "webhook",
        &[
            "api",
            "app",
            "config",
            "controller",
            "engine",
            "notion",
            "probes",
            "store",
        ],
        &["kube", "k8s_openapi", "sqlx", "reqwest"],
    ),
    (
        "controller",
        &["app", "config", "webhook"],
        &["warp", "reqwest"],
    ),
    (
        "metrics",
        &[
            "api",
            "app",
            "config",
            "controller",
            "engine",
            "notion",
            "probes",
            "store",
            "sync",
            "webhook",
        ],
        &["kube", "sqlx", "reqwest", "warp"],
    ),
];

fn sources(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The files of a layer: `src/<layer>.rs` and everything under `src/<layer>/`, without its tests.
fn files(layer: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let folder = src.join(layer);
    if folder.is_dir() {
        sources(&folder, &mut found);
    }
    let file = src.join(format!("{layer}.rs"));
    if file.is_file() {
        found.push(file);
    }
    found.retain(|path| !path.to_string_lossy().contains("tests"));
    assert!(!found.is_empty(), "there is no layer {layer}");
    found
}

/// Lines of code, without comments, doc links and what stands below `#[cfg(test)]`.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text
        .split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
        .to_owned();
    body.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn each_layer_knows_only_what_its_arrows_allow() {
    let mut broken = Vec::new();
    for (layer, layers, crates) in RULES {
        for path in files(layer) {
            let code = code(&path);
            for other in *layers {
                if code.contains(&format!("crate::{other}")) {
                    broken.push(format!("{} names crate::{other}", path.display()));
                }
            }
            for name in *crates {
                let named = [
                    format!("use {name}::"),
                    format!("{name}::"),
                    format!("use {name};"),
                ];
                let is_named = |text: &String| {
                    code.match_indices(text.as_str()).any(|(at, _)| {
                        let before = code[..at].chars().next_back();
                        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
                    })
                };
                if named.iter().any(is_named) {
                    broken.push(format!("{} names the crate {name}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "arrows broken:\n{}", broken.join("\n"));
}
