//! `yanqian ledger`: checkpoints, proofs and witnesses.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use yanqian_evidence::proof::{MAX_CONSISTENCY, Nodes as _};
use yanqian_evidence::{CheckpointKey, Consistency, Inclusion, Receipt, RootHash, SignedCheckpoint};
use yanqian_hsm::WorkerClient;
use yanqian_ledger::tree::{Anchors, Checkpoints, Cosigned, TileReader, Witness, WitnessError};
use yanqian_messages::pem_encode;
use yanqian_sm::{Signature, verify};
use yanqian_vocabulary::ContentDigest;

use super::output::{say, write};
use super::small_runtime;
use crate::anchoring::{self, checkpoint_key, ledgers, places};
use crate::config::{CheckpointConfig, Config};
use crate::parts;
use crate::tokens::client;

#[derive(Args, Debug)]
pub(super) struct WithConfig {
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Key {
    #[command(flatten)]
    with: WithConfig,
    /// As PEM, for `checkpoints.public_key`; otherwise as it stands in an auditor's ledgers.toml
    #[arg(long)]
    pem: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum Checkpoint {
    /// Print a checkpoint of this ledger
    #[command(
        after_help = "Example:\n  yanqian ledger checkpoint show --config /etc/yanqian/yanqian.toml > checkpoint"
    )]
    Show(Show),
    /// Take a checkpoint of this ledger that a witness cosigned
    #[command(
        after_help = "Puts it into `checkpoints.cosigned_file`, which the next start compares with the ledger, and beside the checkpoint, for receipts.\n\nExample:\n  yanqian ledger checkpoint take --config /etc/yanqian/yanqian.toml checkpoint.cosigned"
    )]
    Take(Take),
}

#[derive(Args, Debug)]
pub(super) struct Show {
    #[command(flatten)]
    with: WithConfig,
    /// The first that covers this record, by its sequence; the last one when absent
    #[arg(long, value_name = "SEQUENCE")]
    covering: Option<u64>,
}

#[derive(Args, Debug)]
pub(super) struct Take {
    #[command(flatten)]
    with: WithConfig,
    /// The cosigned checkpoint
    file: PathBuf,
}

#[derive(Subcommand, Debug)]
pub(super) enum Prove {
    /// That a record is in the ledger of the last checkpoint
    #[command(
        after_help = "Example:\n  yanqian ledger prove inclusion --config /etc/yanqian/yanqian.toml --sequence 4711 > proof.json"
    )]
    Inclusion(ProveInclusion),
    /// That the ledger of the last checkpoint grew out of an earlier one
    #[command(
        after_help = "Example:\n  yanqian ledger prove consistency --config /etc/yanqian/yanqian.toml --from 4000 > proof.json"
    )]
    Consistency(ProveConsistency),
}

#[derive(Args, Debug)]
pub(super) struct ProveInclusion {
    #[command(flatten)]
    with: WithConfig,
    /// The record
    #[arg(long)]
    sequence: u64,
}

#[derive(Args, Debug)]
pub(super) struct ProveConsistency {
    #[command(flatten)]
    with: WithConfig,
    /// Records of the earlier checkpoint
    #[arg(long, value_name = "SIZE")]
    from: u64,
}

