use super::*;
use crate::webhook::testing::FakeCredentials;
use std::sync::atomic::Ordering;

fn reference() -> SecretKeyRef {
    SecretKeyRef {
        name: "hook".into(),
        key: "token".into(),
    }
}

fn cache(fresh: u64, reread: u64) -> (KeyCache, Arc<FakeCredentials>) {
    let credentials = Arc::new(FakeCredentials::default());
    credentials.set("hook", "token", "one");
    let freshness = Freshness {
        fresh: Duration::from_millis(fresh),
        reread: Duration::from_millis(reread),
        read: Duration::from_secs(1),
    };
    (KeyCache::new(credentials.clone(), freshness), credentials)
}

fn first(keys: &Keys) -> Option<&[u8]> {
    keys.keys.first().map(Key::bytes)
}

#[tokio::test]
async fn a_key_is_read_once_and_again_when_it_is_old() {
    let (cache, credentials) = cache(500, 50);
    for _ in 0..5 {
        assert_eq!(
            first(&cache.get("team-a", &reference()).await),
            Some(&b"one"[..])
        );
    }
    assert_eq!(credentials.reads.load(Ordering::SeqCst), 1);
    credentials.set("hook", "token", "two");
    tokio::time::sleep(Duration::from_millis(510)).await;
    assert_eq!(
        first(&cache.get("team-a", &reference()).await),
        Some(&b"two"[..])
    );
}

#[tokio::test]
async fn a_mismatch_reads_again_but_not_too_often() {
    let (cache, credentials) = cache(60_000, 500);
    let seen = cache.get("team-a", &reference()).await;
    assert!(cache.reread("team-a", &reference(), &seen).await.is_none());
    tokio::time::sleep(Duration::from_millis(510)).await;
    credentials.set("hook", "token", "two");
    let newer = cache.reread("team-a", &reference(), &seen).await.unwrap();
    assert_eq!(first(&newer), Some(&b"two"[..]));
    // Another request that saw the old keys gets the new ones without a further read.
    assert!(cache.reread("team-a", &reference(), &seen).await.is_some());
    assert_eq!(credentials.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_removed_key_is_gone_and_an_unreachable_one_stays() {
    let (cache, credentials) = cache(20, 10);
    cache.get("team-a", &reference()).await;
    credentials.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(
        first(&cache.get("team-a", &reference()).await),
        Some(&b"one"[..])
    );
    credentials.away.store(false, Ordering::SeqCst);
    credentials.remove("hook", "token");
    tokio::time::sleep(Duration::from_millis(30)).await;
    let keys = cache.get("team-a", &reference()).await;
    assert!(keys.known && keys.keys.is_empty());
}

#[tokio::test]
async fn keys_of_another_namespace_are_others() {
    let (cache, _) = cache(60_000, 500);
    assert!(cache.get("team-b", &reference()).await.keys.is_empty());
    assert_eq!(cache.get("team-a", &reference()).await.keys.len(), 1);
}
