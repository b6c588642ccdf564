//! Bodies that cost little to send and much to read. They are refused, and another caller's checks do not wait for them.

use http::Method;
use serde_json::Value;
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Caller, REAL_NAME, REAL_PERSON, Reply};

use crate::abuse::Neighbour;
use crate::support::{assert_problem, assert_verdict, good, site};

/// An honest request with a picture: it needs a turn at decoding, like whatever else is large.
fn pictured() -> Value {
    let holder = people::holder(NumberForm::PassportDigits);
    people::with_portrait(&people::about(&holder, "pictured"), &people::portrait(&holder))
}

async fn post(caller: Caller, path: &'static str, body: String) -> Reply {
    caller.send(Method::POST, path, &[("content-type", "application/json")], body).await.unwrap()
}

/// Names without end: a reader that compares each with all before it works for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_a_hundred_thousand_members_delay_nobody() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::asking(&site, pictured());
    let named = |count: u32, name: &dyn Fn(u32) -> String| {
        let members: Vec<String> = (0..count).map(|number| format!("\"{}\":0", name(number))).collect();
        format!("{{{}}}", members.join(","))
    };
    let wide = named(110_000, &|number| format!("{number:x}"));
    let nested = pictured().to_string().replacen("{\"birth_date\"", &format!("{{\"a\":{wide},\"birth_date\""), 1);
    let twice = named(110_000, &|_| "purpose".to_owned());
    let small = named(1_500, &|number| format!("{number:x}"));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (path, body, code) = match number % 4 {
            0 => (REAL_PERSON, &wide, "field-unknown"),
            1 => (REAL_PERSON, &nested, "field-unknown"),
            2 => (REAL_PERSON, &twice, "field-duplicate"),
            _ => (REAL_NAME, &small, "field-unknown"),
        };
        let (caller, body) = (caller.clone(), body.clone());
        tasks.spawn(async move { (post(caller, path, body).await, code) });
    }
    while let Some(done) = tasks.join_next().await {
        let (reply, code) = done.unwrap();
        assert_problem(&reply, 400, code);
    }
    neighbour.was_served().await;
    assert_verdict(&caller.ask(&good("afterwards")).await.unwrap(), "match");
}
