//! The whole decision table, in every direction, and its properties.

use bigdecimal::BigDecimal;
use proptest::prelude::*;

use super::*;
use crate::sync::column::ColumnKind;
use crate::sync::fixtures::{field, page, row, table, text};
use crate::sync::identity::UserId;
use crate::sync::mapping::{Direction, OnLossyWrite};
use crate::sync::page::{DateOrTime, NotionDate, PropertyType};
use crate::sync::pair::OwnEdit;

const EDITED: &str = "2026-11-20T10:00:00Z";
const BEFORE: &str = "2026-11-20T09:59:00Z";
const AFTER: &str = "2026-11-20T10:00:01Z";

/// A text field that goes this way.
fn plan(direction: Direction, drift: DriftPolicy, policy: ConflictPolicy) -> TablePlan {
    let kind = ColumnKind::Text { max_chars: None };
    let mut name = field("name", PropertyType::Title, kind);
    name.mapping.direction = direction;
    name.mapping.conflict_policy = policy;
    let mut plan = table(vec![name]);
    plan.binding.direction = direction;
    plan.binding.drift_policy = drift;
    plan.bot = Some(UserId(uuid::Uuid::from_u128(99)));
    plan
}

fn agreed(notion: &str, postgres: &str) -> PairBase {
    let base = FieldBase {
        property: PropertyId::new("name"),
        kind: PropertyType::Title,
        notion: text(notion),
        postgres: Some(postgres.to_owned()),
        reason: None,
    };
    [("name".to_owned(), base)].into()
}

/// Decides Notion's "n" and the row's "p", the row changed at `updated`.
fn decide(plan: &TablePlan, base: &PairBase, updated: &str) -> Decision {
    let page = page(plan, EDITED, vec![text("n")]);
    let row = row(Some(updated), &[Some("p")]);
    let planned = plan_pair(plan, &page, &row, base, &Traces::default());
    planned.fields[0].decision.clone()
}

fn to_postgres() -> Decision {
    Decision::WritePostgres(ColumnValue::Text("n".to_owned()))
}

fn to_notion() -> Decision {
    Decision::WriteNotion(text("p"))
}

#[test]
fn a_change_on_one_side_goes_where_it_may() {
    use Direction as D;
    use DriftPolicy as R;
    let (notion_moved, row_moved) = (agreed("x", "p"), agreed("n", "x"));
    for policy in [
        ConflictPolicy::NewestWins,
        ConflictPolicy::NotionWins,
        ConflictPolicy::PostgresWins,
        ConflictPolicy::Manual,
    ] {
        for (direction, drift, on_notion, on_row) in [
            (D::TwoWay, R::Report, to_postgres(), to_notion()),
            (D::TwoWay, R::Repair, to_postgres(), to_notion()),
            (D::ToPostgres, R::Report, to_postgres(), Decision::Drift),
            (D::ToPostgres, R::Repair, to_postgres(), to_postgres()),
            (D::ToNotion, R::Report, Decision::Drift, to_notion()),
            (D::ToNotion, R::Repair, to_notion(), to_notion()),
        ] {
            let plan = plan(direction, drift, policy);
            for updated in [BEFORE, AFTER] {
                assert_eq!(
                    decide(&plan, &notion_moved, updated),
                    on_notion,
                    "{direction:?}"
                );
                assert_eq!(decide(&plan, &row_moved, updated), on_row, "{direction:?}");
            }
        }
    }
}

