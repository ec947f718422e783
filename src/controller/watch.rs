//! The one watch of bindings: it fills the store that receiver and controller read, and starts a
//! pass where something that a person wrote has changed.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::{StreamExt, stream};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};

use super::nudge::Nudges;
use crate::api::{NotionSyncBinding, annotations};
use crate::probes::Vitals;
use crate::sync::identity::BindingRef;

/// Objects fetched by one list call.
const PAGE_SIZE: u32 = 50;

/// Watches the bindings of these namespaces (all, where there are none) until the process ends, and
/// tells `gone` which do not exist any more.
pub async fn run(
    client: Client,
    namespaces: Vec<String>,
    mut store: Writer<NotionSyncBinding>,
    nudges: Arc<Nudges>,
    vitals: Arc<Vitals>,
    gone: impl Fn(&BindingRef),
) {
    let apis: Vec<Api<DeserializeGuard<NotionSyncBinding>>> = if namespaces.is_empty() {
        vec![Api::all(client)]
    } else {
        namespaces
            .iter()
            .map(|name| Api::namespaced(client.clone(), name))
            .collect()
    };
    let mut lists = Lists::new(apis.len());
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    let watches = apis.into_iter().enumerate().map(|(index, api)| {
        let events = watcher::watcher(api, config.clone()).default_backoff();
        events.map(move |event| (index, event)).boxed()
    });
    let mut events = stream::select_all(watches);
    let mut seen: HashMap<BindingRef, u64> = HashMap::new();
    let reader = store.as_reader();
    while let Some((index, event)) = events.next().await {
        vitals.beat();
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(error = %error, "the watch of bindings was interrupted");
                continue;
            }
        };
        for step in lists.merge(index, event) {
            let event = match step {
                Step::Event(event) => *event,
                Step::Gone(name) => {
                    let object = ObjectRef::new(&name.name).within(&name.namespace);
                    let Some(binding) = reader.get(&object) else {
                        continue;
                    };
                    watcher::Event::Delete((*binding).clone())
                }
            };
            store.apply_watcher_event(&event);
            // Only now: a pass that starts at once reads the object from the store, and what it
            // does not find there it would not be started for again.
            note(&event, &mut seen, &nudges);
            if let watcher::Event::Delete(binding) = &event {
                gone(&binding_ref(binding));
            }
            if matches!(event, watcher::Event::InitDone) {
                vitals.set_listed();
            }
        }
    }
}

/// One step of the merged watch.
enum Step {
    Event(Box<watcher::Event<NotionSyncBinding>>),
    /// A later list does not have this object any more.
    Gone(BindingRef),
}

/// Makes one watch of the watches of several namespaces. The store fills once, when every first
/// list is in; a later list of one namespace must not empty the others, so it becomes single
/// changes.
struct Lists {
    watches: Vec<Listed>,
    begun: bool,
    complete: bool,
}

#[derive(Default)]
struct Listed {
    done: bool,
    known: HashSet<BindingRef>,
    listing: HashSet<BindingRef>,
}

impl Lists {
    fn new(count: usize) -> Self {
        let watches = (0..count).map(|_| Listed::default()).collect();
        Self {
            watches,
            begun: false,
            complete: false,
        }
    }

    fn merge(
        &mut self,
        index: usize,
        event: watcher::Event<DeserializeGuard<NotionSyncBinding>>,
    ) -> Vec<Step> {
        use watcher::Event;
        let watch = &mut self.watches[index];
        match event {
            Event::Init => {
                watch.listing.clear();
                let first = !std::mem::replace(&mut self.begun, true);
                first
                    .then_some(Step::Event(Box::new(Event::Init)))
                    .into_iter()
                    .collect()
            }
            Event::InitApply(object) => {
                let Some(object) = readable(object) else {
                    return Vec::new();
                };
                watch.listing.insert(binding_ref(&object));
                let event = if self.complete {
                    Event::Apply(object)
                } else {
                    Event::InitApply(object)
                };
                vec![Step::Event(Box::new(event))]
            }
            Event::InitDone => {
                watch.done = true;
                let listing = std::mem::take(&mut watch.listing);
                let before = std::mem::replace(&mut watch.known, listing);
                let gone = before.difference(&watch.known).cloned().map(Step::Gone);
                let mut steps: Vec<Step> = gone.collect();
                if !self.complete && self.watches.iter().all(|watch| watch.done) {
                    self.complete = true;
                    steps.push(Step::Event(Box::new(Event::InitDone)));
                }
                steps
            }
            Event::Apply(object) => {
                let Some(object) = readable(object) else {
                    return Vec::new();
                };
                watch.known.insert(binding_ref(&object));
                vec![Step::Event(Box::new(Event::Apply(object)))]
            }
            Event::Delete(object) => {
                let Some(object) = readable(object) else {
                    return Vec::new();
                };
                watch.known.remove(&binding_ref(&object));
                vec![Step::Event(Box::new(Event::Delete(object)))]
            }
        }
    }
}

/// An object that this version cannot read is left out, and every other is served.
fn readable(object: DeserializeGuard<NotionSyncBinding>) -> Option<NotionSyncBinding> {
    match object.0 {
        Ok(mut binding) => {
            // Half of an object's bytes, and nobody here reads them.
            binding.managed_fields_mut().clear();
            Some(binding)
        }
        Err(error) => {
            tracing::error!(binding.name = error.metadata.name.as_deref().unwrap_or_default(),
                binding.namespace = error.metadata.namespace.as_deref().unwrap_or_default(),
                error = %error, "a binding cannot be read by this version");
            None
        }
    }
}

/// Starts a pass where a person changed something; our own status writes are not such a change.
fn note(
    event: &watcher::Event<NotionSyncBinding>,
    seen: &mut HashMap<BindingRef, u64>,
    nudges: &Nudges,
) {
    use watcher::Event;
    match event {
        Event::Apply(binding) | Event::InitApply(binding) => {
            let name = binding_ref(binding);
            let hash = trigger_hash(binding);
            if seen.insert(name.clone(), hash) != Some(hash) {
                nudges.start(&name);
            }
        }
        Event::Delete(binding) => {
            let name = binding_ref(binding);
            seen.remove(&name);
            nudges.start(&name);
            nudges.forget(&name);
        }
        Event::Init | Event::InitDone => {}
    }
}

/// What a person can change: spec, deletion, and the annotations of ours. Status is not part of it,
/// or every status write would start a pass.
fn trigger_hash(binding: &NotionSyncBinding) -> u64 {
    let mut hasher = DefaultHasher::new();
    (binding.uid(), binding.metadata.generation).hash(&mut hasher);
    binding
        .metadata
        .deletion_timestamp
        .is_some()
        .hash(&mut hasher);
    for key in [
        annotations::REQUESTED_AT,
        annotations::FULL_SCAN_REQUESTED_AT,
        annotations::REPIN,
        annotations::RESOLVE,
        annotations::TAKE_OVER,
    ] {
        binding.annotation(key).hash(&mut hasher);
    }
    hasher.finish()
}

/// Namespace and name of a binding.
pub fn binding_ref(binding: &NotionSyncBinding) -> BindingRef {
    BindingRef {
        namespace: binding.namespace().unwrap_or_default(),
        name: binding.name_any(),
    }
}
