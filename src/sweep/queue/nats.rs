//! The queue of a sweep on many machines: NATS JetStream. The server hands out leases, runs them out, and holds every
//! registry to its number of readers; here is only what is asked of it. What is on the bus is listed in SECURITY.md: no login
//! and no secret.
//!
//! One stream has layers, a subject each, so that none is there twice; one has outcomes; one keeps the server's notes of
//! layers that were given up. A bucket of keys has the routes of a sweep, who coordinates it, and which registries asked to
//! be left alone. Outcomes that are too large for a message are objects.
//!
//! There are no classes of layers by size: whoever reads one needs the same memory for it, however large it is.

mod connection;
mod names;

use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::object_store::{self, ObjectMetadata, ObjectStore};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{AckKind, Context, Message};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Runtime;

use crate::oci::Digest;
use crate::text::secret::Sealer;

use super::super::hosts::Hosts;
use super::super::job::{Job, Loss, Outcome, Verdict};
use super::super::terms::Terms;
use super::{Delivery, LayerQueue, Lease, Put, QueueError};
use names::{BIG, CONTROL, DIGEST, GIVEN_UP, JOBS, OBJECT, OUTCOMES};

pub use connection::{QueueLogin, QueueOptions};

/// Layers that wait at a time. The state has the others.
const ROOM: usize = 10_000;

/// Workers that are tried with a layer that others could not have.
const TRIES: u32 = 3;

/// 256 MiB: outcomes that wait for a sweep that is not there. Workers that have more wait with them.
const OUTCOMES_BYTES: i64 = 256 << 20;

/// 512 KiB: outcomes above it are objects. A server may allow less.
const MESSAGE_BYTES: usize = 512 << 10;

/// 1 GiB: an outcome is read no further.
const OBJECT_BYTES: u64 = 1 << 30;

/// Outcomes that are fetched at a time.
const FETCHED: usize = 32;

/// Time for one answer of the server.
const ANSWER: Duration = Duration::from_secs(5);

/// The time in which a repeated outcome is known to be one. Later it is entered again, which changes nothing.
const REPEATED: Duration = Duration::from_secs(120);

/// How long the notes of layers that were given up are kept.
const GIVEN_UP_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The time between two tries of what the server did not take.
const AGAIN: Duration = Duration::from_millis(500);

/// A queue on a NATS server.
pub(in super::super) struct Nats {
    // Before the runtime: what it holds is let go while that still runs.
    context: Context,
    runtime: Arc<Runtime>,
    options: QueueOptions,
    terms: Terms,
    /// The terms in one word: what others work on is not taken.
    token: String,
    sealer: Sealer,
    cancelled: Arc<AtomicBool>,
    closed: AtomicBool,
    coordinator: Option<Coordinator>,
    routes: Mutex<Vec<Route>>,
    /// Registries that asked to be left alone.
    held: Mutex<HashSet<String>>,
    /// Pauses that were told or heard, by registry and host.
    pauses: Mutex<HashMap<(String, String), Instant>>,
    consumers: Mutex<HashMap<String, PullConsumer>>,
    next: AtomicUsize,
    busy: AtomicUsize,
    last: Mutex<Instant>,
    layers: AtomicU64,
}

/// What only the one who coordinates knows.
struct Coordinator {
    hosts: Vec<String>,
    parallel: usize,
    /// Its name among those who might.
    id: String,
    state: Mutex<Coordinating>,
}

struct Coordinating {
    /// The revision of the key by which it leads.
    leads: u64,
    renewed: Instant,
    prepared: Instant,
    outcomes: PullConsumer,
    given_up: PullConsumer,
    fetched: VecDeque<Message>,
    looked: Instant,
}

/// Where layers of a registry are taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Route {
    host: String,
    consumer: String,
    /// In milliseconds.
    lease: u64,
}

/// A registry that asked to be left alone, as the others are told.
#[derive(Serialize, Deserialize)]
struct Pause {
    /// For each host of it: until when, in milliseconds since 1970, and for how long that was.
    hosts: HashMap<String, (u64, u64)>,
}

