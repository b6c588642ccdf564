//! One site through the rows of its form: one after the other, and with many in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place};
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Caller, File, Form, HarnessError, Options, Record, Reply, Site, Variant};

use crate::judge::{Told, judge};
use crate::rows::{Check, Row, Subject, befalls_applications, of};

/// Checks under way at once.
const IN_FLIGHT: usize = 64;
/// After this an idle connection is not used again.
const IDLE_MS: i64 = 200;
/// Then the next check makes a connection of its own, which is what an order about connections waits for.
const FORGOTTEN: Duration = Duration::from_millis(250);
/// Until then as many requests are written.
const WRITTEN_MS: u64 = 800;
/// Among so many hostile answers one is honest.
const HONEST: usize = 8;

/// An answer for which nothing was ordered.
const HONEST_ANSWER: Row = Row { name: "honest/in-flight", stopped: None, subject: Subject::Fields, patient: false };

/// How one check of one row ended.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) row: Row,
    pub(crate) how: &'static str,
    /// What is not as it must be.
    pub(crate) problem: Option<String>,
}

pub(crate) struct Drill {
    pub(crate) site: Site,
    form: Form,
    requests: BTreeMap<Subject, Value>,
}

impl Drill {
    pub(crate) async fn begin(options: Options, form: Form) -> Result<Self, HarnessError> {
        let limits = [("connect_ms", 3000), ("head_ms", 4000), ("body_ms", 3000), ("idle_ms", IDLE_MS)];
        let options = limits.into_iter().fold(options.form(form), |options, (key, limit)| {
            options.with(File::Profile, &format!("limits.{key}"), limit)
        });
        // A platform that fails on order is to be asked again at once.
        let breaker = [("link.breaker_failures", 1_000_000), ("link.breaker_samples", 1_000_000)];
        let options = breaker.into_iter().fold(options, |options, (key, value)| options.with(File::Daemon, key, value));
        let site = Site::build(options).await?;
        let holder = people::holder(NumberForm::PassportDigits);
        let about = people::about(&holder, "drill");
        let person = people::with_portrait(&about, &people::portrait(&holder));
        let mut requests = BTreeMap::from([(Subject::Fields, about), (Subject::Person, person)]);
        if form.reads_chips() {
            for (subject, variant) in [(Subject::Chip, Variant::Genuine), (Subject::ChangedChip, Variant::AlteredZone)]
            {
                let chip = site.sim().chip(&holder.number, variant).await?;
                requests.insert(subject, people::chip_request(&holder, "drill", &chip));
            }
        }
        let drill = Self { site, form, requests };
        drill.honest().await?;
        Ok(drill)
    }

    pub(crate) fn caller(&self) -> Result<Caller, HarnessError> {
        self.site.caller("core-banking")
    }

    /// Ends the daemon in an orderly way.
    pub(crate) fn stop(&mut self) -> Result<(), HarnessError> {
        let ended = block_in_place(|| self.site.stop_daemon()).map(drop);
        ended.ok_or_else(|| HarnessError::Unexpected("the daemon did not end".to_owned()))
    }

    /// Starts the daemon again, with these values of `[platform.revocation]`.
    pub(crate) async fn restart_with(&mut self, revocation: &[(&str, toml::Value)]) -> Result<(), HarnessError> {
        for (key, value) in revocation {
            self.site.reconfigure(&format!("platform.revocation.{key}"), value.clone())?;
        }
        self.site.start_daemon().await
    }

    /// How often the daemon took revocation data that it fetched.
    pub(crate) async fn fetched(&self) -> Result<usize, HarnessError> {
        let results = self.site.metrics().await?.by_label("yanqian_revocation_fetches_total", "result");
        Ok(results.get("ok").copied().and_then(|count| usize::try_from(count).ok()).unwrap_or(0))
    }

    fn request(&self, subject: Subject) -> Result<&Value, HarnessError> {
        self.requests.get(&subject).ok_or_else(|| HarnessError::Unexpected(format!("{subject:?} in {}", self.form)))
    }

