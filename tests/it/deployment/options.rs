//! Flags and environment of the binary, its two commands, and what it does not read.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use world::processes::{Process, Program};
use world::{http, paths, ports};

use crate::support::{ADMIN_TOKEN, Stage, eventually};

/// Runs the operator to its end, with nothing in its environment but this.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let binary = paths::operator().unwrap();
    let mut command = tokio::process::Command::new(binary);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(20), command.output()).await;
    ended
        .unwrap_or_else(|_| panic!("{arguments:?} {environment:?}: it goes on"))
        .unwrap()
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[tokio::test]
async fn the_definition_is_printed_and_is_the_one_in_crds() {
    let output = run(&["crd"], &[]).await;
    assert!(output.status.success());
    let file = paths::repository().join("crds/notionsyncbindings.yaml");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        std::fs::read_to_string(file).unwrap()
    );
}

#[tokio::test]
async fn a_bad_value_names_its_option() {
    for (flag, variable, value) in [
        ("--http-addr", "HTTP_ADDR", "8080"),
        ("--metrics-addr", "METRICS_ADDR", "localhost"),
        (
            "--notion-api-url",
            "NOTION_API_URL",
            "https://api.notion.com/v1",
        ),
        ("--leader-elect", "LEADER_ELECT", "maybe"),
        (
            "--allow-unverified-webhooks",
            "ALLOW_UNVERIFIED_WEBHOOKS",
            "maybe",
        ),
        ("--log-format", "LOG_FORMAT", "xml"),
        ("--database-hosts", "DATABASE_HOSTS", "10.0.0.0/99"),
        ("RUST_LOG", "RUST_LOG", "=,=nonsense="),
    ] {
        let mut ways = vec![run(&["run"], &[(variable, value)]).await];
        if flag.starts_with("--") {
            ways.push(run(&["run", &format!("{flag}={value}")], &[]).await);
        }
        for output in ways {
            assert!(!output.status.success(), "{flag} {value}");
            assert!(
                text(&output).contains(flag),
                "{flag} {value}: {}",
                text(&output)
            );
        }
    }
    let unknown = run(&["run", "--no-such-flag"], &[]).await;
    assert!(!unknown.status.success());
    let nowhere = [
        ("KUBECONFIG", "/nonexistent"),
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("METRICS_ADDR", "127.0.0.1:0"),
    ];
    let output = run(&["run"], &nowhere).await;
    assert!(text(&output).contains("KUBECONFIG"), "{}", text(&output));
}

#[tokio::test]
async fn help_lists_every_option_with_its_variable() {
    let output = run(&["run", "--help"], &[]).await;
    let help = text(&output);
    for name in [
        "--http-addr",
        "HTTP_ADDR",
        "--metrics-addr",
        "METRICS_ADDR",
        "--notion-api-url",
        "NOTION_API_URL",
        "--watch-namespace",
        "WATCH_NAMESPACE",
        "--leader-elect",
        "LEADER_ELECT",
        "--admin-token-file",
        "ADMIN_TOKEN_FILE",
        "--database-hosts",
        "DATABASE_HOSTS",
        "--allow-unverified-webhooks",
        "ALLOW_UNVERIFIED_WEBHOOKS",
        "--log-format",
        "LOG_FORMAT",
        "RUST_LOG",
        "POD_NAMESPACE",
        "POD_NAME",
    ] {
        assert!(help.contains(name), "{name}: {help}");
    }
}

struct Started {
    process: Process,
    http: String,
    metrics: String,
    log: PathBuf,
}

