//! Two replicas: one works, both receive; and how one ends or loses the Lease.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use world::operator::Operator;

use crate::support::{ADMIN_TOKEN, Stage, VERIFICATION_TOKEN, eventually, own_leases, title};

/// The operator's promise for a take-over is 20 s; the rest is room for a busy machine.
const TAKE_OVER: Duration = Duration::from_secs(30);

struct Pair {
    stage: Stage,
    leases: Api<Lease>,
    second: Operator,
}

impl Pair {
    /// The stage's operator leads; a second one has joined.
    async fn set(topic: &str) -> Self {
        let mut stage = Stage::set(topic).await;
        stage.operator.stop().await.unwrap();
        own_leases(&stage.scene).await;
        let leases = Api::namespaced(stage.scene.client().await.unwrap(), stage.scene.name());
        let mut options = stage.operator.options().clone();
        options.leader_elect = true;
        stage.scene.name().clone_into(&mut options.pod_namespace);
        "first".clone_into(&mut options.pod_name);
        stage.operator = stage.scene.start_operator(options.clone()).await.unwrap();
        let pair = Self {
            second: stage.operator_named(options, "second").await,
            stage,
            leases,
        };
        pair.wait_holder("first").await;
        pair.second.wait_ready().await.unwrap();
        pair
    }

    async fn holder(&self) -> Option<String> {
        let lease = self.leases.get_opt("notion-sync-operator").await.unwrap()?;
        lease.spec?.holder_identity
    }

    async fn wait_holder(&self, name: &str) {
        eventually(&format!("{name} leads"), async || {
            (self.holder().await.as_deref() == Some(name)).then_some(())
        })
        .await;
    }
}

impl Stage {
    /// One more operator by this pod name, not waited for.
    async fn operator_named(
        &self,
        mut options: world::operator::OperatorOptions,
        name: &str,
    ) -> Operator {
        // The first one must have the Lease by then.
        let leases: Api<Lease> =
            Api::namespaced(self.scene.client().await.unwrap(), self.scene.name());
        eventually("the first leads", async || {
            let lease = leases.get_opt("notion-sync-operator").await.unwrap()?;
            lease.spec?.holder_identity
        })
        .await;
        options.pod_name = name.to_owned();
        let operator = Operator::prepare(&self.scene.operator_directory(), options).unwrap();
        operator.launch().await.unwrap();
        operator
    }
}

async fn post(operator: &Operator, body: &Value) -> (u16, Value) {
    let bytes = body.to_string();
    let signature = notion_imitation::signature(VERIFICATION_TOKEN, bytes.as_bytes());
    let client = world::http::client().unwrap();
    let request = client
        .post(operator.webhook_url())
        .header("content-type", "application/json");
    let reply = request
        .header("X-Notion-Signature", signature)
        .body(bytes)
        .send()
        .await
        .unwrap();
    (
        reply.status().as_u16(),
        reply.json().await.unwrap_or_default(),
    )
}

async fn probe(operator: &Operator, path: &str) -> Option<u16> {
    let client = world::http::client().unwrap();
    let reply = client.get(operator.metrics_url(path)).send().await.ok()?;
    Some(reply.status().as_u16())
}