type Result<T> = std::result::Result<T, QueueError>;

impl Nats {
    /// Joins as one who reads layers.
    ///
    /// *Errors*: where the server cannot be reached, or does not let one in.
    pub(in super::super) fn join(
        options: QueueOptions,
        terms: Terms,
        sealer: Sealer,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self> {
        let runtime = connection::runtime(&options)?;
        let context = runtime.block_on(connection::connect(&options))?;
        Ok(Self {
            context,
            runtime,
            token: terms.token(),
            terms,
            sealer,
            cancelled,
            closed: AtomicBool::new(false),
            coordinator: None,
            routes: Mutex::default(),
            held: Mutex::default(),
            pauses: Mutex::default(),
            consumers: Mutex::default(),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
            layers: AtomicU64::new(0),
            options,
        })
    }

    /// Joins as the one who puts layers of these registries and enters outcomes, so many at a time of each.
    ///
    /// *Errors*: where somebody else does so for a sweep with the same key and rules; and those of [`Nats::join`].
    pub(in super::super) fn lead(
        options: QueueOptions,
        terms: Terms,
        sealer: Sealer,
        cancelled: Arc<AtomicBool>,
        hosts: Vec<String>,
        parallel: usize,
    ) -> Result<Self> {
        let mut queue = Self::join(options, terms, sealer, cancelled)?;
        let id = names::unique();
        let runtime = Arc::clone(&queue.runtime);
        let (leads, outcomes, given_up) = runtime.block_on(async {
            queue.make_streams().await?;
            let leads = queue.take_the_lead(&id).await?;
            let (outcomes, given_up) = queue.make_consumers(&hosts, parallel).await?;
            Ok::<_, QueueError>((leads, outcomes, given_up))
        })?;
        let now = Instant::now();
        queue.coordinator = Some(Coordinator {
            hosts,
            parallel,
            id,
            state: Mutex::new(Coordinating {
                leads,
                renewed: now,
                prepared: now,
                outcomes,
                given_up,
                fetched: VecDeque::new(),
                looked: now,
            }),
        });
        Ok(queue)
    }

    fn wrong(&self, why: impl ToString) -> QueueError {
        QueueError::Server {
            server: connection::shown(&self.options.server),
            why: why.to_string(),
        }
    }

    fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    async fn keys(&self) -> Result<Store> {
        let keys = self.context.get_key_value(CONTROL).await;
        keys.map_err(|error| self.wrong(format!("its keys: {error}")))
    }

    async fn objects(&self) -> Result<ObjectStore> {
        let objects = self.context.get_object_store(BIG).await;
        objects.map_err(|error| self.wrong(format!("its objects: {error}")))
    }

    /// Makes the streams that are missing.
    async fn make_streams(&self) -> Result<()> {
        let file = |name: &str, subjects: Vec<String>| stream::Config {
            name: name.to_owned(),
            subjects,
            storage: StorageType::File,
            num_replicas: self.options.replicas,
            ..stream::Config::default()
        };
        let jobs = stream::Config {
            retention: RetentionPolicy::WorkQueue,
            // A subject is a layer: who puts it twice is refused.
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            ..file(JOBS, vec![names::all_jobs()])
        };
        let outcomes = stream::Config {
            retention: RetentionPolicy::WorkQueue,
            max_bytes: OUTCOMES_BYTES,
            discard: DiscardPolicy::New,
            duplicate_window: REPEATED,
            ..file(OUTCOMES, vec![names::all_outcomes()])
        };
        let given_up = stream::Config {
            max_age: GIVEN_UP_AGE,
            ..file(GIVEN_UP, vec![names::given_up()])
        };
        // As clients make a bucket of keys, but for asking for the account, which servers before 2.10 answer otherwise.
        let keys = stream::Config {
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..file(&format!("KV_{CONTROL}"), vec![format!("$KV.{CONTROL}.>")])
        };
        for config in [jobs, outcomes, given_up, keys] {
            let name = config.name.clone();
            if self.context.get_stream(&name).await.is_ok() {
                continue;
            }
            let made = self.context.create_stream(config).await;
            made.map_err(|error| self.wrong(format!("cannot make the stream `{name}`: {error}")))?;
        }
        if self.context.get_object_store(BIG).await.is_err() {
            let config = object_store::Config {
                bucket: BIG.to_owned(),
                storage: StorageType::File,
                num_replicas: self.options.replicas,
                ..object_store::Config::default()
            };
            let made = self.context.create_object_store(config).await;
            made.map_err(|error| self.wrong(format!("cannot make the objects: {error}")))?;
        }
        Ok(())
    }

    /// Makes what layers are taken from, one for each registry, and tells the workers.
    async fn make_consumers(
        &self,
        hosts: &[String],
        parallel: usize,
    ) -> Result<(PullConsumer, PullConsumer)> {
        let lease = self.options.lease;
        let make = async |stream: &str, name: String, config: pull::Config| {
            let config = pull::Config {
                durable_name: Some(name.clone()),
                ack_policy: AckPolicy::Explicit,
                ack_wait: lease,
                ..config
            };
            let made: std::result::Result<PullConsumer, _> =
                self.context.create_consumer_on_stream(config, stream).await;
            made.map_err(|error| self.wrong(format!("cannot make the consumer `{name}`: {error}")))
        };
        let mut routes = Vec::new();
        for host in hosts {
            let route = Route {
                host: host.clone(),
                consumer: names::worker(&self.token, host),
                lease: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            };
            let config = pull::Config {
                filter_subject: names::jobs(&self.token, host),
                max_deliver: i64::from(self.options.deaths.max(1)),
                max_ack_pending: i64::try_from(parallel.max(1)).unwrap_or(i64::MAX),
                ..pull::Config::default()
            };
            make(JOBS, route.consumer.clone(), config).await?;
            routes.push(route);
        }
        let outcomes = pull::Config {
            filter_subject: names::outcomes(&self.token),
            ..pull::Config::default()
        };
        let outcomes = make(OUTCOMES, names::collector(&self.token), outcomes).await?;
        let given_up = make(GIVEN_UP, names::collector(&self.token), pull::Config::default()).await?;
        let told = serde_json::to_vec(&routes).map_err(|error| self.wrong(error))?;
        let put = self
            .keys()
            .await?
            .put(names::routes(&self.token), told.into())
            .await;
        put.map_err(|error| self.wrong(format!("cannot tell the workers: {error}")))?;
        *lock(&self.routes) = routes;
        Ok((outcomes, given_up))
    }

    /// Becomes the one who coordinates. Goes by no clock but that of this machine: whoever renews its key while it is
    /// looked at is there.
    async fn take_the_lead(&self, id: &str) -> Result<u64> {
        let keys = self.keys().await?;
        let key = names::leader(&self.token);
        let wrong = |error: &dyn std::fmt::Display| self.wrong(format!("cannot take the lead: {error}"));
        let id = id.to_owned();
        loop {
            let there = keys.entry(&key).await.map_err(|error| wrong(&error))?;
            let Some(there) = there.filter(|entry| entry.operation == Operation::Put) else {
                let created = keys.create(&key, id.clone().into()).await;
                return created.map_err(|error| wrong(&error));
            };
            let until = Instant::now() + self.options.lease;
            while Instant::now() < until {
                if self.is_over() {
                    return Err(self.wrong("it was ended while it waited for another sweep to be gone"));
                }
                tokio::time::sleep(AGAIN.min(self.options.lease)).await;
            }
            let now = keys.entry(&key).await.map_err(|error| wrong(&error))?;
            match now {
                Some(now) if now.operation != Operation::Put => {}
                None => {}
                Some(now) if now.revision != there.revision => {
                    return Err(self.wrong("another sweep with the same key and rules is using it"));
                }
                Some(_) => {
                    let taken = keys.update(&key, id.clone().into(), there.revision).await;
                    return taken.map_err(|error| wrong(&error));
                }
            }
        }
    }

    /// Stays the one who coordinates, and makes again what the server has lost.
    fn stay(&self, coordinator: &Coordinator, state: &mut Coordinating) -> Result<()> {
        if state.renewed.elapsed() < self.options.lease / 3 {
            return Ok(());
        }
        self.runtime.block_on(async {
            let key = names::leader(&self.token);
            let id = || coordinator.id.clone().into();
            let Ok(keys) = self.keys().await else {
                self.repair(coordinator, state).await;
                return Ok(());
            };
            match keys.update(&key, id(), state.leads).await {
                Ok(leads) => {
                    state.leads = leads;
                    state.renewed = Instant::now();
                }
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    // Renewed, and the answer was lost; or the server has lost the key; or somebody else has it.
                    match keys.entry(&key).await {
                        Ok(Some(entry))
                            if entry.operation == Operation::Put
                                && entry.value != coordinator.id.as_bytes() =>
                        {
                            return Err(self.wrong("another sweep with the same key and rules took it over"));
                        }
                        Ok(Some(entry)) => state.leads = entry.revision,
                        Ok(None) => {
                            if let Ok(leads) = keys.create(&key, id()).await {
                                state.leads = leads;
                            }
                            self.repair(coordinator, state).await;
                        }
                        Err(_) => {}
                    }
                }
                Err(_) => self.repair(coordinator, state).await,
            }
            Ok(())
        })
    }

