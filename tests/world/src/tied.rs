//! A program of ours that ends when its standard input does, and reports line by line.
//!
//! The pipe is the leash: it closes however this process ends, so that nothing started here
//! outlives it. The child is in a process group of its own, or Ctrl-C would reach it too and cut
//! short the order in which things end. No reactor is involved: a child started by one test's
//! runtime serves tests on other runtimes.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// What a child said so far.
#[derive(Debug, Default, Clone)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

/// A running child; dropping it lets it end by itself.
#[derive(Debug)]
pub(crate) struct Tied {
    pid: u32,
    input: Mutex<Option<ChildStdin>>,
    said: watch::Receiver<Said>,
}

impl Tied {
    /// Starts the command, whose standard input and output are taken over.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = child.id();
        let (sender, said) = watch::channel(Said::default());
        let input = child.stdin.take();
        let output = child.stdout.take();
        std::thread::Builder::new()
            .name("tied-child".to_owned())
            .spawn(move || listen(child, output, &sender))?;
        Ok(Self {
            pid,
            input: Mutex::new(input),
            said,
        })
    }

    /// The child's process id, which is also its group's.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends one line to the child.
    pub(crate) fn order(&self, line: &str) -> io::Result<()> {
        match self
            .input
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            Some(input) => writeln!(input, "{line}"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Closes the child's standard input, which asks it to end.
    pub(crate) fn release(&self) {
        self.input
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// The first line that means something to `read`, once it was said; `None` when the child
    /// ended without it.
    pub(crate) async fn find<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut said = self.said.clone();
        let mut found = None;
        // An error means that the child has ended and said all.
        let _ = said
            .wait_for(|said| {
                found = said.lines.iter().find_map(|line| read(line));
                found.is_some() || said.ended
            })
            .await;
        found
    }

    /// The first line so far that means something to `read`.
    pub(crate) fn find_so_far<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.said.borrow().lines.iter().find_map(|line| read(line))
    }

    /// Returns once the child has ended.
    pub(crate) async fn ended(&self) {
        // The sender goes only after it said that the child ended.
        let _ = self.said.clone().wait_for(|said| said.ended).await;
    }
}

/// Collects the child's lines, then waits for it, so that no zombie is left.
fn listen(mut child: Child, output: Option<ChildStdout>, said: &watch::Sender<Said>) {
    if let Some(output) = output {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.send_modify(|said| said.lines.push(line));
        }
    }
    let _ = child.wait();
    said.send_modify(|said| said.ended = true);
}