#[test]
fn where_both_changed_or_nobody_knows_the_policy_decides_in_every_direction() {
    use ConflictPolicy as P;
    use Direction as D;
    for base in [agreed("x", "y"), PairBase::new()] {
        for (policy, updated, notion_wins) in [
            (P::NotionWins, AFTER, true),
            (P::PostgresWins, BEFORE, false),
            (P::NewestWins, BEFORE, true),
            (P::NewestWins, EDITED, false),
            (P::NewestWins, AFTER, false),
        ] {
            let decide = |direction, drift| decide(&plan(direction, drift, policy), &base, updated);
            let expected = |writes: Decision| writes;
            let (report, repair) = (DriftPolicy::Report, DriftPolicy::Repair);
            let both = if notion_wins {
                to_postgres()
            } else {
                to_notion()
            };
            assert_eq!(decide(D::TwoWay, report), expected(both));
            // The winner may not be written to the other side: drift, or the permitted side is
            // written by `Repair`.
            let here = if notion_wins {
                to_postgres()
            } else {
                Decision::Drift
            };
            assert_eq!(decide(D::ToPostgres, report), here);
            assert_eq!(decide(D::ToPostgres, repair), to_postgres());
            let there = if notion_wins {
                Decision::Drift
            } else {
                to_notion()
            };
            assert_eq!(decide(D::ToNotion, report), there);
            assert_eq!(decide(D::ToNotion, repair), to_notion());
        }
        let manual = plan(D::TwoWay, DriftPolicy::Repair, P::Manual);
        assert_eq!(decide(&manual, &base, AFTER), Decision::Conflict);
    }
}

#[test]
fn times_that_our_own_writes_made_count_as_the_ones_before() {
    let plan = plan(
        Direction::TwoWay,
        DriftPolicy::Report,
        ConflictPolicy::NewestWins,
    );
    let mut page = page(&plan, EDITED, vec![text("n")]);
    page.last_edited_by = plan.bot;
    let row = row(Some(BEFORE), &[Some("p")]);
    let traces = Traces {
        own_edit: Some(OwnEdit {
            written: EDITED.parse().unwrap(),
            before: "2026-11-20T09:00:00Z".parse().ok(),
            settled: EDITED.parse().unwrap(),
        }),
        ..Traces::default()
    };
    let decide = |page: &PageSnapshot| {
        let planned = plan_pair(&plan, page, &row, &PairBase::new(), &traces);
        planned.fields[0].decision.clone()
    };
    assert_eq!(decide(&page), to_notion(), "the echo's time is nobody's");
    page.last_edited_by = Some(UserId(uuid::Uuid::from_u128(5)));
    assert_eq!(
        decide(&page),
        to_postgres(),
        "somebody edited it in the same minute"
    );
}

#[test]
fn a_captured_time_stands_in_for_a_column() {
    let plan = plan(
        Direction::TwoWay,
        DriftPolicy::Report,
        ConflictPolicy::NewestWins,
    );
    let page = page(&plan, EDITED, vec![text("n")]);
    let row = row(None, &[Some("p")]);
    let decide = |changed: Option<&str>| {
        let traces = Traces {
            row_changed_at: changed.and_then(|time| time.parse().ok()),
            ..Traces::default()
        };
        let planned = plan_pair(&plan, &page, &row, &PairBase::new(), &traces);
        planned.fields[0].decision.clone()
    };
    assert_eq!(decide(None), to_postgres());
    assert_eq!(decide(Some(BEFORE)), to_postgres());
    assert_eq!(decide(Some(AFTER)), to_notion());
}

#[test]
fn a_late_arrival_of_our_own_write_is_no_edit() {
    let plan = plan(
        Direction::TwoWay,
        DriftPolicy::Report,
        ConflictPolicy::NotionWins,
    );
    let mut page = page(&plan, EDITED, vec![text("n")]);
    page.last_edited_by = plan.bot;
    let row = row(None, &[Some("p")]);
    let decide = |page: &PageSnapshot, sent: &str, base: &PairBase| {
        let traces = Traces {
            sent: vec![(PropertyId::new("name"), text(sent))],
            ..Traces::default()
        };
        plan_pair(&plan, page, &row, base, &traces).fields[0]
            .decision
            .clone()
    };
    let later_write = agreed("p", "p");
    assert_eq!(
        decide(&page, "n", &later_write),
        to_notion(),
        "written again"
    );
    assert_eq!(
        decide(&page, "other", &later_write),
        to_postgres(),
        "an edit"
    );
    assert_eq!(
        decide(&page, "n", &agreed("x", "y")),
        to_notion(),
        "the row's change goes on"
    );
    page.last_edited_by = None;
    assert_eq!(
        decide(&page, "n", &later_write),
        to_postgres(),
        "a person typed it"
    );
}

