//! An imitation of the public API of Notion.