    /// Makes streams and consumers again, where the server may have lost them. What was in them is in the state.
    async fn repair(&self, coordinator: &Coordinator, state: &mut Coordinating) {
        if state.prepared.elapsed() < AGAIN {
            return;
        }
        state.prepared = Instant::now();
        let made = async {
            self.make_streams().await?;
            self.make_consumers(&coordinator.hosts, coordinator.parallel)
                .await
        };
        match tokio::time::timeout(ANSWER * 4, made).await {
            Ok(Ok((outcomes, given_up))) => {
                state.outcomes = outcomes;
                state.given_up = given_up;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the queue does not answer"),
            Err(_) => tracing::warn!("the queue does not answer in time"),
        }
    }

    /// A layer of the server's note that nobody will get it any more.
    async fn given_up(&self, note: &Message) -> Option<Outcome> {
        #[derive(Deserialize)]
        struct Note {
            consumer: String,
            stream_seq: u64,
            deliveries: u32,
        }
        let note: Note = serde_json::from_slice(&note.payload).ok()?;
        let ours = lock(&self.routes)
            .iter()
            .any(|route| route.consumer == note.consumer);
        if !ours {
            return None;
        }
        let stream = self.context.get_stream_no_info(JOBS).await.ok()?;
        let message = stream.get_raw_message(note.stream_seq).await.ok()?;
        let job: Job = serde_json::from_slice(&message.payload).ok()?;
        stream.delete_message(note.stream_seq).await.ok()?;
        Some(Outcome {
            digest: job.digest,
            verdict: Verdict::Lost(Loss::poisoned(note.deliveries)),
        })
    }

    /// The outcome of a message, wherever its bytes are.
    async fn received(&self, message: &Message) -> std::result::Result<Outcome, String> {
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            headers.get(name).map(|value| value.as_str().to_owned())
        };
        let bytes = match header(OBJECT) {
            None => message.payload.to_vec(),
            Some(object) => {
                let objects = self.objects().await.map_err(|error| error.to_string())?;
                let read = objects.get(&object).await.map_err(|error| error.to_string())?;
                let mut bytes = Vec::new();
                let mut read = read.take(OBJECT_BYTES);
                let whole = read.read_to_end(&mut bytes).await;
                whole.map_err(|error| error.to_string())?;
                bytes
            }
        };
        Outcome::from_bytes(&bytes, &self.terms, &self.sealer).map_err(|error| error.to_string())
    }

