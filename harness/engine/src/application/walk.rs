//! What a person would try by hand on the trading application, and what must come of it: the runbook's manual checks.

use std::time::Duration;

use hyper::Method;
use pgdrill_model::evidence::RequestEvidence;
use pgdrill_model::units::show_count;
use pgdrill_model::world::Clock;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::data::APPLICATION_ROLE;
use crate::http::{Answer, Asked, ask};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How much of an answer is read.
const MOST: usize = 256 << 10;

/// The application as somebody uses it who logs in with a password.
pub struct Walk<'w> {
    /// Time.
    pub clock: &'w dyn Clock,
    /// Where the API is.
    pub api: &'w str,
    /// Where the web is.
    pub web: &'w str,
    /// The password of the application's role.
    pub password: &'w str,
    /// By what the order is told from every other.
    pub origin: &'w str,
}

impl Walk<'_> {
    /// Does all of it, whatever comes.
    pub async fn all(&self) -> Vec<RequestEvidence> {
        let login = |password: &str| json!({ "user": APPLICATION_ROLE, "password": password });
        let mut asked = vec![
            self.ask("log in", Method::POST, "/api/login", Some(login(self.password)), 200, logged_in).await,
            self.ask(
                "log in with a wrong password",
                Method::POST,
                "/api/login",
                Some(login("wrong")),
                401,
                refused,
            )
            .await,
            self.dashboard().await,
            self.ask("portfolio", Method::GET, "/api/portfolio", None, 200, positions).await,
            self.ask("list strategies", Method::POST, "/api/strategies/list", None, 200, strategies).await,
        ];
        let order = json!({
            "clientOrderId": uuid(self.origin), "symbol": "DRILL/APP", "side": "BUY", "quantity": "2", "price": "3.5",
        });
        let mut placed = None;
        let order = self
            .ask("place an order", Method::POST, "/api/orders", Some(order), 201, |answer| {
                let id = answer.json()?["orderId"].as_i64().ok_or("no orderId in the answer")?;
                placed = Some(id);
                Ok(format!("order {}", show_count(id.unsigned_abs())))
            })
            .await;
        asked.push(order);
        let audit = format!("/api/orders/{}/audit", placed.unwrap_or_default());
        asked.push(self.ask("its audit rows", Method::GET, &audit, None, 200, audited).await);
        asked.push(self.ask("metrics", Method::GET, "/api/public/metrics.prom", None, 200, metrics).await);
        asked
    }

    async fn dashboard(&self) -> RequestEvidence {
        let began = self.clock.elapsed();
        let answer = send(Method::GET, format!("{}/", self.web), None).await;
        let page = |answer: &Answer| {
            let body = answer.text().to_lowercase();
            if body.contains("<html") && body.contains("portfolio") {
                Ok("its page".to_owned())
            } else {
                Err("no dashboard in the page")
            }
            .map_err(str::to_owned)
        };
        self.evidence("dashboard", "GET /", began, judge(answer, 200, page))
    }

    async fn ask(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
        status: u16,
        read: impl FnOnce(&Answer) -> Result<String, String>,
    ) -> RequestEvidence {
        let request = format!("{method} {path}");
        let began = self.clock.elapsed();
        let answer = send(method, format!("{}{path}", self.api), body).await;
        self.evidence(what, &request, began, judge(answer, status, read))
    }

    fn evidence(
        &self,
        what: &str,
        request: &str,
        began: Duration,
        came: Result<String, String>,
    ) -> RequestEvidence {
        let (answer, wrong) = match came {
            Ok(answer) => (answer, None),
            Err(words) => (String::new(), Some(words)),
        };
        RequestEvidence {
            what: what.to_owned(),
            request: request.to_owned(),
            took_us: self.clock.elapsed().saturating_sub(began).as_micros() as u64,
            answer,
            wrong,
        }
    }
}

