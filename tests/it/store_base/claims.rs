use notion_sync_operator::store::StoreError;
use notion_sync_operator::store::catalog::{TableHandle, inspect};
use notion_sync_operator::store::claim::{Claim, ClaimRequest, IsLive, claim};
use notion_sync_operator::store::migrate::migrate;
use notion_sync_operator::sync::identity::{BindingRef, DataSourceId};
use notion_sync_operator::sync::reason::Reason;
use sqlx::PgPool;
use uuid::Uuid;

use super::catalog::plan;
use super::database::Database;

const EVERYBODY: IsLive<'_> = &|_, _| true;
const NOBODY: IsLive<'_> = &|_, _| false;
const SOURCE: DataSourceId = DataSourceId(Uuid::from_u128(7));
const OTHER_SOURCE: DataSourceId = DataSourceId(Uuid::from_u128(8));

struct World {
    database: Database,
    pool: PgPool,
}

impl World {
    async fn create() -> Self {
        let database = Database::create().await;
        let pool = database.pool().await;
        migrate(&pool).await.unwrap();
        let world = Self { database, pool };
        world.make_table().await;
        world
    }

    async fn make_table(&self) {
        self.database
            .execute("CREATE TABLE public.t (id int PRIMARY KEY, page uuid, name text)")
            .await;
    }

    async fn table(&self) -> TableHandle {
        inspect(&self.pool, &plan("public", "t", "page", &["name"]))
            .await
            .unwrap()
    }

    async fn claim(&self, by: &By<'_>) -> Result<Claim, StoreError> {
        let binding = binding(by.binding);
        let request = ClaimRequest {
            cluster_id: by.cluster,
            binding: &binding,
            uid: by.uid,
            data_source: by.source,
            holder: by.holder,
            take_over: by.take_over,
            is_live: by.is_live,
        };
        claim(&self.pool, &self.table().await, request).await
    }

    async fn link_a_pair(&self, claim: &Claim) {
        sqlx::query(
            "INSERT INTO notion_sync.pairs (binding_id, page_id, row_key)
             VALUES ($1, gen_random_uuid(), '[1]')",
        )
        .bind(claim.binding_id)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    async fn pairs(&self) -> i64 {
        self.database
            .number("SELECT count(*) FROM notion_sync.pairs")
            .await
    }
}

struct By<'a> {
    cluster: &'a str,
    binding: &'a str,
    uid: &'a str,
    source: DataSourceId,
    holder: &'a str,
    take_over: bool,
    is_live: IsLive<'a>,
}

/// The binding `team-a/projects`, by process `pod-1`, while every other binding is alive.
const FIRST: By<'static> = By {
    cluster: "c1",
    binding: "team-a/projects",
    uid: "u1",
    source: SOURCE,
    holder: "pod-1",
    take_over: false,
    is_live: EVERYBODY,
};

fn binding(text: &str) -> BindingRef {
    let (namespace, name) = text.split_once('/').unwrap();
    BindingRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn bound(result: Result<Claim, StoreError>) -> String {
    let error = result.expect_err("somebody else holds the table");
    assert_eq!(error.reason(), Reason::TableAlreadyBound);
    error.to_string()
}

#[tokio::test]
async fn a_process_keeps_its_epoch_and_another_raises_it() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    assert!(first.fresh && !first.table_replaced);
    world.link_a_pair(&first).await;
    let again = world.claim(&FIRST).await.unwrap();
    assert_eq!((again.epoch, again.fresh), (first.epoch, false));
    assert_eq!(again.binding_id, first.binding_id);

    let mut transaction = world.pool.begin().await.unwrap();
    first.check(&mut transaction).await.unwrap();
    transaction.rollback().await.unwrap();

    let other = By {
        holder: "pod-2",
        ..FIRST
    };
    let taken = world.claim(&other).await.unwrap();
    assert_eq!(taken.epoch, first.epoch + 1);
    assert_eq!(world.pairs().await, 1);
    let mut transaction = world.pool.begin().await.unwrap();
    assert!(matches!(
        first.check(&mut transaction).await,
        Err(StoreError::Fenced)
    ));
    assert!(taken.check(&mut transaction).await.is_ok());
    transaction.rollback().await.unwrap();
    let stale = first.clone().save_pinned(&world.pool, Vec::new()).await;
    assert!(matches!(stale, Err(StoreError::Fenced)));
}

#[tokio::test]
async fn repeating_a_claim_writes_nothing() {
    let world = World::create().await;
    world.claim(&FIRST).await.unwrap();
    let version = "SELECT xmin::text::bigint FROM notion_sync.bindings";
    let before = world.database.number(version).await;
    world.claim(&FIRST).await.unwrap();
    assert_eq!(world.database.number(version).await, before);
}

