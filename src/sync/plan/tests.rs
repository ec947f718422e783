use super::*;
use crate::sync::column::ColumnKind;
use crate::sync::fixtures::{field, page, row, table, text};
use crate::sync::page::PropertyType;
use crate::sync::pair::OwnWrite;

const EARLY: &str = "2026-11-20T10:00:00Z";
const LATE: &str = "2026-11-20T10:01:00Z";

fn name_plan(policy: ConflictPolicy) -> TablePlan {
    let mut name = field(
        "name",
        PropertyType::Title,
        ColumnKind::Text {
            max_chars: Some(20),
        },
    );
    name.mapping.conflict_policy = policy;
    table(vec![name])
}

fn base(notion: &str, postgres: &str) -> PairBase {
    let base = FieldBase {
        property: crate::sync::identity::PropertyId::new("name"),
        kind: PropertyType::Title,
        notion: text(notion),
        postgres: Some(postgres.to_owned()),
        reason: None,
    };
    [("name".to_owned(), base)].into()
}

/// Decides a pair of one text field: Notion edited at `EARLY`, the row at `updated`.
fn decide(
    policy: ConflictPolicy,
    base: &PairBase,
    notion: &str,
    postgres: &str,
    updated: Option<&str>,
) -> FieldPlan {
    let plan = name_plan(policy);
    let page = page(&plan, EARLY, vec![text(notion)]);
    let row = row(updated, &[Some(postgres)]);
    plan_pair(&plan, &page, &row, base, &Traces::default())
        .fields
        .remove(0)
}

fn wrote(own: OwnWrite) -> Traces {
    Traces {
        own_write: Some(own),
        ..Traces::default()
    }
}

fn write(value: &str) -> Decision {
    Decision::WritePostgres(ColumnValue::Text(value.to_owned()))
}

#[test]
fn agreeing_sides_settle_once() {
    let policy = ConflictPolicy::Manual;
    let first = decide(policy, &PairBase::new(), "a", "a", None);
    assert_eq!((first.decision, first.settle), (Decision::Agree, true));
    let again = decide(policy, &base("a", "a"), "a", "a", None);
    assert_eq!((again.decision, again.settle), (Decision::Agree, false));
    let both_moved = decide(policy, &base("x", "x"), "a", "a", None);
    assert_eq!(
        (both_moved.decision, both_moved.settle),
        (Decision::Agree, true)
    );
}

#[test]
fn a_change_in_notion_alone_is_written_whatever_the_times_and_the_policy() {
    for policy in [
        ConflictPolicy::NewestWins,
        ConflictPolicy::NotionWins,
        ConflictPolicy::PostgresWins,
        ConflictPolicy::Manual,
    ] {
        let decided = decide(policy, &base("a", "a"), "b", "a", Some(LATE));
        assert_eq!(decided.decision, write("b"), "{policy:?}");
        assert!(!decided.contested);
    }
}

#[test]
fn a_change_in_postgres_alone_is_drift_here() {
    for policy in [ConflictPolicy::NotionWins, ConflictPolicy::Manual] {
        let decided = decide(policy, &base("a", "a"), "a", "b", None);
        assert_eq!(decided.decision, Decision::Drift);
    }
}

#[test]
fn where_both_changed_or_nobody_knows_the_policy_decides() {
    use ConflictPolicy as P;
    for base in [base("x", "x"), PairBase::new()] {
        let decide = |policy, updated| decide(policy, &base, "n", "p", updated).decision;
        assert_eq!(decide(P::NotionWins, Some(LATE)), write("n"));
        assert_eq!(decide(P::PostgresWins, None), Decision::Drift);
        assert_eq!(decide(P::Manual, None), Decision::Conflict);
        // S8: strictly later; unknown is oldest.
        assert_eq!(decide(P::NewestWins, None), write("n"));
        assert_eq!(
            decide(P::NewestWins, Some("2026-11-20T09:59:59Z")),
            write("n")
        );
        assert_eq!(decide(P::NewestWins, Some(EARLY)), Decision::Drift);
        assert_eq!(decide(P::NewestWins, Some(LATE)), Decision::Drift);
    }
}

#[test]
fn both_times_unknown_is_postgres() {
    let plan = name_plan(ConflictPolicy::NewestWins);
    let mut page = page(&plan, EARLY, vec![text("n")]);
    page.last_edited_time = None;
    let decided = plan_pair(
        &plan,
        &page,
        &row(None, &[Some("p")]),
        &PairBase::new(),
        &Traces::default(),
    );
    assert_eq!(decided.fields[0].decision, Decision::Drift);
}

