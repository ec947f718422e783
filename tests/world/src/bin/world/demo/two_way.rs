//! The second half of the story: the same binding in both directions.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;
use uuid::Uuid;
use world::wait::eventually;

use super::Teller;
use crate::playground::{BINDING, PATIENCE, Playground, title};

/// Edits on both sides, a conflict, a renamed property.
pub(super) async fn tell(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    goes_back(play, teller).await?;
    is_captured(play, teller).await?;
    conflicts(play, teller).await?;
    follows_a_rename(play, teller).await
}

/// What was drift a moment ago is an edit as soon as the row may be written back.
async fn goes_back(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step(
        "Let the binding go both ways: the change by hand is an edit now, and goes to Notion",
    );
    patch(play, teller, r#"{"spec":{"direction":"TwoWay"}}"#).await?;
    let name = until_named(play, play.pages[1], "Changed by hand").await?;
    teller.ran("(in Notion) the page's name");
    teller.came(&name);
    teller.get(play, |row| row[3] == "0").await
}

async fn is_captured(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step("Somebody updates a row; a trigger notes it; the page is read, and written");
    let update = "UPDATE projects SET name = 'Harbour, phase three', status = 'DONE' \
                  WHERE name LIKE 'Harbour%'";
    teller.ran(update);
    let committed = Instant::now();
    play.execute(update).await?;
    until_named(play, play.pages[0], "Harbour, phase three").await?;
    let page = play.notion.page(play.pages[0])?;
    let status = &page["properties"]["Status"]["status"]["name"];
    ensure!(status == "Done", "the page's status is {status}");
    teller.came(&format!(
        "the page has name and status {} ms after the commit",
        committed.elapsed().as_millis()
    ));
    let query = "SELECT details -> 'result' -> 'changes' AS changes FROM audit_logs \
                 WHERE action = 'notion_sync' ORDER BY created_at DESC LIMIT 1";
    teller.ran(query);
    teller.came(&play.until(query, "Notion").await?);
    Ok(())
}

async fn conflicts(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step(
        "Both sides change one name while a person is to decide: a conflict, and neither moves",
    );
    patch(
        play,
        teller,
        r#"{"spec":{"conflictPolicy":"Manual","suspend":true}}"#,
    )
    .await?;
    teller.ran("(in Notion) Name: Lighthouse North");
    play.notion
        .edit(play.pages[1], json!({"Name": title("Lighthouse North")}))?;
    let update = "UPDATE projects SET name = 'Lighthouse South' WHERE name = 'Changed by hand'";
    teller.ran(update);
    play.execute(update).await?;
    patch(play, teller, r#"{"spec":{"suspend":false}}"#).await?;
    teller.get(play, |row| row[3] == "1").await?;
    let query = "SELECT id, \"column\", kind, notion, postgres FROM notion_sync.conflicts \
                 WHERE closed_at IS NULL";
    teller.ran(query);
    teller.came(&play.until(query, "Lighthouse South").await?);

    teller.step("The sides come to agree: the conflict closes itself");
    let update = "UPDATE projects SET name = 'Lighthouse North' WHERE name = 'Lighthouse South'";
    teller.ran(update);
    play.execute(update).await?;
    teller.get(play, |row| row[3] == "0").await
}

async fn follows_a_rename(play: &Playground<'_>, teller: &mut Teller) -> Result<()> {
    teller.step(
        "A property gets another name in Notion: it is followed by its id, nothing is emptied",
    );
    teller.ran("(in Notion) Budget is called Cost from now on; Cost: 12");
    play.notion.rename_property(play.source, "Budget", "Cost")?;
    play.notion
        .edit(play.pages[0], json!({"Cost": {"number": 12}}))?;
    let query = "SELECT name, budget FROM projects ORDER BY id";
    teller.ran(query);
    teller.came(&play.until(query, "12.00").await?);
    Ok(())
}

async fn patch(play: &Playground<'_>, teller: &Teller, patch: &str) -> Result<()> {
    teller.ran(&format!(
        "kubectl patch notionsyncbinding {BINDING} --type=merge -p '{patch}'"
    ));
    let command = [
        "patch",
        "notionsyncbinding",
        BINDING,
        "--type=merge",
        "-p",
        patch,
    ];
    play.scene.kubectl(&command).await?.ok().map(drop)
}

/// Waits until a page has this name.
async fn until_named(play: &Playground<'_>, page: Uuid, name: &str) -> Result<String> {
    eventually(PATIENCE, &format!("the page is named {name}"), async || {
        let found = play.name_in_notion(page)?;
        ensure!(found == name, "it is named {found}");
        Ok(found)
    })
    .await
}