    /// Publishes an outcome, large ones as objects. `id` is that of the layer's message: what is published twice for it is
    /// known by that.
    async fn publish(&self, outcome: &Outcome, id: u64) -> Result<()> {
        let digest = outcome.digest.as_str();
        let mut bytes = outcome.to_bytes(&self.terms);
        let most = MESSAGE_BYTES.min(self.context.client().server_info().max_payload / 4 * 3);
        let mut message = PublishMessage::build()
            .message_id(format!("{}.{id}.{digest}", self.token))
            .header(DIGEST, digest);
        if bytes.len() > most {
            let name = format!("{}.{}", self.token, names::of_digest(digest));
            let meta = ObjectMetadata {
                name: name.clone(),
                chunk_size: Some(most.min(128 << 10)),
                ..ObjectMetadata::default()
            };
            let put = self.objects().await?.put(meta, &mut bytes.as_slice()).await;
            put.map_err(|error| self.wrong(format!("cannot put an object: {error}")))?;
            message = message.header(OBJECT, name.as_str());
            bytes.clear();
        }
        let subject = names::outcome(&self.token, digest);
        let sent = self
            .context
            .send_publish(subject, message.payload(bytes.into()))
            .await;
        let sent = sent.map_err(|error| self.wrong(error))?;
        sent.await.map_err(|error| self.wrong(error))?;
        Ok(())
    }