#[test]
fn a_write_never_destroys_what_the_column_cannot_hold_unless_it_may() {
    let mut plan = plan(
        Direction::TwoWay,
        DriftPolicy::Report,
        ConflictPolicy::Manual,
    );
    let rich = PropertyValue::Text {
        plain: "n".to_owned(),
        lossy: true,
    };
    let decide = |plan: &TablePlan| {
        let page = page(plan, EDITED, vec![rich.clone()]);
        let row = row(None, &[Some("p")]);
        let planned = plan_pair(plan, &page, &row, &agreed("n", "x"), &Traces::default());
        planned.fields[0].decision.clone()
    };
    assert_eq!(decide(&plan), Decision::Failed(FieldReason::FormattedText));
    plan.fields[0].mapping.on_lossy_write = OnLossyWrite::Overwrite;
    assert_eq!(decide(&plan), to_notion());
}

#[test]
fn a_range_over_a_day_is_not_overwritten() {
    let mut due = field("due", PropertyType::Date, ColumnKind::Date);
    due.mapping.direction = Direction::TwoWay;
    let plan = table(vec![due]);
    let day = |text: &str| DateOrTime::Day(text.parse().unwrap());
    let range = PropertyValue::Date(Some(NotionDate {
        start: day("2026-11-20"),
        end: Some(day("2026-11-22")),
    }));
    let base = FieldBase {
        property: PropertyId::new("due"),
        kind: PropertyType::Date,
        notion: range.clone(),
        postgres: Some("2026-11-20".to_owned()),
        reason: None,
    };
    let base = [("due".to_owned(), base)].into();
    let page = page(&plan, EDITED, vec![range]);
    let row = row(None, &[Some("2026-12-01")]);
    let planned = plan_pair(&plan, &page, &row, &base, &Traces::default());
    assert_eq!(
        planned.fields[0].decision,
        Decision::Failed(FieldReason::DateRange)
    );
}

/// One field, what its sides hold, and what they held; small alphabets, so that they often agree.
#[derive(Debug, Clone)]
struct Case {
    direction: Direction,
    drift: DriftPolicy,
    policy: ConflictPolicy,
    base: Option<(i64, i64)>,
    notion: i64,
    postgres: i64,
    updated: Option<&'static str>,
}

fn case() -> impl Strategy<Value = Case> {
    let direction = prop_oneof![
        Just(Direction::TwoWay),
        Just(Direction::ToPostgres),
        Just(Direction::ToNotion)
    ];
    let drift = prop_oneof![Just(DriftPolicy::Report), Just(DriftPolicy::Repair)];
    let policy = prop_oneof![
        Just(ConflictPolicy::NewestWins),
        Just(ConflictPolicy::NotionWins),
        Just(ConflictPolicy::PostgresWins),
        Just(ConflictPolicy::Manual)
    ];
    let updated = prop_oneof![Just(None), Just(Some(BEFORE)), Just(Some(AFTER))];
    let base = proptest::option::of((0..3_i64, 0..3_i64));
    (direction, drift, policy, base, 0..3_i64, 0..3_i64, updated).prop_map(
        |(direction, drift, policy, base, notion, postgres, updated)| Case {
            direction,
            drift,
            policy,
            base,
            notion,
            postgres,
            updated,
        },
    )
}

fn number(value: i64) -> PropertyValue {
    PropertyValue::Number(Some(BigDecimal::from(value)))
}

impl Case {
    fn plan(&self) -> TablePlan {
        let kind = ColumnKind::Integer { bits: 64 };
        let mut price = field("price", PropertyType::Number, kind);
        price.mapping.direction = self.direction;
        price.mapping.conflict_policy = self.policy;
        let mut plan = table(vec![price]);
        plan.binding.direction = self.direction;
        plan.binding.drift_policy = self.drift;
        plan
    }

    fn base(&self) -> PairBase {
        let base = self.base.map(|(notion, postgres)| FieldBase {
            property: PropertyId::new("price"),
            kind: PropertyType::Number,
            notion: number(notion),
            postgres: Some(postgres.to_string()),
            reason: None,
        });
        base.map(|base| ("price".to_owned(), base))
            .into_iter()
            .collect()
    }

