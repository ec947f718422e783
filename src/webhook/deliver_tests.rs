use super::*;

#[test]
fn replies_win_in_the_order_of_the_table() {
    let down = Reason::DatabaseUnavailable;
    let order = [
        (Fate::Stored, "queued"),
        (Fate::StoredWithoutToken, "skipped"),
        (Fate::Duplicate, "duplicate"),
        (Fate::NotNewer, "skipped"),
        (Fate::ProcessedRecently, "skipped"),
        (Fate::FailedRetry(down), "503"),
        (Fate::Failed(down), "error"),
        (Fate::NotHere, "unlinked"),
    ];
    for (at, (fate, label)) in order.iter().enumerate() {
        let mut fates: Vec<_> = order[at..].iter().map(|(fate, _)| *fate).collect();
        fates.reverse();
        let said = match combine(&fates) {
            Ok(reply) => reply.labels().0.to_owned(),
            Err(refusal) => refusal.status().as_u16().to_string(),
        };
        assert_eq!(said, *label, "{fate:?}");
    }
    assert_eq!(combine(&[]).unwrap().labels(), ("unlinked", "NoBinding"));
}