    /// Fetches what is there, and where nothing is, what comes within `patience`.
    async fn fetch(
        &self,
        consumer: &PullConsumer,
        most: usize,
        patience: Option<Duration>,
    ) -> std::result::Result<Vec<Message>, String> {
        let fetched = async {
            let batch = match patience {
                None => consumer.fetch().max_messages(most).messages().await,
                Some(patience) => {
                    consumer
                        .batch()
                        .max_messages(1)
                        .expires(patience)
                        .messages()
                        .await
                }
            };
            let mut batch = batch.map_err(|error| error.to_string())?;
            let mut messages = Vec::new();
            while let Some(message) = batch.next().await {
                match message {
                    Ok(message) => messages.push(message),
                    Err(error) if messages.is_empty() => return Err(error.to_string()),
                    Err(_) => break,
                }
            }
            Ok(messages)
        };
        let time = ANSWER + patience.unwrap_or_default();
        match tokio::time::timeout(time, fetched).await {
            Ok(fetched) => fetched,
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    /// Learns where layers are to be had, and what others were asked to leave alone; tells what this process was asked. To
    /// be called a few times a second by who reads layers.
    pub(in super::super) fn exchange(&self, hosts: &Hosts) {
        let connected = self
            .runtime
            .block_on(async { tokio::time::timeout(ANSWER, self.keys()).await });
        let Ok(Ok(keys)) = connected else { return };
        let told = |key: &str| {
            let told = self
                .runtime
                .block_on(async { tokio::time::timeout(ANSWER, keys.get(key)).await });
            told.ok()?.ok()?
        };
        // None, where the sweep came to its end.
        let routes = told(&names::routes(&self.token));
        let routes = routes.and_then(|routes| serde_json::from_slice::<Vec<Route>>(&routes).ok());
        let routes = routes.unwrap_or_default();
        lock(&self.routes).clone_from(&routes);
        for Route { host: name, .. } in &routes {
            let Ok(host) = hosts.host(name) else { continue };
            let key = names::pause(name);
            let paused = told(&key).and_then(|paused| serde_json::from_slice(&paused).ok());
            if let Some(Pause { hosts: paused }) = paused {
                for (of_registry, (until, time)) in paused {
                    let left = left_of(until, time, milliseconds());
                    if !left.is_zero() && self.is_news(name, &of_registry, left) {
                        host.session.hold_back(&of_registry, left);
                    }
                }
            }
            let mut paused = HashMap::new();
            let mut news = false;
            for (of_registry, left) in host.session.held_back() {
                news |= self.is_news(name, &of_registry, left);
                let time = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                paused.insert(of_registry, (milliseconds().saturating_add(time), time));
            }
            match paused.is_empty() {
                true => _ = lock(&self.held).remove(name),
                false => _ = lock(&self.held).insert(name.clone()),
            }
            if !news {
                continue;
            }
            let Ok(pause) = serde_json::to_vec(&Pause { hosts: paused }) else {
                continue;
            };
            let put = self
                .runtime
                .block_on(async { tokio::time::timeout(ANSWER, keys.put(key.as_str(), pause.into())).await });
            if !matches!(put, Ok(Ok(_))) {
                tracing::warn!("cannot tell the other workers to wait");
            }
        }
    }

    /// Whether a pause is longer than was known.
    fn is_news(&self, registry: &str, host: &str, left: Duration) -> bool {
        let until = Instant::now() + left;
        let mut pauses = lock(&self.pauses);
        let known = pauses.entry((registry.to_owned(), host.to_owned()));
        let mut is_news = false;
        let known = known.or_insert_with(|| {
            is_news = true;
            until
        });
        if until > *known + AGAIN {
            *known = until;
            is_news = true;
        }
        is_news
    }

    /// The time for which there was nothing to read.
    pub(in super::super) fn idle(&self) -> Duration {
        match self.busy.load(Ordering::Relaxed) {
            0 => lock(&self.last).elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// The layers that were read by this process.
    pub(in super::super) fn layers(&self) -> u64 {
        self.layers.load(Ordering::Relaxed)
    }

    async fn consumer(&self, name: &str) -> Option<PullConsumer> {
        let known = lock(&self.consumers).get(name).cloned();
        if known.is_some() {
            return known;
        }
        let asked = self.context.get_consumer_from_stream(name, JOBS);
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(consumer)) => {
                let consumer: PullConsumer = consumer;
                lock(&self.consumers).insert(name.to_owned(), consumer.clone());
                Some(consumer)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "no consumer");
                None
            }
            Err(_) => None,
        }
    }

    /// A layer of any registry that was not asked to be left alone, and for how long it is lent.
    async fn take_one(&self) -> Option<(Message, Duration)> {
        let routes = lock(&self.routes).clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for nth in 0..routes.len() {
            let route = &routes[(first + nth) % routes.len()];
            if lock(&self.held).contains(&route.host) {
                continue;
            }
            let Some(consumer) = self.consumer(&route.consumer).await else {
                continue;
            };
            match self.fetch(&consumer, 1, None).await {
                Ok(messages) => {
                    if let Some(message) = messages.into_iter().next() {
                        return Some((message, Duration::from_millis(route.lease)));
                    }
                }
                Err(error) => tracing::debug!(error, "nothing was fetched"),
            }
        }
        None
    }

    async fn put_one(&self, job: &Job) -> Result<Put> {
        let subject = names::job(&self.token, job.host(), job.digest.as_str());
        let bytes = serde_json::to_vec(job).map_err(|error| self.wrong(error))?;
        let sent = match self.context.publish(subject, bytes.into()).await {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(_) => Ok(Put::Accepted),
            Err(error) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                match format!("{error} {cause}").contains("per subject") {
                    true => Ok(Put::AlreadyThere),
                    false => Err(self.wrong(error)),
                }
            }
        }
    }
}