#[tokio::test]
async fn a_second_live_claimant_is_refused_without_naming_other_namespaces() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    let neighbour = bound(
        world
            .claim(&By {
                binding: "team-a/copy",
                uid: "u2",
                ..FIRST
            })
            .await,
    );
    assert!(neighbour.contains("projects"), "{neighbour}");
    let stranger = bound(
        world
            .claim(&By {
                binding: "team-b/copy",
                uid: "u3",
                ..FIRST
            })
            .await,
    );
    assert!(
        !stranger.contains("projects") && !stranger.contains("team-a"),
        "{stranger}"
    );
    assert_eq!(world.claim(&FIRST).await.unwrap().epoch, first.epoch);
}

#[tokio::test]
async fn the_claim_of_a_deleted_binding_is_adopted_with_its_links() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    world.link_a_pair(&first).await;
    let heir = By {
        binding: "team-b/heir",
        uid: "u2",
        is_live: NOBODY,
        ..FIRST
    };
    let adopted = world.claim(&heir).await.unwrap();
    assert_eq!(adopted.binding_id, first.binding_id);
    assert_eq!(adopted.epoch, first.epoch + 1);
    assert!(!adopted.fresh);
    assert_eq!(world.pairs().await, 1);
}

#[tokio::test]
async fn another_data_source_starts_without_a_base() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    world.link_a_pair(&first).await;
    let other = By {
        uid: "u2",
        source: OTHER_SOURCE,
        is_live: NOBODY,
        ..FIRST
    };
    let claim = world.claim(&other).await.unwrap();
    assert!(claim.fresh && !claim.table_replaced);
    assert_eq!(world.pairs().await, 0);
}

#[tokio::test]
async fn another_cluster_needs_the_annotation() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    world.link_a_pair(&first).await;
    let other = By {
        cluster: "c2",
        uid: "u2",
        is_live: NOBODY,
        ..FIRST
    };
    let text = bound(world.claim(&other).await);
    assert!(text.contains("notionsync.dev/take-over"), "{text}");
    let taken = world
        .claim(&By {
            take_over: true,
            ..other
        })
        .await
        .unwrap();
    assert_eq!(taken.binding_id, first.binding_id);
    assert_eq!(world.pairs().await, 1);
    bound(world.claim(&FIRST).await);
}

#[tokio::test]
async fn a_replaced_table_starts_without_a_base() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    world.link_a_pair(&first).await;
    world.database.execute("DROP TABLE public.t").await;
    world.make_table().await;
    bound(
        world
            .claim(&By {
                binding: "team-b/thief",
                uid: "u2",
                ..FIRST
            })
            .await,
    );
    let claim = world.claim(&FIRST).await.unwrap();
    assert!(claim.table_replaced && claim.fresh);
    assert_eq!(claim.binding_id, first.binding_id);
    assert_eq!(world.pairs().await, 0);
    assert!(!world.claim(&FIRST).await.unwrap().table_replaced);
}

#[tokio::test]
async fn a_table_that_was_swapped_by_renaming_is_replaced_too() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    world.link_a_pair(&first).await;
    world
        .database
        .execute("ALTER TABLE public.t RENAME TO t_old")
        .await;
    world.make_table().await;
    let claim = world.claim(&FIRST).await.unwrap();
    assert!(claim.table_replaced);
    assert_eq!(world.pairs().await, 0);
}

#[tokio::test]
async fn a_restored_dump_keeps_its_base_although_every_oid_is_another() {
    let world = World::create().await;
    let first = world.claim(&FIRST).await.unwrap();
    world.link_a_pair(&first).await;
    // What a restore leaves: the rows, with the OIDs of the former server.
    world
        .database
        .execute(
            "UPDATE notion_sync.bindings SET table_oid = 4000000001, state_oid = 4000000000;
             INSERT INTO notion_sync.bindings (cluster_id, namespace, name, uid, table_schema,
                 table_name, table_oid, state_oid, page_id_column, data_source_id, holder)
             VALUES ('c1', 'team-a', 'other', 'u9', 'public', 'gone',
                 'public.t'::regclass, 4000000000, 'page', gen_random_uuid(), 'pod-1')",
        )
        .await;
    let claim = world.claim(&FIRST).await.unwrap();
    assert!(!claim.table_replaced && !claim.fresh);
    assert_eq!(claim.binding_id, first.binding_id);
    assert_eq!(world.pairs().await, 1);
}

#[tokio::test]
async fn two_bindings_that_claim_at_once_leave_one_holder() {
    let world = World::create().await;
    let rival = By {
        binding: "team-a/rival",
        uid: "u2",
        ..FIRST
    };
    let (first, second) = tokio::join!(world.claim(&FIRST), world.claim(&rival));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
}
