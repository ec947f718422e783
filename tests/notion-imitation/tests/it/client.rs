//! A bare client of the imitated API, and a table to play with.

use notion_imitation::{DataSourceRef, DataSourceSpec, Handle, Imitation, Options};
use reqwest::Method;
use serde_json::{Value as Json, json};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: u16,
    /// Headers.
    pub(crate) headers: reqwest::header::HeaderMap,
    /// Body; a string where it is no JSON.
    pub(crate) body: Json,
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Json {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Checks status and code of a refusal, and gives its message.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> String {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
        assert_eq!(self.body["object"], "error");
        assert_eq!(self.body["status"], status);
        assert!(self.body["request_id"].is_string());
        self.body["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// A client with a token and a version.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// Sent as bearer; none if empty.
    pub(crate) token: String,
    /// `Notion-Version`; none if empty.
    pub(crate) version: String,
}

impl Client {
    /// A client of a server, with its first token.
    pub(crate) fn of(notion: &Handle) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: notion.base_url().to_owned(),
            token: notion.token(),
            version: "2026-03-11".to_owned(),
        }
    }

    /// One request; the error where no answer came.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<Json>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !self.version.is_empty() {
            request = request.header("notion-version", &self.version);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Json::String(text));
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// GET.
    pub(crate) async fn get(&self, path: impl AsRef<str>) -> Answer {
        self.attempt(Method::GET, path.as_ref(), None)
            .await
            .unwrap()
    }

    /// POST.
    pub(crate) async fn post(&self, path: impl AsRef<str>, body: Json) -> Answer {
        self.attempt(Method::POST, path.as_ref(), Some(body))
            .await
            .unwrap()
    }

    /// PATCH.
    pub(crate) async fn patch(&self, path: impl AsRef<str>, body: Json) -> Answer {
        self.attempt(Method::PATCH, path.as_ref(), Some(body))
            .await
            .unwrap()
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: impl AsRef<str>) -> Answer {
        self.attempt(Method::DELETE, path.as_ref(), None)
            .await
            .unwrap()
    }

    /// Queries to the end, and gives all rows and the last answer.
    pub(crate) async fn query_all(
        &self,
        table: DataSourceRef,
        mut body: Json,
    ) -> (Vec<Json>, Json) {
        let mut rows = Vec::new();
        loop {
            let mut answer = self.query(table, body.clone()).await.ok();
            rows.append(answer["results"].as_array_mut().unwrap());
            if answer["next_cursor"].is_null() {
                assert_eq!(answer["has_more"], false);
                return (rows, answer);
            }
            body["start_cursor"] = answer["next_cursor"].clone();
        }
    }

    /// One answer of a query.
    pub(crate) async fn query(&self, table: DataSourceRef, body: Json) -> Answer {
        self.post(format!("/v1/data_sources/{}/query", table.id), body)
            .await
    }
}

/// A server with default options.
pub(crate) async fn start() -> (Handle, Client) {
    start_with(Options::default()).await
}

/// A server.
pub(crate) async fn start_with(options: Options) -> (Handle, Client) {
    let notion = Imitation::start(options).await.unwrap();
    let client = Client::of(&notion);
    (notion, client)
}

/// A table with one property of every common type.
pub(crate) fn projects(notion: &Handle) -> DataSourceRef {
    let schema = json!({
        "Name": {"title": {}},
        "Text": {"rich_text": {}},
        "Price": {"number": {"format": "dollar"}},
        "Stage": {
            "status": {"options": [
                {"name": "To do", "group": "To-do"},
                {"name": "Doing", "color": "blue", "group": "In progress"},
                {"name": "Done", "color": "green", "group": "Complete"},
            ]},
            "default": "To do",
            "id": "U`;C",
        },
        "Kind": {"select": {"options": [{"name": "A", "color": "red"}, {"name": "B"}]}},
        "Tags": {"multi_select": {"options": [{"name": "x"}, {"name": "y"}]}},
        "Due": {"date": {}},
        "Who": {"people": {}},
        "Files": {"files": {}},
        "Open": {"checkbox": {}},
        "Link": {"url": {}},
        "Mail": {"email": {}},
        "Phone": {"phone_number": {}},
        "Calc": {"formula": {"expression": "1"}},
        "Born": {"created_time": {}},
        "Edited": {"last_edited_time": {}},
        "Maker": {"created_by": {}},
        "Editor": {"last_edited_by": {}},
        "Number": {"unique_id": {"prefix": "PRJ"}},
        "Button": {"button": {}},
        "Where": {"place": {}},
        "Checked": {"verification": {}},
        "Future": {"type": "hologram", "hologram": {"depth": 3}},
    });
    notion
        .create_data_source(DataSourceSpec::new("Projects", schema))
        .unwrap()
}

/// A title in write shape.
pub(crate) fn title(text: &str) -> Json {
    json!({"title": [{"text": {"content": text}}]})
}

/// Rich text in write shape.
pub(crate) fn rich(text: &str) -> Json {
    json!({"rich_text": [{"text": {"content": text}}]})
}
