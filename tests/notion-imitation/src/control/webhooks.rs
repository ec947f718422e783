//! Controls of webhooks: subscriptions, handshakes, deliveries, and events sent by hand.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::control::{ControlError, ControlResult, Controls};
use crate::sync::lock;
use crate::webhook::dialects;
use crate::webhook::post::{Post, PostReply, send};
use crate::webhook::subscription::{Subscription, SubscriptionInfo};
use crate::webhook::worker::DeliveryRecord;

impl Controls {
    /// Creates a subscription. From now on changes are delivered, if it is active.
    pub fn subscribe(&self, subscription: Subscription) -> ControlResult<SubscriptionInfo> {
        let courier = &self.shared.courier;
        let id = self
            .shared
            .with(|world| courier.subscribe(world, subscription))
            .ok_or_else(|| ControlError::new("no such connection"))?;
        self.subscription(id)
    }

    /// A subscription.
    pub fn subscription(&self, id: Uuid) -> ControlResult<SubscriptionInfo> {
        let found = self.shared.courier.get(id);
        found
            .map(|subscriber| subscriber.info())
            .ok_or_else(|| ControlError::new(format!("no subscription {id}")))
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> Vec<SubscriptionInfo> {
        self.shared.courier.all()
    }

    /// Changes a subscription. What already waits keeps its time.
    pub fn change_subscription(
        &self,
        id: Uuid,
        change: impl FnOnce(&mut Subscription),
    ) -> ControlResult<()> {
        let subscriber = self
            .shared
            .courier
            .get(id)
            .ok_or_else(|| ControlError::new(format!("no subscription {id}")))?;
        change(&mut lock(&subscriber.spec));
        Ok(())
    }

    /// Ends a subscription; what waits is never sent.
    pub fn unsubscribe(&self, id: Uuid) -> ControlResult<()> {
        if self.shared.courier.unsubscribe(id) {
            Ok(())
        } else {
            Err(ControlError::new(format!("no subscription {id}")))
        }
    }

    /// Posts the verification token to the subscription's URL, signed with itself, as Notion does
    /// when a subscription is created and on "Resend token".
    pub async fn handshake(&self, id: Uuid) -> ControlResult<PostReply> {
        let info = self.subscription(id)?;
        let token = info.verification_token;
        self.send(&Post {
            url: info.subscription.url,
            json: Some(json!({"verification_token": token})),
            sign_with: Some(token),
            headers: info.subscription.headers.into_iter().collect(),
            ..Post::default()
        })
        .await
    }

    /// Pastes a token into the form: makes the subscription active if it is the right one.
    pub fn verify(&self, id: Uuid, verification_token: &str) -> ControlResult<bool> {
        let right = self.subscription(id)?.verification_token == verification_token;
        if right {
            self.change_subscription(id, |subscription| subscription.active = true)?;
        }
        Ok(right)
    }

    /// Everything that was sent, or that a switch prevented.
    pub fn deliveries(&self) -> Vec<DeliveryRecord> {
        lock(&self.shared.courier.log).clone()
    }

    /// Empties the log of deliveries.
    pub fn reset_deliveries(&self) {
        lock(&self.shared.courier.log).clear();
    }

    /// Waits until nothing waits to be delivered; false if that took too long.
    pub async fn delivered(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while Instant::now() < until {
            if self.shared.courier.is_idle() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// Sends any body with any headers, and gives the receiver's answer.
    pub async fn send(&self, post: &Post) -> ControlResult<PostReply> {
        send(&self.shared.courier.client, post)
            .await
            .map_err(|error| ControlError::new(format!("{error:#}")))
    }

    /// A real envelope about a page or data source, made up: `updated` are property ids.
    pub fn event(&self, kind: &str, entity: impl Into<Uuid>, updated: &[String]) -> Json {
        let entity = entity.into();
        self.shared
            .with(|world| match world.first_connection().cloned() {
                Some(connection) => dialects::envelope(world, &connection, kind, entity, updated),
                None => Json::Null,
            })
    }

    /// The legacy dialect's event about a page, with its present values.
    pub fn legacy_event(&self, page: Uuid) -> Json {
        self.shared.with(|world| match world.first_connection() {
            Some(connection) => dialects::legacy(world, connection, page),
            None => Json::Null,
        })
    }

    /// The legacy dialect's event about a database or data source.
    pub fn legacy_database_event(&self, id: impl Into<Uuid>) -> Json {
        let id = id.into();
        self.shared
            .with(|world| dialects::legacy_database(world, id))
    }

    /// The body of an automation's "Send webhook" about a page, with its present values.
    pub fn automation_event(&self, page: Uuid, event_id: Option<Uuid>) -> Json {
        self.shared
            .with(|world| match world.first_connection().cloned() {
                Some(connection) => dialects::automation(world, &connection, page, event_id),
                None => Json::Null,
            })
    }
}
