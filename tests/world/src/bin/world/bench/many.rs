//! Three hundred bindings applied at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use notion_imitation::{ConnectionSpec, DataSourceSpec};
use serde_json::{Value, json};
use world::World;
use world::manifests::{binding, minimal_spec};
use world::wait::eventually;

use super::{figure, usage};
use crate::playground::Playground;

const BINDINGS: usize = 300;
/// How often the bindings are looked at: a list of all of them is work for the API server.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Bindings that share a token share its budget of requests.
const PER_TOKEN: usize = 10;

pub(crate) async fn run(world: &World) -> Result<()> {
    let play = Playground::set_in(world, "bench-many").await?;
    let mut manifests = Vec::new();
    for number in 0..BINDINGS {
        let secret = format!("token-{}", number / PER_TOKEN);
        if number % PER_TOKEN == 0 {
            let token = format!("ntn_bench_{number}");
            play.notion.add_connection(&ConnectionSpec {
                token: token.clone(),
                sees_everything: true,
                ..ConnectionSpec::default()
            })?;
            play.scene
                .apply_secret(&secret, &[("token", &token)])
                .await?;
        }
        let schema = DataSourceSpec::new("Many", json!({"Name": {"title": {}}}));
        let source = play.notion.create_data_source(schema)?.id;
        let table = format!("many_{number}");
        let create = format!(
            "CREATE TABLE {table} (id bigserial PRIMARY KEY, name text, \"notionPageId\" uuid UNIQUE)"
        );
        play.execute(&create).await?;
        let mut spec = minimal_spec(&source.to_string(), &table, &[("name", "Name")]);
        spec["notion"]["tokenSecretRef"]["name"] = secret.into();
        manifests.push(binding(play.scene.name(), &format!("many-{number}"), &spec));
    }
    play.notion
        .switch(|switches| switches.requests_per_minute = 180);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    let pid = play.operator.pid().await.context("the operator runs")?;
    let before = usage(pid)?;
    let started = Instant::now();
    play.scene.apply(&list).await?;
    let applied = started.elapsed();
    let bindings = resource();
    let client = play.scene.client().await?;
    let bindings: Api<DynamicObject> = Api::namespaced_with(client, play.scene.name(), &bindings);
    let from_cache = ListParams::default().match_any();
    let all = Duration::from_mins(5);
    eventually(all, "every binding is Ready", async || {
        tokio::time::sleep(LOOK_EVERY).await;
        let list = bindings.list(&from_cache).await?;
        let ready = list.items.iter().filter(|one| is_ready(&one.data)).count();
        ensure!(ready >= BINDINGS, "{ready} of {BINDINGS} are Ready");
        Ok(())
    })
    .await?;
    let after = usage(pid)?;
    figure(
        "300 bindings: kubectl apply took",
        &format!("{:.1} s", applied.as_secs_f64()),
    );
    figure(
        "  from the start of apply to all Ready",
        &format!("{:.1} s", started.elapsed().as_secs_f64()),
    );
    figure(
        "  operator, CPU",
        &format!("{:.2} s", after.cpu_seconds - before.cpu_seconds),
    );
    figure(
        "  operator, resident at most",
        &format!("{:.0} MiB", after.peak_mib),
    );
    Ok(())
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("notionsync.dev", "v1alpha1", "NotionSyncBinding");
    ApiResource::from_gvk_with_plural(&kind, "notionsyncbindings")
}

fn is_ready(binding: &Value) -> bool {
    let conditions = binding["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}