    pub(crate) async fn ask(&self, subject: Subject) -> Result<Reply, HarnessError> {
        self.caller()?.ask(self.request(subject)?).await
    }

    /// An honest check, which must be answered.
    pub(crate) async fn honest(&self) -> Result<(), HarnessError> {
        let reply = self.ask(Subject::Fields).await?;
        if reply.code() == "match" {
            return Ok(());
        }
        Err(HarnessError::Unexpected(format!("{}: an honest answer came to {}", self.form, reply.code())))
    }

    /// An honest check that may have begun on a connection that was ending.
    async fn honest_or_unanswered(&self) -> Result<(), HarnessError> {
        match self.ask(Subject::Fields).await?.code().as_str() {
            "match" => Ok(()),
            "outcome-unknown" => self.honest().await,
            code => Err(HarnessError::Unexpected(format!("{}: an honest answer came to {code}", self.form))),
        }
    }

    /// Every row of the form.
    pub(crate) async fn run(&self) -> Result<Vec<Trial>, HarnessError> {
        let rows = of(self.form);
        let mut trials = self.try_all(&rows).await?;
        let tried: BTreeSet<_> = trials.iter().map(|trial| trial.row.name).collect();
        let missed = rows.into_iter().filter(|row| !tried.contains(row.name));
        trials.extend(missed.map(|row| Trial { row, how: "at all", problem: Some("never tried".to_owned()) }));
        Ok(trials)
    }