/// Starts the operator of a stage by flags, or with other variables, and waits until it is ready.
async fn start(stage: &Stage, flags: &[&str], environment: &[(&str, &str)]) -> Started {
    let (http, metrics) = (
        ports::free_address().unwrap(),
        ports::free_address().unwrap(),
    );
    let directory = stage.scene.operator_directory();
    std::fs::create_dir_all(&directory).unwrap();
    let log = directory.join("operator.log");
    let mut program = Program::new(&paths::operator().unwrap(), &directory, &log)
        .argument("run")
        .argument(format!("--http-addr={http}"))
        .argument(format!("--metrics-addr={metrics}"))
        .argument(format!("--notion-api-url={}", stage.notion.base_url()))
        .argument(format!("--watch-namespace={}", stage.scene.name()))
        .variable("KUBECONFIG", &stage.operator.options().kubeconfig);
    for flag in flags {
        program = program.argument(*flag);
    }
    for (name, value) in environment {
        program = program.variable(*name, *value);
    }
    let process = Process::start(&program).await.unwrap();
    let (http, metrics) = (format!("http://{http}"), format!("http://{metrics}"));
    let client = http::client().unwrap();
    eventually("it is ready", async || {
        process.ensure_running().unwrap();
        let ready = client.get(format!("{metrics}/readyz")).send().await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
    Started {
        process,
        http,
        metrics,
        log,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flag_acts() {
    let stage = Stage::set("flags").await;
    stage.operator.stop().await.unwrap();
    let token = stage.scene.directory().join("token");
    std::fs::write(&token, "by-flag").unwrap();
    let token = format!("--admin-token-file={}", token.display());
    let flags = [
        "--leader-elect=false",
        &token,
        "--database-hosts=127.0.0.1/32",
        "--allow-unverified-webhooks",
        "--log-format=text",
    ];
    let operator = start(&stage, &flags, &[("RUST_LOG", "info")]).await;
    stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"webhook": {"authentication": ["None"]}}))
        .await;
    let client = http::client().unwrap();
    let health = client.get(format!("{}/api/admin/sync/health", operator.http));
    let health = health.bearer_auth("by-flag").send().await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    let challenge = client.post(format!("{}/api/webhooks/notion", operator.http));
    let challenge = challenge.header("content-type", "application/json");
    let event = json!({"type": "webhook_challenge", "challenge": "x"}).to_string();
    let reply = challenge.body(event).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), r#"{"challenge":"x"}"#);
    let scrape = client
        .get(format!("{}/metrics", operator.metrics))
        .send()
        .await
        .unwrap();
    assert!(scrape.status().is_success());
    let log = std::fs::read_to_string(&operator.log).unwrap();
    assert!(log.contains(" INFO ") && !log.contains('\u{1b}'), "{log}");
    assert_eq!(operator.process.stop().await.unwrap().code, 0);
    // The list of hosts is obeyed.
    let operator = start(
        &stage,
        &[
            "--leader-elect=false",
            "--allow-unverified-webhooks=true",
            "--database-hosts=.example.com",
        ],
        &[],
    )
    .await;
    stage
        .wait_condition(
            "projects",
            "DatabaseReachable",
            "False",
            Some("HostNotAllowed"),
        )
        .await;
    assert_eq!(operator.process.stop().await.unwrap().code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_variable_is_one_that_is_not_set() {
    let stage = Stage::set("empties").await;
    stage.operator.stop().await.unwrap();
    let names = [
        "HTTP_ADDR",
        "METRICS_ADDR",
        "NOTION_API_URL",
        "WATCH_NAMESPACE",
        "LEADER_ELECT",
        "ADMIN_TOKEN_FILE",
        "DATABASE_HOSTS",
        "ALLOW_UNVERIFIED_WEBHOOKS",
        "LOG_FORMAT",
        "RUST_LOG",
        "POD_NAME",
    ];
    let mut environment: Vec<_> = names.iter().map(|name| (*name, "")).collect();
    crate::support::own_leases(&stage.scene).await;
    environment.push(("POD_NAMESPACE", stage.scene.name()));
    let operator = start(&stage, &[], &environment).await;
    stage.linked("Alpha").await;
    // It leads: the election is on, as it is by default, and its identity is not empty.
    stage.bind_ready(&json!({})).await;
    let holder = [
        "get",
        "lease",
        "notion-sync-operator",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    let holder = stage.scene.kubectl(&holder).await.unwrap().ok().unwrap();
    assert!(holder.starts_with("notion-sync-operator-"), "{holder}");
    let health = http::client()
        .unwrap()
        .get(format!("{}/api/admin/sync/health", operator.http));
    let reply = health.bearer_auth(ADMIN_TOKEN).send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 401);
    let log = std::fs::read_to_string(&operator.log).unwrap();
    assert!(
        log.contains("this replica leads"),
        "an empty RUST_LOG logs at info: {log}"
    );
    assert_eq!(operator.process.stop().await.unwrap().code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_variables_of_the_environment_are_not_used() {
    let stage = Stage::set_with("pg-variables", |options| {
        let nonsense = [
            ("PGHOST", "203.0.113.7"),
            ("PGHOSTADDR", "203.0.113.7"),
            ("PGPORT", "1"),
            ("PGUSER", "nobody"),
            ("PGPASSWORD", "wrong"),
            ("PGDATABASE", "elsewhere"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/nonexistent"),
            ("PGSSLCERT", "/nonexistent"),
            ("PGSSLKEY", "/nonexistent"),
            ("PGOPTIONS", "-c search_path=elsewhere"),
            ("PGAPPNAME", "not-us"),
            ("PGPASSFILE", "/nonexistent"),
            ("PGSERVICE", "nowhere"),
        ];
        let nonsense = nonsense
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        options.environment.extend(nonsense);
    })
    .await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'not-us'";
    assert_eq!(stage.count(ours).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_speak_before_the_first_list_and_ask_for_patience() {
    let stage = Stage::set("probes").await;
    stage.operator.stop().await.unwrap();
    // A token that the API server does not know: no list will ever come in.
    let kubeconfig = std::fs::read_to_string(&stage.operator.options().kubeconfig).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&kubeconfig).unwrap();
    config["users"][0]["user"]["token"] = "wrong".into();
    let path = stage.scene.directory().join("wrong.kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    let mut options = stage.operator.options().clone();
    options.kubeconfig = path;
    let directory = stage.scene.operator_directory();
    let operator = world::operator::Operator::prepare(&directory, options).unwrap();
    operator.launch().await.unwrap();
    let client = http::client().unwrap();
    let get = async |url: String| client.get(url).send().await.ok();
    eventually("it is alive", async || {
        let reply = get(operator.metrics_url("/livez")).await?;
        reply.status().is_success().then_some(())
    })
    .await;
    assert_eq!(
        get(operator.metrics_url("/readyz"))
            .await
            .unwrap()
            .status()
            .as_u16(),
        503
    );
    let reply = client
        .post(operator.webhook_url())
        .header("content-type", "application/json");
    let reply = reply.body("{}").send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 503);
    assert!(reply.headers().contains_key("retry-after"));
    assert_eq!(operator.stop().await.unwrap().code, 0);
}
