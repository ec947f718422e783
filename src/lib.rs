//! Keeps a Notion database and a Postgres table in step, declared as a Kubernetes resource.