    async fn try_all(&self, rows: &[Row]) -> Result<Vec<Trial>, HarnessError> {
        let (patient, prompt): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|row| row.patient);
        let (connections, answers): (Vec<_>, Vec<_>) = rows.iter().copied().partition(Row::is_about_connections);
        if self.form == Form::TwoStep {
            // An honest answer to the application, and then the row; and the row in place of that answer.
            let mut trials = self.one_by_one(&prompt, &[None], "alone").await?;
            let applications: Vec<_> = prompt.iter().copied().filter(|row| befalls_applications(*row)).collect();
            trials.extend(self.one_by_one(&applications, &[], "application").await?);
            trials.extend(self.side_by_side(&applications, Some("application"), "applications in flight").await?);
            trials.extend(self.side_by_side(&prompt, Some("check"), "in flight").await?);
            trials.extend(self.apart(&prompt, Some("check")).await?);
            return Ok(trials);
        }
        let mut trials = self.one_by_one(&prompt, &[], "alone").await?;
        let patient: Vec<_> = patient.into_iter().filter(|row| !row.is_about_connections()).collect();
        trials.extend(self.side_by_side(&patient, None, "side by side").await?);
        for reason in connections.iter().map(|row| row.stopped).collect::<BTreeSet<_>>() {
            let alike: Vec<_> = connections.iter().copied().filter(|row| row.stopped == reason).collect();
            trials.extend(self.unconnected(&alike).await?);
        }
        for subject in Subject::ALL {
            let rows: Vec<_> = answers.iter().copied().filter(|row| row.subject == subject).collect();
            trials.extend(self.side_by_side(&rows, None, "in flight").await?);
        }
        trials.extend(self.apart(&answers, None).await?);
        Ok(trials)
    }

    /// `before`: orders for the answers before the one that counts.
    async fn one_by_one(
        &self,
        rows: &[Row],
        before: &[Option<&str>],
        how: &'static str,
    ) -> Result<Vec<Trial>, HarnessError> {
        let mut ended = Vec::new();
        for row in rows {
            let orders = [before, &[Some(row.name)]].concat();
            if row.is_about_connections() {
                tokio::time::sleep(FORGOTTEN).await;
            }
            self.site.sim().enqueue(&orders).await?;
            let reply = self.ask(row.subject).await?;
            ended.push((*row, reply.id(), reply.code()));
            // Whatever came over a connection, what comes next over it or another is what was asked for.
            if row.spoils_the_connection() {
                self.honest_or_unanswered().await?;
            } else if row.stopped.is_none_or(|(check, _)| matches!(check, Check::Transport)) {
                self.honest().await?;
            }
        }
        self.honest().await?;
        let told = self.told()?;
        let trial = |(row, id, code): (Row, String, String)| {
            let problem = judge(row, &code, told.get(&id));
            Trial { row, how, problem }
        };
        Ok(ended.into_iter().map(trial).collect())
    }

    /// All at once as far as [`IN_FLIGHT`] allows, in the answers to one step where there are two. Which check met which row is
    /// known by the nonce that both ends saw.
    async fn side_by_side(
        &self,
        rows: &[Row],
        step: Option<&str>,
        how: &'static str,
    ) -> Result<Vec<Trial>, HarnessError> {
        let rows: Vec<_> = rows.iter().copied().filter(|row| !row.spoils_the_connection()).collect();
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let mut orders: Vec<Option<&str>> = Vec::new();
        for (index, row) in shuffled(&rows).into_iter().enumerate() {
            if index % HONEST == 0 {
                orders.push(None);
            }
            orders.push(Some(row.name));
        }
        let replies = self.flood(&orders, step, first.subject).await?;
        self.sort_out(&rows, &replies, how).await
    }

    /// So many requests, written before the first of them is answered: none begins on a connection that another's answer spoilt.
    async fn apart(&self, rows: &[Row], step: Option<&str>) -> Result<Vec<Trial>, HarnessError> {
        let rows: Vec<_> = rows.iter().copied().filter(Row::spoils_the_connection).collect();
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        tokio::time::sleep(FORGOTTEN).await;
        self.site.sim().delay(WRITTEN_MS).await?;
        let orders: Vec<_> = rows.iter().cycle().take(IN_FLIGHT).map(|row| Some(row.name)).collect();
        let replies = self.flood(&orders, step, first.subject).await;
        self.site.sim().delay(0).await?;
        let trials = self.sort_out(&rows, &replies?, "in flight").await?;
        tokio::time::sleep(FORGOTTEN).await;
        Ok(trials)
    }

    /// Every new connection is refused, or ends in its first request, for these rows alike.
    async fn unconnected(&self, rows: &[Row]) -> Result<Vec<Trial>, HarnessError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        tokio::time::sleep(FORGOTTEN).await;
        let orders: Vec<_> = rows.iter().map(|row| Some(row.name)).collect();
        let replies = self.flood(&orders, None, Subject::Fields).await?;
        let told = self.told()?;
        // Which met which nobody knows; they are all to end alike.
        let trial = |(row, reply): (&Row, &Reply)| {
            let problem = judge(*row, &reply.code(), told.get(&reply.id()));
            Trial { row: *row, how: "in flight", problem }
        };
        Ok(rows.iter().zip(&replies).map(trial).collect())
    }

    /// Orders these, and asks as often.
    async fn flood(
        &self,
        orders: &[Option<&str>],
        step: Option<&str>,
        subject: Subject,
    ) -> Result<Vec<Reply>, HarnessError> {
        match step {
            Some(step) => self.site.sim().enqueue_to(step, orders).await?,
            None => self.site.sim().enqueue(orders).await?,
        }
        let (caller, request) = (self.caller()?, self.request(subject)?.clone());
        let gate = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut checks = JoinSet::new();
        for _ in orders {
            let (caller, request, gate) = (caller.clone(), request.clone(), Arc::clone(&gate));
            checks.spawn(async move {
                let _place = gate.acquire().await;
                caller.ask(&request).await
            });
        }
        let mut replies = Vec::new();
        while let Some(reply) = checks.join_next().await {
            replies.push(reply.map_err(|error| HarnessError::Unexpected(error.to_string()))??);
        }
        Ok(replies)
    }

    async fn sort_out(&self, rows: &[Row], replies: &[Reply], how: &'static str) -> Result<Vec<Trial>, HarnessError> {
        let told = self.told()?;
        let seen = self.site.sim().seen().await?;
        let orders: BTreeMap<String, String> = seen
            .into_iter()
            .filter_map(|seen| Some((in_hexadecimal(&seen.nonce?), seen.misbehaviour.unwrap_or_default())))
            .collect();
        let mut trials = Vec::new();
        let subject = rows.first().map_or(Subject::Fields, |row| row.subject);
        let rows: BTreeMap<&str, Row> = rows.iter().map(|row| (row.name, *row)).collect();
        let mut waiting = rows.clone();
        for reply in replies {
            let record = told.get(&reply.id());
            let met = record.into_iter().flat_map(|told| &told.nonces).filter_map(|nonce| orders.get(nonce));
            let row = match met.map(String::as_str).find(|name| !name.is_empty()) {
                None => Row { subject, ..HONEST_ANSWER },
                Some(name) => {
                    waiting.remove(name);
                    rows.get(name).copied().unwrap_or(HONEST_ANSWER)
                }
            };
            trials.push(Trial { row, how, problem: judge(row, &reply.code(), record) });
        }
        let missed = |row| Trial { row, how, problem: Some("no check met it".to_owned()) };
        trials.extend(waiting.into_values().map(missed));
        Ok(trials)
    }

    /// By verification.
    fn told(&self) -> Result<BTreeMap<String, Told>, HarnessError> {
        let mut all: BTreeMap<String, Told> = BTreeMap::new();
        for record in block_in_place(|| self.site.ledger_records())? {
            let told = all.entry(record.verification()).or_default();
            match record.kind().as_str() {
                "intent" => told.nonces.push(record.text("/body/nonce")),
                "exchange" => told.nonces.push(record.text("/body/next/nonce")),
                "outcome" => {
                    told.steps = record.steps();
                    (told.reason, told.verdict) = (record.reason(), record.verdict());
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// What differs between the daemon's counters of refusals and the ledger, reason by reason. Not after a restart, which counts anew.
    pub(crate) async fn miscounted(&self) -> Result<Option<String>, HarnessError> {
        let counted = self.site.metrics().await?.by_label("yanqian_refusals_total", "reason");
        let (_, recorded) = Record::count_ends(&block_in_place(|| self.site.ledger_records())?);
        Ok((counted != recorded).then(|| format!("counted {counted:?}, on record {recorded:?}")))
    }

    /// The revocation lists that an answer rests on.
    pub(crate) fn lists(&self, reply: &Reply) -> Result<String, HarnessError> {
        Ok(block_in_place(|| self.site.records_of(&reply.id()))?
            .last()
            .map(|last| last.text("/body/revocation"))
            .unwrap_or_default())
    }

    /// The last record's end, for a check that was made alone.
    pub(crate) fn judge_alone(&self, row: Row, reply: &Reply) -> Result<Option<String>, HarnessError> {
        let records = block_in_place(|| self.site.records_of(&reply.id()))?;
        let steps = records.last().map(Record::steps).unwrap_or_default();
        let (reason, verdict) = records.last().map(|last| (last.reason(), last.verdict())).unwrap_or_default();
        Ok(judge(row, &reply.code(), Some(&Told { nonces: Vec::new(), reason, verdict, steps })))
    }
}

/// A nonce as the ledger writes it: one form sends 22 digits of base64url.
fn in_hexadecimal(nonce: &str) -> String {
    let base64 = format!("{}==", nonce.replace('-', "+").replace('_', "/"));
    let octets = if nonce.len() == 22 { openssl::base64::decode_block(&base64).ok() } else { None };
    octets.map_or_else(|| nonce.to_owned(), hex::encode)
}

/// Another order, the same in every run: neighbours in the table are of one kind.
fn shuffled(rows: &[Row]) -> Vec<Row> {
    let mut keyed: Vec<_> = rows.iter().copied().enumerate().collect();
    keyed.sort_by_key(|(index, _)| (index * 7919) % 1009);
    keyed.into_iter().map(|(_, row)| row).collect()
}