async fn send(method: Method, url: String, body: Option<Value>) -> Result<Answer, String> {
    let url = url.parse()?;
    let asked = Asked { method, url: &url, json: body.map(|body| body.to_string()) };
    ask(&asked, MOST, Instant::now() + LIMIT).await
}

fn judge(
    answer: Result<Answer, String>,
    status: u16,
    read: impl FnOnce(&Answer) -> Result<String, String>,
) -> Result<String, String> {
    let answer = answer?;
    if answer.code != status {
        return Err(format!("{}, and {status} was to come", answer.words()));
    }
    read(&answer)
}

fn logged_in(answer: &Answer) -> Result<String, String> {
    let user = answer.json()?["user"].as_str().map(str::to_owned);
    user.map(|user| format!("in as {user}")).ok_or_else(|| "no user in the answer".to_owned())
}

fn refused(_: &Answer) -> Result<String, String> {
    Ok("refused".to_owned())
}

/// So many of something under a key, of which there must be one at least.
fn counted(answer: &Answer, key: &str, of: &str) -> Result<String, String> {
    let json = answer.json()?;
    match json[key].as_array().map(Vec::len) {
        Some(0) => Err(format!("no {of} at all")),
        Some(count) => Ok(format!("{} {of}", show_count(count as u64))),
        None => Err(format!("no list of {of} in {}", answer.words())),
    }
}

fn positions(answer: &Answer) -> Result<String, String> {
    counted(answer, "positions", "positions")
}

fn strategies(answer: &Answer) -> Result<String, String> {
    counted(answer, "strategies", "strategies")
}

fn audited(answer: &Answer) -> Result<String, String> {
    counted(answer, "audit", "audit rows")
}

/// The metrics that the runbook looks for, and that the database is up by them.
fn metrics(answer: &Answer) -> Result<String, String> {
    let text = answer.text();
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let named = |part: &str| lines().any(|line| line.contains(part));
    match ["database", "connection", "query"].into_iter().find(|part| !named(part)) {
        Some(missing) => Err(format!("no metric with `{missing}` in its name")),
        None if lines().any(|line| line == "trading_database_up 1") => {
            Ok(format!("{} samples", lines().count()))
        }
        None => Err("trading_database_up is not 1".to_owned()),
    }
}

/// A UUID that belongs to this origin alone.
fn uuid(origin: &str) -> String {
    let digest = Sha256::digest(format!("application/{origin}").as_bytes());
    let hex = hex::encode(&digest[..16]);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Answer, String> {
        Ok(Answer { code: status, body: body.into() })
    }

    #[rstest]
    #[case::empty(r#"{"positions": []}"#, "no positions at all")]
    #[case::other("{}", "no list of positions")]
    #[case::garbage("<html>", "no JSON")]
    fn a_portfolio_without_a_position_is_none(#[case] body: &str, #[case] words: &str) {
        assert!(judge(answer(200, body), 200, positions).unwrap_err().contains(words));
        let two = r#"{"positions": [1, 2]}"#;
        assert_eq!(judge(answer(200, two), 200, positions).unwrap(), "2 positions");
    }

    #[test]
    fn another_status_is_wrong_also_where_a_refusal_was_to_come() {
        assert!(judge(answer(200, "{}"), 401, refused).unwrap_err().contains("status 200"));
        assert!(judge(answer(500, "[1]"), 200, positions).unwrap_err().contains("status 500: [1]"));
    }

    #[rstest]
    #[case("# HELP database connection query\n", "no metric with `database`")]
    #[case("trading_database_up 1\ntrading_connections 1\n", "`query`")]
    #[case("trading_database_up 0\ntrading_connections 1\nquery 2\n", "is not 1")]
    fn metrics_must_have_what_the_runbook_looks_for(#[case] body: &str, #[case] words: &str) {
        assert!(judge(answer(200, body), 200, metrics).unwrap_err().contains(words));
    }
}
