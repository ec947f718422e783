//! The composition root: makes the parts, joins them, ends them in order.
//!
//! The submodules implement the receiver's ports over the watch cache, the API server and the
//! stores; nothing else knows both `webhook/` and `controller/`.

mod credentials;
mod directory;
mod health;
mod reviewer;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector;
use kube::runtime::reflector::store::Writer;
use kube::{Api, Client, ResourceExt};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::NotionSyncBinding;
use crate::config::Config;
use crate::controller::context::Context;
use crate::controller::events;
use crate::controller::inboxes::Inboxes;
use crate::controller::lease::{Elector, Leadership};
use crate::controller::publish::forget_gauges;
use crate::controller::secrets::Secrets;
use crate::controller::{self, watch as bindings};
use crate::metrics::Metrics;
use crate::notion::Clients;
use crate::probes::{self, Vitals};
use crate::store::hosts::HostPolicy;
use crate::store::pool::Pools;
use crate::sync::identity::BindingRef;
use crate::webhook::admin::Admin;
use crate::webhook::ports::Ports;
use crate::webhook::receiver::Receiver;
use crate::webhook::{self, Limits, Site};

/// The namespace whose UID names the cluster.
const CLUSTER_NAMESPACE: &str = "kube-system";
/// How long an API server that is away at start is waited for between two tries.
const RETRY: Duration = Duration::from_secs(3);
/// From "not ready" to "stop accepting": endpoints need a moment to leave the Service.
const LEAVE_SERVICE: Duration = Duration::from_secs(2);

/// Runs the operator until the token is cancelled.
///
/// # Errors
/// Something that only a person can put right: an address in use, no configuration of a cluster,
/// rules for database hosts that cannot be read. Everything else is waited for.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let hosts = config.host_rules().join(",").parse();
    let hosts: HostPolicy = hosts.context("--database-hosts")?;
    let http = bind(config.http_addr, "--http-addr").await?;
    let metrics_listener = bind(config.metrics_addr, "--metrics-addr").await?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let vitals = Arc::new(Vitals::default());
    // Ends after everything else, so that the drain can be watched.
    let last = CancellationToken::new();
    let registry = Arc::new(registry);
    let probes = probes::serve(
        metrics_listener,
        registry,
        Arc::clone(&vitals),
        last.clone(),
    );
    let probes = tokio::spawn(probes);

    let client = Client::try_default()
        .await
        .context("no cluster: set KUBECONFIG or run in a pod")?;
    let (store, writer) = reflector::store();
    let identity = config.identity();
    let context = context(
        &config,
        hosts,
        &client,
        &identity,
        store,
        &metrics,
        Arc::clone(&vitals),
    )?;
    let watched = tokio::spawn(watched(Arc::clone(&context), writer));

    // Three stages of the end: requests, passes, lease.
    let (draining, released) = (CancellationToken::new(), CancellationToken::new());
    let receiver = tokio::spawn(webhook::serve(
        http,
        site(&config, &context, metrics),
        draining.clone(),
    ));
    let (elector, leadership) = election(&config, client, &identity, released.clone());
    let passes = tokio::spawn(work(
        context,
        config.pod_namespace.clone(),
        leadership,
        draining.clone(),
    ));

    tokio::select! {
        () = stop.cancelled() => {}
        // None of these ends by itself; going on without one of them would look healthy.
        _ = watched => anyhow::bail!("the watch of bindings ended"),
    }
    vitals.set_stopping();
    tokio::time::sleep(LEAVE_SERVICE).await;
    draining.cancel();
    let _ = tokio::join!(receiver, passes);
    released.cancel();
    let _ = elector.await;
    last.cancel();
    let _ = tokio::time::timeout(RETRY, probes).await;
    Ok(())
}

/// Watches bindings, and forgets what this process keeps of those that are gone.
async fn watched(context: Arc<Context>, writer: Writer<NotionSyncBinding>) {
    let gone = |binding: &BindingRef| {
        context.inboxes.forget(binding);
        forget_gauges(&context.metrics, binding);
    };
    bindings::run(
        context.kube.clone(),
        context.namespaces.to_vec(),
        writer,
        Arc::clone(&context.nudges),
        Arc::clone(&context.vitals),
        gone,
    )
    .await;
}

