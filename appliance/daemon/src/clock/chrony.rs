//! What chrony says of the clock: one question and answer of its monitoring protocol (version 6, chrony 2.0 and later), which
//! chronyd answers to anybody on this machine. The answer comes from port 323, which only root can have.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long chronyd may take.
const LIMIT: Duration = Duration::from_secs(1);
const VERSION: u8 = 6;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const TRACKING: u16 = 33;
const TRACKING_REPLY: u16 = 5;
/// Octets of the answer; the question is as long, so that nobody gains by asking in another's name.
const LENGTH: usize = 104;
/// The leap status that means "not synchronised".
const UNSYNCHRONISED: u16 = 3;

/// What chrony knows of this clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tracking {
    pub(super) synchronised: bool,
    /// The furthest that the clock can be off: its present correction, the root dispersion and half of the root delay.
    pub(super) error: Duration,
}

/// Asks chronyd on this machine.
pub(super) async fn tracking(port: u16) -> Result<Tracking, String> {
    let failed = |error: std::io::Error| format!("chrony cannot be asked: {error}");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    // Connected: answers of anybody else do not arrive.
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(failed)?;
    let mut sequence = [0; 4];
    getrandom::fill(&mut sequence).map_err(|error| error.to_string())?;
    socket.send(&question(sequence)).await.map_err(failed)?;
    let mut answer = [0; 2 * LENGTH];
    let received = timeout(LIMIT, socket.recv(&mut answer)).await.map_err(|_| "chrony does not answer".to_owned())?;
    read(&answer[..received.map_err(failed)?], sequence)
        .ok_or_else(|| "chrony's answer is not what was asked for".to_owned())
}

fn question(sequence: [u8; 4]) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    octets[..2].copy_from_slice(&[VERSION, REQUEST]);
    octets[4..6].copy_from_slice(&TRACKING.to_be_bytes());
    octets[8..12].copy_from_slice(&sequence);
    octets
}

/// None for anything but the answer to the question with this sequence number.
fn read(answer: &[u8], sequence: [u8; 4]) -> Option<Tracking> {
    let answer: &[u8; LENGTH] = answer.try_into().ok()?;
    let short = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let long = |at: usize| u32::from_be_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]);
    let ours = answer[..2] == [VERSION, REPLY]
        && short(4) == TRACKING
        && short(6) == TRACKING_REPLY
        && short(8) == 0
        && answer[16..20] == sequence;
    if !ours {
        return None;
    }
    let (correction, delay, dispersion) = (float(long(68)), float(long(92)), float(long(96)));
    let error = Duration::try_from_secs_f64(correction.abs() + dispersion.abs() + delay.abs() / 2.0).ok()?;
    Some(Tracking { synchronised: short(54) != UNSYNCHRONISED, error })
}