#[derive(Args, Debug)]
pub(super) struct Cosign {
    #[command(flatten)]
    with: WithConfig,
    /// The other node's checkpoint
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Its tiles: a copy of what it serves
    #[arg(long, value_name = "DIR", conflicts_with = "proof")]
    tiles: Option<PathBuf>,
    /// Its proof from the checkpoint that was cosigned last (`yanqian ledger prove consistency`)
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Where to write the cosigned checkpoint; standard output when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Anchor {
    #[command(flatten)]
    with: WithConfig,
    /// The receipt, pending or anchored
    receipt: PathBuf,
}

type Outcome = Result<(), String>;

fn load(with: &WithConfig) -> Result<Config, String> {
    Config::load(&with.config).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn named(file: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

fn settings(config: &Config) -> Result<&CheckpointConfig, String> {
    config.checkpoints.as_ref().ok_or_else(|| named(&config.file, "key `checkpoints.key`: is missing"))
}

pub(super) fn key(arguments: &Key) -> Outcome {
    let config = load(&arguments.with)?;
    let settings = settings(&config)?;
    let token = config.hsm.tokens.first().ok_or("no token is configured")?;
    let label = token.labels.get(&settings.label).unwrap_or(&settings.label);
    let worker = async { WorkerClient::new(client(&config, token)).public_key(label).await };
    let key = small_runtime().map_err(text)?.block_on(worker).map_err(text)?;
    if arguments.pem {
        return write(pem_encode("PUBLIC KEY", &key.to_spki_der()).as_bytes()).map_err(text);
    }
    let origin = parts::origin(&config).map_err(text)?;
    let base64 = STANDARD.encode(key.to_spki_der());
    say(format_args!("[[ledgers]]\norigin = \"{origin}\"\nname = \"{origin}\"\nkey = \"{base64}\""));
    Ok(())
}

/// The last checkpoint, or the first that covers a record.
fn checkpoint(config: &Config, covering: Option<u64>) -> Result<SignedCheckpoint, String> {
    let checkpoints = Checkpoints::new(&places(config).checkpoints);
    let size = match covering {
        Some(sequence) => checkpoints.first_covering(sequence),
        None => checkpoints.latest(),
    };
    let signed = size.map_err(text)?.map(|size| checkpoints.read(size)).transpose().map_err(text)?.flatten();
    signed.ok_or_else(|| "there is no such checkpoint yet".to_owned())
}

pub(super) fn checkpoint_command(command: &Checkpoint) -> Outcome {
    match command {
        Checkpoint::Show(arguments) => {
            let signed = checkpoint(&load(&arguments.with)?, arguments.covering)?;
            write(signed.to_string().as_bytes()).map_err(text)
        }
        Checkpoint::Take(arguments) => {
            let config = load(&arguments.with)?;
            let settings = settings(&config)?;
            let signed = read_checkpoint(&arguments.file)?;
            let key = checkpoint_key(&config, settings).map_err(text)?;
            anchoring::is_cosigned(&config, settings, &key, &signed).map_err(|error| named(&arguments.file, error))?;
            let file = settings.cosigned.as_ref();
            let file = file.ok_or_else(|| named(&config.file, "key `checkpoints.cosigned_file`: is missing"))?;
            let known = anchoring::known_keys(&config, settings, &key).map_err(text)?;
            Checkpoints::new(&places(&config).checkpoints).keep_keys(&known).map_err(text)?;
            let changed = Cosigned::new(file).take(&signed, &places(&config)).map_err(text)?;
            let what = if changed { "holds it now" } else { "holds a later one" };
            say(format_args!("{} records; {} {what}", signed.checkpoint.size, file.display()));
            Ok(())
        }
    }
}

fn read_checkpoint(file: &Path) -> Result<SignedCheckpoint, String> {
    let octets = std::fs::read(file).map_err(|error| named(file, error))?;
    SignedCheckpoint::from_octets(&octets).map_err(|error| named(file, error))
}

/// A proof as a file, with the checkpoint that it leads to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProof {
    v: u64,
    /// `inclusion` or `consistency`.
    proof: String,
    /// The leaf's place, or the records of the earlier tree.
    from: u64,
    /// Of an inclusion proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_hash: Option<String>,
    path: Vec<String>,
    checkpoint: String,
}

fn hex(hash: &RootHash) -> String {
    ContentDigest::new(*hash.as_bytes()).to_string()
}

fn say_proof(kind: &str, from: u64, leaf: Option<&RootHash>, path: &[RootHash], to: &SignedCheckpoint) -> Outcome {
    let proof = WireProof {
        v: 1,
        proof: kind.to_owned(),
        from,
        leaf_hash: leaf.map(hex),
        path: path.iter().map(hex).collect(),
        checkpoint: to.to_string(),
    };
    say(serde_json::to_string_pretty(&proof).map_err(text)?);
    Ok(())
}

pub(super) fn prove(command: &Prove) -> Outcome {
    let (with, from) = match command {
        Prove::Inclusion(arguments) => (&arguments.with, arguments.sequence),
        Prove::Consistency(arguments) => (&arguments.with, arguments.from),
    };
    let config = load(with)?;
    let signed = checkpoint(&config, None)?;
    let size = signed.checkpoint.size;
    let tiles = TileReader::new(&places(&config).tree, size);
    let outside = || format!("the last checkpoint covers records 1 to {size}");
    match command {
        Prove::Inclusion(_) => {
            let index = from.checked_sub(1).ok_or_else(outside)?;
            let proof = Inclusion::of(&tiles, index, size).map_err(text)?.ok_or_else(outside)?;
            let leaf = tiles.node(0, index).map_err(text)?;
            let proven = proof.verify(yanqian_evidence::LeafHash::new(*leaf.as_bytes()), size, signed.checkpoint.root);
            proven.map_err(text)?;
            say_proof("inclusion", index, Some(&leaf), &proof.path, &signed)
        }
        Prove::Consistency(_) => {
            let proof = Consistency::of(&tiles, from, size).map_err(text)?.ok_or_else(outside)?;
            say_proof("consistency", from, None, &proof.path, &signed)
        }
    }
}

fn read_consistency(file: &Path, from: u64) -> Result<Consistency, String> {
    let octets = std::fs::read(file).map_err(|error| named(file, error))?;
    let wire: WireProof = serde_json::from_slice(&octets).map_err(|error| named(file, error))?;
    if wire.v != 1 || wire.proof != "consistency" || wire.from != from || wire.path.len() > MAX_CONSISTENCY {
        return Err(named(file, format_args!("is not a consistency proof from {from} records")));
    }
    let hash = |text: &String| text.parse::<ContentDigest>().map(|digest| RootHash::new(*digest.as_bytes()));
    let path = wire.path.iter().map(hash).collect::<Result<_, _>>().map_err(|error| named(file, error))?;
    Ok(Consistency { path })
}

pub(super) fn witness(arguments: &Cosign) -> Outcome {
    let config = load(&arguments.with)?;
    let settings = settings(&config)?;
    let own = checkpoint_key(&config, settings).map_err(text)?;
    let mut signed = read_checkpoint(&arguments.checkpoint)?;
    let known = ledgers(&config, settings).map_err(text)?.ledgers;
    let of_origin = known.into_iter().filter(|(origin, _)| *origin == signed.checkpoint.origin);
    let keys: Vec<CheckpointKey> = of_origin.map(|(_, key)| key).collect();
    let mut unproven = None;
    let witness = Witness::open(&settings.witness_dir).map_err(text)?;
    let size = signed.checkpoint.size;
    let admitted = witness.admit(&signed, &own.name, &keys, |from| {
        let proof = match (&arguments.tiles, &arguments.proof) {
            (Some(tiles), _) => {
                Consistency::of(&TileReader::new(tiles, size), from, size).map_err(text).map(Option::unwrap_or_default)
            }
            (None, Some(file)) => read_consistency(file, from),
            (None, None) => {
                Err(format!("{from} records were cosigned before: --tiles or --proof must show that they are kept"))
            }
        };
        proof.map_err(|problem| {
            unproven = Some(problem);
            WitnessError::Unproven
        })
    });
    admitted.map_err(|error| unproven.unwrap_or_else(|| error.to_string()))?;
    let line = sign(&config, settings, &own, &signed)?;
    signed.add(line).map_err(text)?;
    match &arguments.out {
        Some(file) => std::fs::File::create(file)
            .and_then(|mut out| out.write_all(signed.to_string().as_bytes()))
            .map_err(|error| named(file, error)),
        None => write(signed.to_string().as_bytes()).map_err(text),
    }
}

/// This node's signature over another's checkpoint, from the first token that makes one.
fn sign(
    config: &Config,
    settings: &CheckpointConfig,
    key: &CheckpointKey,
    signed: &SignedCheckpoint,
) -> Result<yanqian_evidence::SignatureLine, String> {
    let (digest, message) = (key.digest(&signed.checkpoint), signed.checkpoint.to_string());
    let runtime = small_runtime().map_err(text)?;
    let mut problem = "no token is configured".to_owned();
    for token in &config.hsm.tokens {
        let label = token.labels.get(&settings.label).unwrap_or(&settings.label);
        let signing =
            async { WorkerClient::new(client(config, token)).sign(label, &digest, Some(message.as_bytes())).await };
        let signature = runtime.block_on(signing).map_err(text);
        let signature = signature.and_then(|raw| Signature::from_raw(&raw).map_err(text));
        match signature {
            Ok(signature) if verify(&key.public, &digest, &signature).is_ok() => return Ok(key.line(&signature)),
            Ok(_) => problem = format!("token `{}`: key `{label}` is not that of `checkpoints.public_key`", token.name),
            Err(error) => problem = format!("token `{}`: {error}", token.name),
        }
    }
    Err(problem)
}

pub(super) fn anchor(arguments: &Anchor) -> Outcome {
    let config = load(&arguments.with)?;
    let file = &arguments.receipt;
    let octets = std::fs::read(file).map_err(|error| named(file, error))?;
    let receipt = Receipt::from_json(&octets).map_err(|error| named(file, error))?;
    let mut records = Vec::new();
    for entry in &receipt.records {
        let record = entry.decode().map_err(|error| named(file, error))?;
        records.push((record.sequence, entry.leaf));
    }
    let anchor = Anchors::new(places(&config)).anchor(&records).map_err(text)?;
    let anchor = anchor.ok_or("no checkpoint covers the receipt's records yet")?;
    say(receipt.anchored(anchor).map_err(text)?.to_json());
    Ok(())
}
