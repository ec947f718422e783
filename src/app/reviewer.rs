//! Who may use the admin API: the static token of a file, or whoever the API server says may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use secrecy::SecretSlice;

use crate::api::{GROUP, PLURAL};
use crate::webhook::admin::ports::{Identity, ReviewError, Reviewer, Right};

/// Asks the API server, and reads the file again when it was replaced.
pub(super) struct ApiReviewer {
    client: Client,
    file: Option<PathBuf>,
    token: Mutex<Option<(SystemTime, SecretSlice<u8>)>>,
}

impl ApiReviewer {
    /// A file that does not exist means that there is no static token; it may come later.
    pub(super) fn new(client: Client, file: Option<PathBuf>) -> Self {
        Self {
            client,
            file,
            token: Mutex::default(),
        }
    }
}

fn read(path: &Path) -> std::io::Result<(SystemTime, SecretSlice<u8>)> {
    let changed = std::fs::metadata(path)?.modified()?;
    Ok((changed, std::fs::read(path)?.into()))
}

impl Reviewer for ApiReviewer {
    fn static_token(&self) -> Option<SecretSlice<u8>> {
        let path = self.file.as_deref()?;
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok();
        if changed.is_none() {
            *token = None;
        } else if changed != token.as_ref().map(|(at, _)| *at)
            && let Ok(fresh) = read(path)
        {
            *token = Some(fresh);
        }
        token.as_ref().map(|(_, token)| token.clone())
    }

    fn review_token<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>> {
        Box::pin(async move {
            let review = TokenReview {
                spec: TokenReviewSpec {
                    token: Some(token.to_owned()),
                    audiences: None,
                },
                ..TokenReview::default()
            };
            let api: Api<TokenReview> = Api::all(self.client.clone());
            let answer = api
                .create(&PostParams::default(), &review)
                .await
                .map_err(failed)?;
            let status = answer.status.unwrap_or_default();
            let user = status.user.filter(|_| status.authenticated == Some(true));
            Ok(user.map(|user| Identity {
                user: user.username.unwrap_or_default(),
                uid: user.uid.unwrap_or_default(),
                groups: user.groups.unwrap_or_default(),
                extra: user.extra.unwrap_or_default(),
            }))
        })
    }

    fn may<'a>(
        &'a self,
        identity: &'a Identity,
        namespace: &'a str,
        right: Right,
    ) -> BoxFuture<'a, Result<bool, ReviewError>> {
        Box::pin(async move {
            let extra: BTreeMap<String, Vec<String>> = identity.extra.clone();
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(identity.user.clone()),
                    uid: Some(identity.uid.clone()),
                    groups: Some(identity.groups.clone()),
                    extra: Some(extra),
                    resource_attributes: Some(ResourceAttributes {
                        group: Some(GROUP.to_owned()),
                        resource: Some(PLURAL.to_owned()),
                        subresource: Some(right.subresource().to_owned()),
                        namespace: Some(namespace.to_owned()),
                        verb: Some("get".to_owned()),
                        ..ResourceAttributes::default()
                    }),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
            let answer = api
                .create(&PostParams::default(), &review)
                .await
                .map_err(failed)?;
            Ok(answer
                .status
                .is_some_and(|status| status.allowed && status.denied != Some(true)))
        })
    }
}

fn failed(error: kube::Error) -> ReviewError {
    ReviewError {
        source: Some(Box::new(error)),
    }
}