impl LayerQueue for Nats {
    fn put(&self, job: &Job) -> Result<Put> {
        loop {
            match self.runtime.block_on(self.put_one(job)) {
                Ok(put) => return Ok(put),
                Err(error) => {
                    tracing::warn!(%error, "a layer could not be put");
                    if self.is_over() {
                        return Ok(Put::AlreadyThere);
                    }
                    std::thread::sleep(AGAIN);
                    if let Some(coordinator) = &self.coordinator {
                        let mut state = lock(&coordinator.state);
                        self.stay(coordinator, &mut state)?;
                        self.runtime.block_on(self.repair(coordinator, &mut state));
                    }
                }
            }
        }
    }

    fn take(&self, patience: Duration) -> Result<Option<Box<dyn Lease + '_>>> {
        let Some((message, lease)) = self.runtime.block_on(self.take_one()) else {
            std::thread::sleep(patience);
            return Ok(None);
        };
        let Ok(job) = serde_json::from_slice::<Job>(&message.payload) else {
            // Nobody could read it. Whoever put it will see it given up.
            tracing::warn!("a message is no layer");
            return Ok(None);
        };
        let id = message.info().map_or(0, |info| info.stream_sequence);
        self.busy.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Box::new(Taken {
            queue: self,
            job,
            message,
            id,
            lease,
        })))
    }

    fn outcome(&self, patience: Duration) -> Result<Option<Box<dyn Delivery + '_>>> {
        let Some(coordinator) = &self.coordinator else {
            return Ok(None);
        };
        let mut state = lock(&coordinator.state);
        let state = &mut *state;
        self.stay(coordinator, state)?;
        if state.fetched.is_empty() {
            let fetched = self.runtime.block_on(async {
                let there = self.fetch(&state.outcomes, FETCHED, None).await?;
                match there.is_empty() {
                    true => self.fetch(&state.outcomes, 1, Some(patience)).await,
                    false => Ok(there),
                }
            });
            match fetched {
                Ok(messages) => state.fetched.extend(messages),
                Err(error) => {
                    tracing::debug!(error, "no outcomes were fetched");
                    self.runtime.block_on(self.repair(coordinator, state));
                    std::thread::sleep(patience);
                }
            }
        }
        if let Some(message) = state.fetched.pop_front() {
            let received = self.runtime.block_on(self.received(&message));
            let outcome = match received {
                Ok(outcome) => outcome,
                Err(why) => {
                    let headers = message.headers.as_ref();
                    let digest = headers.and_then(|headers| headers.get(DIGEST));
                    tracing::warn!(why, "an outcome cannot be used");
                    match digest.and_then(|digest| Digest::parse(digest.as_str()).ok()) {
                        Some(digest) => Outcome {
                            digest,
                            verdict: Verdict::Lost(Loss {
                                passing: true,
                                ..Loss::lasting("damaged", &format!("what a worker sent: {why}"))
                            }),
                        },
                        None => {
                            let _ = self.runtime.block_on(message.ack());
                            return Ok(None);
                        }
                    }
                }
            };
            return Ok(Some(Box::new(Held {
                queue: self,
                outcome,
                message,
            })));
        }
        if state.looked.elapsed() < AGAIN {
            return Ok(None);
        }
        state.looked = Instant::now();
        let given_up = self.runtime.block_on(async {
            let notes = self.fetch(&state.given_up, 1, None).await.ok()?;
            let note = notes.into_iter().next()?;
            match self.given_up(&note).await {
                Some(outcome) => Some((outcome, note)),
                None => {
                    let _ = note.ack().await;
                    None
                }
            }
        });
        Ok(given_up.map(|(outcome, message)| {
            let held = Held {
                queue: self,
                outcome,
                message,
            };
            Box::new(held) as Box<dyn Delivery>
        }))
    }

    fn room(&self) -> usize {
        ROOM
    }

    fn tries(&self) -> u32 {
        TRIES
    }

    fn horizon(&self) -> Option<Duration> {
        Some(self.options.lease * 2)
    }

    /// Where all layers came back, nothing of the sweep is left on the server. Otherwise workers go on, and the sweep finds
    /// what they did when it goes on itself.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let Some(coordinator) = &self.coordinator else {
            return;
        };
        let is_over = self.is_over();
        let cleared = self.runtime.block_on(async {
            let keys = self.keys().await?;
            let leader = keys.get(names::leader(&self.token)).await;
            let leader = leader.map_err(|error| self.wrong(error))?;
            if leader.is_none_or(|leader| leader != coordinator.id.as_bytes()) {
                // It is somebody else's by now.
                return Ok(());
            }
            if !is_over {
                let _ = keys.delete(names::routes(&self.token)).await;
                for host in &coordinator.hosts {
                    let stream = self.context.get_stream_no_info(JOBS).await;
                    let stream = stream.map_err(|error| self.wrong(error))?;
                    let _ = stream.purge().filter(names::jobs(&self.token, host)).await;
                    let _ = stream.delete_consumer(&names::worker(&self.token, host)).await;
                }
            }
            let deleted = keys.delete(names::leader(&self.token)).await;
            deleted.map_err(|error| self.wrong(error))
        });
        if let Err(error) = cleared {
            tracing::warn!(%error, "the queue was not cleared");
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

struct Taken<'q> {
    queue: &'q Nats,
    job: Job,
    message: Message,
    /// The number of its message: another one each time it is put.
    id: u64,
    lease: Duration,
}

