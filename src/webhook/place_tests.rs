use super::*;
use crate::webhook::testing::{binding, source_id};
use uuid::Uuid;

fn database(n: u128) -> DatabaseId {
    DatabaseId(Uuid::from_u128(n))
}

#[test]
fn the_data_source_decides_before_the_database() {
    let mut ours = binding("projects");
    ours.data_source = Some(source_id(1));
    ours.database = Some(database(7));
    let sibling = Place {
        data_source: Some(source_id(2)),
        database: Some(database(7)),
        elsewhere: true,
        ..Place::default()
    };
    assert_eq!(sibling.standing(&ours), Standing::Elsewhere);
    let here = Place {
        data_source: Some(source_id(1)),
        ..sibling
    };
    assert_eq!(here.standing(&ours), Standing::Here);
    let database_only = Place {
        data_source: None,
        ..sibling
    };
    assert_eq!(database_only.standing(&ours), Standing::Here);
}

#[test]
fn an_unresolved_binding_goes_by_its_database() {
    let mut ours = binding("projects");
    ours.data_source = None;
    ours.database = Some(database(7));
    let place = Place {
        data_source: Some(source_id(2)),
        ..Place::default()
    };
    assert_eq!(place.standing(&ours), Standing::Unnamed);
    let place = Place {
        database: Some(database(7)),
        ..place
    };
    assert_eq!(place.standing(&ours), Standing::Here);
    let place = Place {
        database: Some(database(8)),
        ..place
    };
    assert_eq!(place.standing(&ours), Standing::Elsewhere);
}

#[test]
fn a_legacy_database_event_may_name_either() {
    let mut ours = binding("projects");
    ours.data_source = Some(source_id(1));
    ours.database = Some(database(7));
    let named = |n: u128| Place {
        database: Some(database(n)),
        perhaps_data_source: Some(source_id(n)),
        ..Place::default()
    };
    assert_eq!(named(1).standing(&ours), Standing::Here);
    assert_eq!(named(7).standing(&ours), Standing::Here);
    assert_eq!(named(9).standing(&ours), Standing::Elsewhere);
}

#[test]
fn a_page_that_is_no_row_is_elsewhere_and_a_silent_event_is_unnamed() {
    let ours = binding("projects");
    let place = Place {
        elsewhere: true,
        ..Place::default()
    };
    assert_eq!(place.standing(&ours), Standing::Elsewhere);
    assert_eq!(Place::default().standing(&ours), Standing::Unnamed);
}