/// Works on bindings once the cluster is known. The receiver answers 503 until then.
async fn work(
    context: Arc<Context>,
    own_namespace: String,
    leadership: watch::Receiver<Leadership>,
    stop: CancellationToken,
) {
    let id = cluster_id(&context.kube, &own_namespace);
    if let Some(id) = stop.run_until_cancelled(id).await {
        // Nobody else sets it.
        let _ = context.cluster_id.set(id);
        context.vitals.set_identified();
        controller::run(context, leadership, stop).await;
    }
}

async fn bind(address: std::net::SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("{flag} {address} cannot be listened on"))
}

fn context(
    config: &Config,
    hosts: HostPolicy,
    client: &Client,
    identity: &str,
    bindings: reflector::Store<NotionSyncBinding>,
    metrics: &Metrics,
    vitals: Arc<Vitals>,
) -> anyhow::Result<Arc<Context>> {
    let pools = Arc::new(Pools::new(hosts));
    let clients = Clients::new(&config.notion_api_url, metrics.clone());
    // Another process is another holder of a claim, also under the same pod name.
    let holder = format!("{identity}/{}", uuid::Uuid::new_v4());
    Ok(Arc::new(Context {
        kube: client.clone(),
        secrets: Secrets::new(client.clone()),
        notion: Arc::new(clients.context("the client of Notion")?),
        inboxes: Arc::new(Inboxes::new(Arc::clone(&pools))),
        pools,
        events: Arc::new(events::Publisher::new(client.clone(), identity)),
        bindings,
        namespaces: config.namespaces().into(),
        nudges: Arc::default(),
        metrics: metrics.clone(),
        vitals,
        cluster_id: Arc::default(),
        holder: holder.into(),
        allow_unverified_webhooks: config.allow_unverified_webhooks,
    }))
}

/// UID of `kube-system`; without cluster rights that of the operator's own namespace. An API server
/// that is away is waited for: the id of a claim must never be a guess.
async fn cluster_id(client: &Client, own: &str) -> String {
    let api: Api<Namespace> = Api::all(client.clone());
    loop {
        let mut name = CLUSTER_NAMESPACE;
        let mut answer = api.get(name).await;
        if matches!(&answer, Err(kube::Error::Api(status)) if status.code == 403) {
            name = own;
            answer = api.get(name).await;
        }
        match answer {
            Ok(namespace) => {
                if let Some(uid) = namespace.uid() {
                    return uid;
                }
            }
            Err(error) => {
                tracing::warn!(namespace = name, error = %error, "the namespace cannot be read");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn site(config: &Config, context: &Arc<Context>, metrics: Metrics) -> Arc<Site> {
    let limits = Limits::default().within_open_files();
    let sink = Arc::new(sink::InboxSink::new(Arc::clone(context)));
    let ports = Ports {
        directory: Arc::new(directory::Bindings::new(Arc::clone(context))),
        credentials: Arc::new(credentials::SecretCredentials::new(Arc::clone(context))),
        sink: sink.clone(),
    };
    let reviewer = reviewer::ApiReviewer::new(context.kube.clone(), config.admin_token_path());
    let health = health::StatusHealth::new(Arc::clone(context), sink);
    let allow_unverified = config.allow_unverified_webhooks;
    Arc::new(Site {
        receiver: Receiver::new(ports, metrics, limits.clone(), allow_unverified),
        admin: Admin::new(Arc::new(reviewer), Arc::new(health), limits.clone()),
        limits,
    })
}

fn election(
    config: &Config,
    client: Client,
    identity: &str,
    stop: CancellationToken,
) -> (JoinHandle<()>, watch::Receiver<Leadership>) {
    if config.leader_elect {
        let (elector, leadership) = Elector::new(client, &config.pod_namespace, identity);
        (tokio::spawn(elector.run(stop)), leadership)
    } else {
        let (alone, leadership) = watch::channel(Leadership::ALONE);
        let keep = async move {
            stop.cancelled().await;
            drop(alone);
        };
        (tokio::spawn(keep), leadership)
    }
}