impl Lease for Taken<'_> {
    fn job(&self) -> &Job {
        &self.job
    }

    fn beat(&self) -> Option<Duration> {
        Some(self.lease / 3)
    }

    fn progress(&self) {
        let told = self.message.ack_with(AckKind::Progress);
        if let Err(error) = self.queue.runtime.block_on(told) {
            tracing::debug!(%error, "a lease could not be held");
        }
    }

    fn finish(self: Box<Self>, verdict: Verdict) -> Result<()> {
        let queue = self.queue;
        let was_read = matches!(verdict, Verdict::Read(_));
        let outcome = Outcome {
            digest: self.job.digest.clone(),
            verdict,
        };
        while let Err(error) = queue.runtime.block_on(queue.publish(&outcome, self.id)) {
            tracing::warn!(%error, "an outcome could not be handed over");
            if queue.is_over() {
                return Ok(());
            }
            self.progress();
            std::thread::sleep(AGAIN);
        }
        queue.layers.fetch_add(u64::from(was_read), Ordering::Relaxed);
        // Lost, it is read again, which changes nothing.
        if let Err(error) = queue.runtime.block_on(self.message.double_ack()) {
            tracing::debug!(%error, "a lease could not be ended");
        }
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.queue.busy.fetch_sub(1, Ordering::Relaxed);
        *lock(&self.queue.last) = Instant::now();
    }
}