#[test]
fn the_time_of_our_own_write_counts_as_the_time_before_it() {
    let plan = name_plan(ConflictPolicy::NewestWins);
    let page = page(&plan, EARLY, vec![text("n")]);
    let row = row(Some(LATE), &[Some("p")]);
    let own = OwnWrite {
        written: LATE.parse().unwrap(),
        before: None,
    };
    let decided = plan_pair(&plan, &page, &row, &PairBase::new(), &wrote(own));
    assert_eq!(decided.fields[0].decision, write("n"));
    let users = OwnWrite {
        written: EARLY.parse().unwrap(),
        before: None,
    };
    let decided = plan_pair(&plan, &page, &row, &PairBase::new(), &wrote(users));
    assert_eq!(decided.fields[0].decision, Decision::Drift);
}

#[test]
fn what_nobody_touched_is_parked_with_its_reason() {
    let mut base = base("a", "b");
    assert_eq!(
        decide(ConflictPolicy::NotionWins, &base, "a", "b", None).decision,
        Decision::Drift
    );
    base.get_mut("name").unwrap().reason = Some(FieldReason::NotAccepted);
    assert_eq!(
        decide(ConflictPolicy::NotionWins, &base, "a", "b", None).decision,
        Decision::Failed(FieldReason::NotAccepted)
    );
    // It is tried again as soon as either side moves.
    assert_eq!(
        decide(ConflictPolicy::NotionWins, &base, "c", "b", None).decision,
        write("c")
    );
}

#[test]
fn a_value_without_a_form_marks_the_field_and_writes_nothing() {
    let decided = decide(
        ConflictPolicy::NotionWins,
        &base("a", "a"),
        &"long".repeat(6),
        "a",
        None,
    );
    assert_eq!(
        decided.decision,
        Decision::Failed(FieldReason::NotRepresentable)
    );
}

#[test]
fn a_base_of_another_property_is_no_base() {
    let mut base = base("a", "a");
    base.get_mut("name").unwrap().property = crate::sync::identity::PropertyId::new("other");
    let decided = decide(ConflictPolicy::PostgresWins, &base, "b", "a", None);
    assert!(decided.contested);
}

#[test]
fn a_base_of_another_type_is_no_base() {
    let mut base = base("a", "a");
    base.get_mut("name").unwrap().kind = PropertyType::RichText;
    let decided = decide(ConflictPolicy::PostgresWins, &base, "b", "a", None);
    assert!(decided.contested);
}

#[test]
fn an_empty_value_of_a_repinned_property_does_not_empty_the_column() {
    let mut plan = name_plan(ConflictPolicy::NotionWins);
    plan.fields[0].property.repinned = true;
    let row = row(None, &[Some("filled")]);
    let empty = page(&plan, LATE, vec![text("")]);
    let decided = plan_pair(&plan, &empty, &row, &PairBase::new(), &Traces::default());
    assert_eq!(decided.fields[0].decision, Decision::Drift);
    let filled = page(&plan, LATE, vec![text("new")]);
    let decided = plan_pair(&plan, &filled, &row, &PairBase::new(), &Traces::default());
    assert_eq!(decided.fields[0].decision, write("new"));
}

#[test]
fn a_missing_or_retyped_property_is_left_alone() {
    let plan = name_plan(ConflictPolicy::NotionWins);
    let row = row(None, &[Some("filled")]);
    let mut gone = page(&plan, LATE, vec![text("")]);
    gone.properties.clear();
    let mut retyped = page(&plan, LATE, vec![text("")]);
    for property in retyped.properties.values_mut() {
        property.kind = PropertyType::RichText;
    }
    for page in [gone, retyped] {
        let decided = plan_pair(
            &plan,
            &page,
            &row,
            &base("filled", "filled"),
            &Traces::default(),
        );
        assert_eq!(decided.fields[0].decision, Decision::Unread);
        assert!(decided.discrepancies(&plan, &page, &row).is_empty());
        assert!(decided.is_unread() && !decided.writes_postgres());
    }
}

#[test]
fn discrepancies_name_the_field_and_why() {
    let plan = name_plan(ConflictPolicy::PostgresWins);
    let page = page(&plan, LATE, vec![text("n")]);
    let row = row(None, &[Some("p")]);
    let decided = plan_pair(&plan, &page, &row, &PairBase::new(), &Traces::default());
    let found = decided.discrepancies(&plan, &page, &row);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, DriftKind::Mismatch);
    assert_eq!(found[0].column.as_deref(), Some("name"));
    assert_eq!(found[0].notion, Some("n".into()));
    assert_eq!(found[0].postgres, Some("p".into()));
}
