//! What `notionsync.dev/resolve` says: which conflicts, and whose value is to stand.

use crate::store::postgres::resolve::{Resolution, Winner};

/// Reads the annotation. What is not of the form is left out: its conflict stays open and shown.
pub(super) fn parse(text: &str) -> Vec<Resolution> {
    text.split(',').filter_map(one).collect()
}

fn one(text: &str) -> Option<Resolution> {
    let (which, winner) = text.split_once('=')?;
    let winner = match winner.trim() {
        "Notion" => Winner::Notion,
        "Postgres" => Winner::Postgres,
        _ => return None,
    };
    let conflict = match which.trim() {
        "all" => None,
        id => Some(id.parse().ok()?),
    };
    Some(Resolution { conflict, winner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_decided_one_by_one_or_all_at_once() {
        let resolution = |conflict, winner| Resolution { conflict, winner };
        assert_eq!(
            parse("7=Notion, 12 = Postgres"),
            [
                resolution(Some(7), Winner::Notion),
                resolution(Some(12), Winner::Postgres)
            ]
        );
        assert_eq!(parse("all=Postgres"), [resolution(None, Winner::Postgres)]);
        assert_eq!(parse("7=Nobody,x=Notion,all,,=Notion,-=Postgres"), []);
    }
}