    fn decide(&self) -> FieldPlan {
        let plan = self.plan();
        let page = page(&plan, EDITED, vec![number(self.notion)]);
        let text = self.postgres.to_string();
        let row = row(self.updated, &[Some(&text)]);
        let mut planned = plan_pair(&plan, &page, &row, &self.base(), &Traces::default());
        planned.fields.remove(0)
    }

    /// The case after its decision was carried out.
    fn carried_out(&self) -> Self {
        let decided = self.decide();
        let mut next = self.clone();
        match decided.decision {
            Decision::Agree => next.base = Some((self.notion, self.postgres)),
            Decision::WritePostgres(ColumnValue::Number(value)) => {
                next.postgres = value.to_string().parse().unwrap();
                next.base = Some((next.notion, next.postgres));
            }
            Decision::WriteNotion(PropertyValue::Number(Some(value))) => {
                next.notion = value.to_string().parse().unwrap();
                next.base = Some((next.notion, next.postgres));
            }
            _ => {}
        }
        next
    }

    /// The same case seen from the other side.
    fn mirrored(&self) -> Self {
        let (direction, policy) = (self.direction, self.policy);
        Self {
            direction: match direction {
                Direction::ToNotion => Direction::ToPostgres,
                Direction::ToPostgres => Direction::ToNotion,
                Direction::TwoWay => Direction::TwoWay,
            },
            policy: match policy {
                ConflictPolicy::NotionWins => ConflictPolicy::PostgresWins,
                ConflictPolicy::PostgresWins => ConflictPolicy::NotionWins,
                other => other,
            },
            base: self.base.map(|(notion, postgres)| (postgres, notion)),
            notion: self.postgres,
            postgres: self.notion,
            updated: match self.updated {
                Some(AFTER) => Some(BEFORE),
                _ => Some(AFTER),
            },
            ..self.clone()
        }
    }
}

proptest! {
    #[test]
    fn planning_again_after_carrying_out_plans_nothing(case in case()) {
        let after = case.carried_out();
        let again = after.decide();
        let is_write = matches!(
            again.decision,
            Decision::WritePostgres(_) | Decision::WriteNotion(_)
        );
        prop_assert!(!is_write, "{again:?}");
        prop_assert!(!again.settle || case.base.is_none());
    }

    #[test]
    fn two_sides_that_may_both_be_written_converge(mut case in case()) {
        case.direction = Direction::TwoWay;
        prop_assume!(case.policy != ConflictPolicy::Manual);
        // Sides that differ although neither moved are parked: they have a reason.
        prop_assume!(case.base != Some((case.notion, case.postgres)) || case.notion == case.postgres);
        let after = case.carried_out();
        prop_assert_eq!(after.notion, after.postgres);
    }

    #[test]
    fn an_edit_is_kept_or_lost_by_a_policy_or_waits(case in case()) {
        let decided = case.decide();
        let moved = |of: fn((i64, i64)) -> i64, now| case.base.is_none_or(|base| of(base) != now);
        match decided.decision {
            // A value that moved since the base is overwritten only where a policy decided, or
            // where the other side may not take it and `Repair` says so.
            Decision::WritePostgres(_) if moved(|base| base.1, case.postgres) => {
                prop_assert!(decided.contested || case.drift == DriftPolicy::Repair);
            }
            Decision::WriteNotion(_) if moved(|base| base.0, case.notion) => {
                prop_assert!(decided.contested || case.drift == DriftPolicy::Repair);
            }
            _ => {}
        }
    }

    #[test]
    fn the_directions_mirror_each_other(case in case()) {
        // `NewestWins` alone is not symmetric: where nobody is later, Postgres wins.
        prop_assume!(case.policy != ConflictPolicy::NewestWins || case.updated.is_some());
        let mirror = case.mirrored();
        let expected = match case.decide().decision {
            Decision::WritePostgres(_) => Decision::WriteNotion(number(case.notion)),
            Decision::WriteNotion(_) => {
                Decision::WritePostgres(ColumnValue::Number(BigDecimal::from(case.postgres)))
            }
            other => other,
        };
        prop_assert_eq!(mirror.decide().decision, expected);
    }
}