struct Held<'q> {
    queue: &'q Nats,
    outcome: Outcome,
    message: Message,
}

impl Delivery for Held<'_> {
    fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    fn settle(self: Box<Self>) -> Result<()> {
        let queue = self.queue;
        queue.runtime.block_on(async {
            // Not heard, it comes again, and is known by then.
            let _ = self.message.double_ack().await;
            let headers = self.message.headers.as_ref();
            if let Some(object) = headers.and_then(|headers| headers.get(OBJECT))
                && let Ok(objects) = queue.objects().await
            {
                let _ = objects.delete(object.as_str()).await;
            }
        });
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a pause goes on that ends at `until` by the clock of who asked for it and was asked for `time`, where this
/// machine's clock says `now`. A clock that is wrong makes it shorter, and never longer than it was asked for.
fn left_of(until: u64, time: u64, now: u64) -> Duration {
    Duration::from_millis(until.saturating_sub(now).min(time))
}

/// Milliseconds since 1970.
fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_makes_a_pause_no_longer_than_was_asked_for() {
        let hour = 3_600_000;
        for (now, left) in [
            (1_000_000, 4_000),
            (1_003_000, 1_000),
            (1_004_000, 0),
            // Back by an hour, and on by one.
            (1_000_000_u64.saturating_sub(hour), 4_000),
            (1_000_000 + hour, 0),
        ] {
            assert_eq!(
                left_of(1_004_000, 4_000, now),
                Duration::from_millis(left),
                "{now}"
            );
        }
        assert_eq!(left_of(u64::MAX, 5, 0), Duration::from_millis(5));
    }
}