/// Chrony's own form of numbers: seven bits of exponent and 25 of coefficient, both signed; the coefficient is a fraction.
fn float(octets: u32) -> f64 {
    let coefficient = (octets << 7).cast_signed() >> 7;
    let exponent = octets.cast_signed() >> 25;
    f64::from(coefficient) * f64::from(exponent - 25).exp2()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use proptest::prelude::*;

    use super::*;

    fn answer(leap: u16, correction: u32, delay: u32, dispersion: u32) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets[..2].copy_from_slice(&[VERSION, REPLY]);
        octets[4..8].copy_from_slice(&[0, 33, 0, 5]);
        octets[16..20].copy_from_slice(b"seqn");
        octets[54..56].copy_from_slice(&leap.to_be_bytes());
        octets[68..72].copy_from_slice(&correction.to_be_bytes());
        octets[92..96].copy_from_slice(&delay.to_be_bytes());
        octets[96..100].copy_from_slice(&dispersion.to_be_bytes());
        octets
    }

    /// The coefficient is 2^24 and the exponent such that it is this power of two.
    pub(in super::super) fn power(of_two: i32) -> u32 {
        ((of_two + 2).cast_unsigned() << 25) | (1 << 23)
    }

    /// A port at which somebody says, as chronyd would, that the clock is synchronised and off by so much at most.
    pub(in super::super) async fn vouching(correction: u32) -> u16 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut question = [0; LENGTH];
            while let Ok((_, from)) = socket.recv_from(&mut question).await {
                let mut octets = answer(0, correction, 0, 0);
                octets[16..20].copy_from_slice(&question[8..12]);
                let _ = socket.send_to(&octets, from).await;
            }
        });
        port
    }

    #[test]
    fn numbers_are_read_as_chrony_writes_them() {
        assert!((float(power(0)) - 1.0).abs() < f64::EPSILON);
        assert!((float(power(-10)) - 2f64.powi(-10)).abs() < f64::EPSILON);
        assert!(float(0).abs() < f64::EPSILON);
        // -1 = -2^24 * 2^-24: the least coefficient, exponent 1.
        assert!((float((1 << 25) | (1 << 24)) + 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_error_is_correction_and_dispersion_and_half_the_delay() {
        let tracking = read(&answer(0, power(-2), power(-3), power(-4)), *b"seqn").unwrap();
        assert_eq!(tracking, Tracking { synchronised: true, error: Duration::from_millis(375) });
        assert!(!read(&answer(3, 0, 0, 0), *b"seqn").unwrap().synchronised);
    }

    #[test]
    fn what_is_not_the_answer_to_this_question_is_not_read() {
        let good = answer(0, 0, 0, 0);
        assert!(read(&good, *b"other".first_chunk().unwrap()).is_none());
        assert!(read(&good[..LENGTH - 1], *b"seqn").is_none());
        assert!(read(&[&good[..], &[0]].concat(), *b"seqn").is_none());
        for at in [0, 1, 5, 7, 9, 16] {
            let mut other = good;
            other[at] ^= 1;
            assert!(read(&other, *b"seqn").is_none(), "octet {at}");
        }
    }

    /// A real chronyd, with a clock of its own that it does not steer (`-x`), where one is installed.
    #[tokio::test]
    async fn a_real_chronyd_answers_as_it_is_read_here() {
        let known = ["/usr/sbin/chronyd", "/usr/local/sbin/chronyd"].map(std::path::PathBuf::from);
        let named = std::env::var_os("CHRONYD").map(std::path::PathBuf::from);
        let Some(program) = named.into_iter().chain(known).find(|program| program.exists()) else {
            eprintln!("SKIPPED: chronyd is not installed (package chrony, or CHRONYD=path)");
            return;
        };
        let directory = tempfile::tempdir().unwrap();
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (config, synchronised) in [("local stratum 10\n", true), ("", false)] {
            let file = directory.path().join("chrony.conf");
            let at = directory.path().display();
            let common =
                format!("port 0\ncmdport {free}\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\npidfile {at}/pid\n");
            std::fs::write(&file, common + config).unwrap();
            let mut process = std::process::Command::new(&program)
                .args(["-x", "-d", "-u", "root", "-f"])
                .arg(&file)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let mut found = Err("not asked".to_owned());
            // A local reference is taken a moment after the start.
            for _ in 0..100 {
                found = tracking(free).await;
                if found.as_ref().is_ok_and(|tracking| tracking.synchronised == synchronised) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let _ = process.kill();
            let _ = process.wait();
            let tracking = found.unwrap();
            assert_eq!(tracking.synchronised, synchronised, "{tracking:?}");
            assert!(!synchronised || tracking.error < Duration::from_secs(1), "{tracking:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_answers_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), LENGTH)) {
            let mut octets = octets;
            read(&octets, *b"seqn");
            octets[..20].copy_from_slice(&answer(0, 0, 0, 0)[..20]);
            // An error that no duration can hold is refused; nothing panics and nothing is negative.
            if let Some(tracking) = read(&octets, *b"seqn") {
                prop_assert!(tracking.error.as_secs_f64() >= 0.0);
            }
        }
    }
}
