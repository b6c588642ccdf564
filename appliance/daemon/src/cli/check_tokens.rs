//! `yanqian check`: each token, and the entity's keys in it.

use yanqian_hsm::{KeyEntry, Status, WorkerClient};

use super::check::pairs::Placed;
use super::check::{Level, Row, row, warn_if};
use super::small_runtime;
use crate::config::{Config, Token};
use crate::tokens::client;

/// Reaches the tokens through their workers and sees that they hold the certificates' keys. One of several that cannot be used is a
/// warning, because the others serve; none at all is a failure.
pub(super) fn rows(config: &Config, pairs: &[Placed]) -> Vec<Row> {
    let tokens = &config.hsm.tokens;
    let asked: Vec<_> = tokens.iter().map(|token| (token, ask(config, token))).collect();
    let grade = asked.iter().find_map(|(_, told)| told.as_ref().ok().map(|(status, _)| status.grade.clone()));
    let mut found: Vec<Vec<Row>> = asked
        .into_iter()
        .map(|(token, told)| match told {
            Ok((status, _)) if grade.as_ref().is_some_and(|grade| *grade != status.grade) => {
                let grade = grade.clone().unwrap_or_default();
                let problem = format!("its grade is {}, another token's {grade}: all must have the same", status.grade);
                vec![row("token", Err(problem))]
            }
            Ok((status, keys)) => of_token(token, &status, &keys, pairs),
            Err(problem) => vec![row("token", Err(problem))],
        })
        .collect();
    if let [only] = found.as_mut_slice() {
        return std::mem::take(only);
    }
    let serves = |rows: &Vec<Row>| rows.iter().all(|row| row.found.0 != Level::Fail);
    let some_serve = found.iter().any(serves);
    for (rows, token) in found.iter_mut().zip(tokens) {
        for row in rows {
            row.key = format!("{} {}", row.key, token.name);
            if some_serve && row.found.0 == Level::Fail {
                row.found.0 = Level::Warn;
                row.found.1 += "; another token serves";
            }
        }
    }
    found.into_iter().flatten().collect()
}

fn ask(config: &Config, token: &Token) -> Result<(Status, Vec<KeyEntry>), String> {
    let runtime = small_runtime().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let worker = WorkerClient::new(client(config, token));
        let status = worker.status().await.map_err(|error| error.to_string())?;
        let keys = worker.list_keys().await.map_err(|error| error.to_string())?;
        Ok((status, keys))
    })
}

fn of_token(token: &Token, status: &Status, keys: &[KeyEntry], pairs: &[Placed]) -> Vec<Row> {
    let note = format!("`{}` ({}), grade {}", status.token_label, status.token_model, status.grade);
    let mut rows = vec![row("token", warn_if(status.grade == "development", note))];
    rows.extend(pairs.iter().filter_map(|pair| pair.key_row(keys, token)));
    rows
}
