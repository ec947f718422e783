//! `world up`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};
use world::wait::eventually;
use world::{World, WorldOptions, paths};

use crate::playground::{ADMIN_TOKEN, Playground};
use crate::state::State;

const START_TIMEOUT: Duration = Duration::from_mins(3);
const STOP_POLL: Duration = Duration::from_millis(200);

/// Starts the world here and stays until a signal or `world down` ends it.
#[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
pub(crate) async fn stay() -> Result<()> {
    let state = State::of_checkout();
    let _claim = state.claim()?;
    let mut end = pin!(asked_to_end(&state));
    let world = tokio::select! {
        world = World::start(WorldOptions::default()) => world?,
        // What was started so far ends with this process.
        asked = &mut end => return asked,
    };
    let outcome = play(&world, &state, end).await;
    world.stop().await;
    println!("The world has ended.");
    outcome
}

/// Sets the playground up, tells about it, and waits for the end.
#[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
async fn play(world: &World, state: &State, end: impl Future<Output = Result<()>>) -> Result<()> {
    let play = Playground::set(world).await?;
    play.bind().await?;
    play.subscribe().await?;
    let original = std::fs::read(world.control_plane().kubeconfig())?;
    world::files::write_private(&state.path("kubeconfig"), &original)?;
    let guide = guide(&play, state)?;
    println!("{guide}");
    state.announce(&guide)?;
    end.await
}

fn guide(play: &Playground<'_>, state: &State) -> Result<String> {
    let (scene, notion) = (&play.scene, &play.notion);
    let programs = paths::control_plane()?;
    let programs = programs
        .parent()
        .context("the control plane's program has no folder")?;
    let mut text = String::new();
    writeln!(text, "The world is up. To play with it:\n")?;
    writeln!(
        text,
        "  export KUBECONFIG={}",
        state.path("kubeconfig").display()
    )?;
    writeln!(
        text,
        "  export PATH={}:$PATH    # kubectl",
        programs.display()
    )?;
    writeln!(
        text,
        "  kubectl --namespace {} get notionsyncbindings\n",
        scene.name()
    )?;
    writeln!(
        text,
        "API server  {}",
        scene.world().control_plane().server()
    )?;
    writeln!(text, "Postgres    {}", scene.database_uri()?)?;
    writeln!(
        text,
        "Notion      {}    token {}",
        notion.base_url(),
        notion.token()
    )?;
    writeln!(
        text,
        "            {}/_control    to play people and weather\n",
        notion.base_url()
    )?;
    writeln!(
        text,
        "Operator    {}    metrics {}",
        play.operator.url("/"),
        play.operator.metrics_url("/metrics")
    )?;
    writeln!(
        text,
        "            curl -H 'Authorization: Bearer {ADMIN_TOKEN}' {}\n",
        play.operator.url("/api/admin/sync/health")
    )?;
    write!(text, "End it with `make down` or Ctrl-C.")?;
    Ok(text)
}

/// Starts the world in a process of its own and returns once it is up.
#[expect(clippy::print_stdout, reason = "this is a program for the terminal")]
pub(crate) async fn detach() -> Result<()> {
    let state = State::of_checkout();
    let log_path = state.new_log()?;
    let log = File::create(&log_path)?;
    // Opened now: where the start fails, the folder is gone when this is read.
    let mut said = File::open(&log_path)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("up")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start the world")?;
    let guide = eventually(START_TIMEOUT, "the world is up", async || {
        if let Some(guide) = state.guide() {
            return Ok(Some(guide));
        }
        ensure!(child.try_wait()?.is_some(), "it is still starting");
        Ok(None)
    })
    .await?;
    let Some(guide) = guide else {
        let mut text = String::new();
        said.read_to_string(&mut text)?;
        bail!("the world did not start:\n{text}");
    };
    println!("{guide}");
    Ok(())
}

/// Returns when SIGINT or SIGTERM arrives or `world down` left word.
async fn asked_to_end(state: &State) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let word = async {
        while !state.asked_to_stop() {
            tokio::time::sleep(STOP_POLL).await;
        }
    };
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = word => Ok(()),
    }
}
