use super::*;
use crate::webhook::keys::Freshness;
use crate::webhook::testing::*;
use std::sync::atomic::Ordering;
use std::time::Duration;

const BODY: &[u8] = b"{}";

fn gate(credentials: &Arc<FakeCredentials>, rereads: usize) -> Gate {
    let freshness = Freshness {
        fresh: Duration::from_mins(1),
        reread: Duration::ZERO,
        read: Duration::from_secs(1),
    };
    let keys = KeyCache::new(credentials.clone(), freshness);
    Gate {
        keys,
        allow_unverified: false,
        rereads,
    }
}

fn signed_by(key: &str) -> Signature {
    let mut claimed = [0; 32];
    hex::decode_to_slice(&sign(key, BODY)["sha256=".len()..], &mut claimed).unwrap();
    Signature::Claimed(claimed)
}

fn presented(signature: Signature) -> Presented<'static> {
    Presented {
        signature,
        bearer: Bearer::Absent,
        body: BODY,
    }
}

fn many(count: usize) -> Vec<Arc<ReceiverBinding>> {
    (0..count)
        .map(|n| Arc::new(binding(&format!("b{n}"))))
        .collect()
}

#[tokio::test]
async fn bindings_that_share_a_key_are_all_admitted_and_no_other() {
    let credentials = Arc::new(FakeCredentials::default());
    for (name, key) in [("b0", "one"), ("b1", "two\none"), ("b2", "two")] {
        credentials.set(&format!("{name}-webhook"), "verification-token", key);
    }
    let verdicts = gate(&credentials, 8)
        .judge(&many(3), presented(signed_by("one")))
        .await;
    let admitted = Verdict::Admitted(Proof::Signature);
    assert_eq!(
        verdicts,
        [
            admitted,
            admitted,
            Verdict::Refused(Refusal::SignatureInvalid)
        ]
    );
}

#[tokio::test]
async fn one_forged_request_has_only_so_many_keys_read_again() {
    let credentials = Arc::new(FakeCredentials::default());
    let (gate, bindings) = (gate(&credentials, 5), many(40));
    gate.judge(&bindings, presented(signed_by("forged"))).await;
    assert_eq!(credentials.reads.load(Ordering::SeqCst), 45);
    gate.judge(&bindings, presented(signed_by("forged"))).await;
    assert_eq!(credentials.reads.load(Ordering::SeqCst), 50);
    // The ones read longest ago come first, so that each gets its turn.
    credentials.set("b12-webhook", "verification-token", "new");
    let verdicts = gate.judge(&bindings, presented(signed_by("new"))).await;
    assert_eq!(verdicts[12], Verdict::Admitted(Proof::Signature));
}

#[tokio::test]
async fn a_request_without_a_credential_reads_nothing() {
    let credentials = Arc::new(FakeCredentials::default());
    let gate = gate(&credentials, 5);
    for signature in [Signature::Absent, Signature::Malformed] {
        gate.judge(&many(3), presented(signature)).await;
    }
    assert_eq!(credentials.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_binding_of_another_way_does_not_admit() {
    let credentials = Arc::new(FakeCredentials::default());
    credentials.set("b0-webhook", "verification-token", "one");
    let mut other = binding("b0");
    other.authentication = Authentication {
        shared_secret: true,
        ..Authentication::default()
    };
    let verdicts = gate(&credentials, 5)
        .judge(&[Arc::new(other)], presented(signed_by("one")))
        .await;
    assert_eq!(verdicts, [Verdict::Refused(Refusal::SignatureInvalid)]);
}
