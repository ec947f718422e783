//! What all requests of one server share.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::clock::{Clock, ClockMode};
use crate::limits::Limits;
use crate::log::RequestLog;
use crate::options::{Options, Switches};
use crate::random::Random;
use crate::state::connection::{Connection, ConnectionSpec};
use crate::state::people::User;
use crate::state::world::{Moment, World};
use crate::sync::lock;
use crate::weather::Weather;
use crate::webhook::courier::Courier;

/// The parts of a server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    world: Mutex<World>,
    switches: Mutex<Arc<Switches>>,
    pub(crate) log: Mutex<RequestLog>,
    pub(crate) weather: Mutex<Weather>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) courier: Courier,
    request_ids: Mutex<Random>,
    /// `http://127.0.0.1:port`.
    pub(crate) base_url: String,
}

impl Shared {
    pub(crate) fn new(options: &Options, base_url: String, courier: Courier) -> Self {
        let switches = Arc::new(options.switches.clone());
        let mut world = World::new(options.seed, &options.workspace_name, Arc::clone(&switches));
        world.first_token.clone_from(&options.token);
        world.add_connection(&ConnectionSpec {
            token: options.token.clone(),
            name: options.bot_name.clone(),
            ..ConnectionSpec::default()
        });
        let mode = options
            .fixed_clock
            .map_or(ClockMode::Following { offset_ms: 0 }, |at| {
                ClockMode::Fixed { at }
            });
        Self {
            clock: Clock::new(mode),
            world: Mutex::new(world),
            switches: Mutex::new(switches),
            log: Mutex::new(RequestLog::new(options.log_limit)),
            weather: Mutex::new(Weather::new(Random::new(options.seed ^ 0x77))),
            limits: Mutex::new(Limits::default()),
            courier,
            request_ids: Mutex::new(Random::new(options.seed ^ 0x1d)),
            base_url,
        }
    }

    pub(crate) fn switches(&self) -> Arc<Switches> {
        Arc::clone(&lock(&self.switches))
    }

    pub(crate) fn set_switches(&self, switches: Switches) {
        *lock(&self.switches) = Arc::new(switches);
    }

    /// The id of the next answer.
    pub(crate) fn request_id(&self) -> Uuid {
        lock(&self.request_ids).uuid()
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now_ms: self.clock.now_ms(),
            elapsed_ms: self.clock.elapsed_ms(),
        }
    }

    /// Works on the workspace, and hands the events that this caused to the webhooks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut world = lock(&self.world);
        world.switches = self.switches();
        world.moment = self.moment();
        let result = work(&mut world);
        let changes = std::mem::take(&mut world.changes);
        self.courier.take(&world, &changes);
        result
    }
}

impl World {
    /// The connection that the server started with.
    pub(crate) fn first_connection(&self) -> Option<&Arc<Connection>> {
        self.connections.get(&self.first_token)
    }

    /// Adds a connection with a bot user of its own.
    pub(crate) fn add_connection(&mut self, spec: &ConnectionSpec) -> Arc<Connection> {
        let bot = self.random.uuid();
        self.users.insert(
            bot,
            User {
                id: bot,
                name: spec.name.clone(),
                email: None,
            },
        );
        let connection = Arc::new(Connection {
            token: spec.token.clone(),
            name: spec.name.clone(),
            bot,
            integration: self.random.uuid(),
            capabilities: spec.capabilities.clone(),
            revoked: false,
            sees_everything: spec.sees_everything,
            hidden: std::collections::HashSet::new(),
            shared: std::collections::HashSet::new(),
        });
        self.connections
            .insert(spec.token.clone(), Arc::clone(&connection));
        connection
    }
}
