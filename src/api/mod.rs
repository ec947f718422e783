//! The resource `NotionSyncBinding`: types only.