async fn passes(operator: &Operator) -> f64 {
    operator
        .metrics()
        .await
        .unwrap()
        .sum("controller_runtime_reconcile_total", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_both_receive() {
    let pair = Pair::set("replicas").await;
    let stage = &pair.stage;
    let page = stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"fullScanInterval": "24h", "interval": "1h"}))
        .await;
    // A pass is counted when its Events are out, which is after its status.
    eventually("the first's pass is counted", async || {
        (passes(&stage.operator).await >= 1.0).then_some(())
    })
    .await;
    for operator in [&stage.operator, &pair.second] {
        assert_eq!(probe(operator, "/readyz").await, Some(200));
        let client = world::http::client().unwrap();
        let report = client
            .get(operator.url("/api/admin/sync/health"))
            .bearer_auth(ADMIN_TOKEN);
        assert_eq!(report.send().await.unwrap().status().as_u16(), 200);
    }
    for (number, operator) in [&pair.second, &stage.operator].into_iter().enumerate() {
        let name = format!("Edit {number}");
        stage
            .notion
            .edit(page, json!({"Name": title(&name)}))
            .unwrap();
        let event = stage.notion.event("page.properties_updated", page, &[]);
        let (status, body) = post(operator, &event).await;
        assert_eq!((status, &body["status"]), (200, &json!("queued")), "{body}");
        // The interval is an hour: nothing but the event brings the edit.
        stage.wait_cell(page, "name", Some(&name)).await;
        // The same event at the other door is known.
        let other = if number == 0 {
            &stage.operator
        } else {
            &pair.second
        };
        assert_eq!(post(other, &event).await.1["status"], "duplicate");
    }
    assert!(passes(&pair.second).await < 1.0, "the follower works too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_followed_within_twenty_seconds() {
    let pair = Pair::set("leader-dies").await;
    let stage = &pair.stage;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    stage.operator.kill().await.unwrap();
    let died = Instant::now();
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = stage.notion.event("page.properties_updated", page, &[]);
    assert_eq!(post(&pair.second, &event).await.1["status"], "queued");
    pair.wait_holder("second").await;
    assert!(died.elapsed() < TAKE_OVER, "{:?}", died.elapsed());
    stage.wait_cell(page, "name", Some("Beta")).await;
    assert_eq!(probe(&pair.second, "/livez").await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_hands_over_at_once() {
    let pair = Pair::set("leader-stops").await;
    let stage = &pair.stage;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let event = stage.notion.event("page.properties_updated", page, &[]);
    stage.operator.signal("TERM").await.unwrap();
    eventually("it is not ready", async || {
        (probe(&stage.operator, "/readyz").await == Some(503)).then_some(())
    })
    .await;
    // It still answers: whoever has not heard yet loses nothing.
    let (status, body) = post(&stage.operator, &event).await;
    assert_eq!(status, 200, "{body}");
    let exit = eventually("it has ended", async || stage.operator.exited().await).await;
    assert_eq!((exit.code, exit.signal), (0, None));
    pair.wait_holder("second").await;
    let log = stage.operator.log().unwrap();
    assert!(log.contains("released the Lease"), "{log}");
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = stage.notion.event("page.properties_updated", page, &[]);
    assert_eq!(post(&pair.second, &event).await.0, 200);
    stage.wait_cell(page, "name", Some("Beta")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_answered_before_the_end() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let stage = Stage::set("drain").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let body = stage
        .notion
        .event("page.properties_updated", page, &[])
        .to_string();
    let signature = notion_imitation::signature(VERIFICATION_TOKEN, body.as_bytes());
    let mut stream = tokio::net::TcpStream::connect(stage.operator.http_address())
        .await
        .unwrap();
    let head = format!(
        "POST /api/webhooks/notion HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         x-notion-signature: {signature}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stage.operator.signal("TERM").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 200") && reply.contains("queued"),
        "{reply}"
    );
    let exit = eventually("it has ended", async || stage.operator.exited().await).await;
    assert_eq!((exit.code, exit.signal), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_lease_ends_passes_and_not_the_process() {
    let pair = Pair::set("lease-lost").await;
    let stage = &pair.stage;
    pair.second.stop().await.unwrap();
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    let pid = stage.operator.pid().await;
    let stolen = json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3600}});
    let steal = async |spec: &Value| {
        let patch = Patch::Merge(spec);
        pair.leases
            .patch("notion-sync-operator", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    steal(&stolen).await;
    let lost = "this replica does not lead any more";
    eventually("leadership is lost", async || {
        stage
            .operator
            .log()
            .unwrap_or_default()
            .contains(lost)
            .then_some(())
    })
    .await;
    let before = passes(&stage.operator).await;
    let metrics = stage.operator.metrics().await.unwrap();
    let told = metrics.matching("notion_sync_binding_health", &[]).count();
    assert_eq!(told, 0, "whoever does not lead does not know");
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = stage.notion.event("page.properties_updated", page, &[]);
    assert_eq!(post(&stage.operator, &event).await.1["status"], "queued");
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert!(
        passes(&stage.operator).await <= before,
        "it works without the Lease"
    );
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
    assert_eq!(probe(&stage.operator, "/readyz").await, Some(200));
    steal(&json!({"spec": {"holderIdentity": ""}})).await;
    stage.wait_cell(page, "name", Some("Beta")).await;
    assert_eq!(stage.operator.pid().await, pid);
}
