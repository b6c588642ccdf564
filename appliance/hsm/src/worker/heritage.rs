//! What a worker leaves to its successor: the listening socket, and the lock where it made the socket itself. Both ends of the channel
//! on which the two talk; each message is one CBOR item.
//!
//! The successor finds the channel as its standard input, and believes it only when its other end is its parent's, under its own uid.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minicbor::{Decode, Encode};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{geteuid, getppid};

/// Tells a process that it is a successor: its predecessor's process id.
pub(super) const PREDECESSOR: &str = "YANQIAN_HSM_PREDECESSOR";
/// Changes with the messages below. Both sides must have the same.
const VERSION: u32 = 1;
/// Octets of one message at most; paths of sockets have 108, reasons are cut.
const MAX_MESSAGE: usize = 4096;
const MAX_REASON: usize = 2048;

/// The first message. The listener comes with it, then the lock if there is one.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Testament {
    #[n(0)]
    version: u32,
    /// Where the predecessor made the socket; none when the service manager did.
    #[cbor(n(1), with = "minicbor::bytes")]
    socket: Option<Vec<u8>>,
    /// Sessions that the predecessor holds.
    #[n(2)]
    sessions: u32,
}

/// What the two say afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) enum Word {
    /// The successor: every key has proven itself.
    #[n(0)]
    Ready,
    /// The successor: it does not come up, and why.
    #[n(1)]
    Failed(#[n(0)] String),
    /// The predecessor: serve.
    #[n(2)]
    TakeOver,
    /// The successor: it accepts connections.
    #[n(3)]
    Serving,
}

/// What is left to a successor.
#[derive(Debug)]
pub(super) struct Heritage {
    pub(super) listener: OwnedFd,
    /// Path and lock of a socket that a worker made.
    pub(super) made: Option<(PathBuf, OwnedFd)>,
    pub(super) sessions: u32,
}

impl Heritage {
    pub(super) fn copy(&self) -> io::Result<Self> {
        let copied = |(path, lock): &(PathBuf, OwnedFd)| Ok::<_, io::Error>((path.clone(), lock.try_clone()?));
        let made = self.made.as_ref().map(copied).transpose()?;
        Ok(Self { listener: self.listener.try_clone()?, made, sessions: self.sessions })
    }
}

/// One end of the channel.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    #[cfg(test)]
    pub(super) const fn of(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (here, there) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(here), there))
    }

    /// The channel to this process's predecessor, if it has one.
    pub(super) fn to_predecessor() -> Result<Option<Self>, String> {
        let Some(named) = std::env::var_os(PREDECESSOR) else { return Ok(None) };
        let parent = getppid();
        // Left over in the environment of something that a successor started.
        if parent.is_none_or(|parent| OsStr::new(&parent.as_raw_nonzero().to_string()) != named) {
            return Ok(None);
        }
        let failed = |error: io::Error| format!("the channel to the predecessor: {error}");
        let channel = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let peer = socket_peercred(&channel).map_err(|error| failed(error.into()))?;
        if Some(peer.pid) != parent || peer.uid != geteuid() {
            return Err("the channel to the predecessor is not the predecessor's".into());
        }
        Ok(Some(Self(channel)))
    }

    /// Reading fails with [`io::ErrorKind::WouldBlock`] after this long.
    pub(super) fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(limit))?)
    }

    pub(super) fn bequeath(&self, heritage: &Heritage) -> io::Result<()> {
        let socket = heritage.made.as_ref().map(|(path, _)| path.as_os_str().as_bytes().to_vec());
        let testament = Testament { version: VERSION, socket, sessions: heritage.sessions };
        let message = encode(&testament)?;
        let mut passed: Vec<BorrowedFd<'_>> = vec![heritage.listener.as_fd()];
        passed.extend(heritage.made.as_ref().map(|(_, lock)| lock.as_fd()));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&passed)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(&self.0, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// What the predecessor leaves. `configured` is the socket of this process's configuration, which must be the one that it gets.
    pub(super) fn inherit(&self, configured: &Path) -> Result<Heritage, String> {
        let failed = |error: &dyn std::fmt::Display| format!("what the predecessor leaves: {error}");
        let mut message = [0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut message)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .map_err(|error| failed(&error))?;
        let mut passed = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let testament: Testament =
            minicbor::decode(&message[..received.bytes]).map_err(|_| failed(&"not in the expected form"))?;
        if testament.version != VERSION {
            return Err(format!(
                "this worker succeeds by version {VERSION} of the handing over, its predecessor by {}: restart instead",
                testament.version
            ));
        }
        let listener = passed.next().ok_or_else(|| failed(&"no socket"))?;
        let made = testament.socket.map(|path| PathBuf::from(OsStr::from_bytes(&path))).zip(passed.next());
        if let Some((path, _)) = &made
            && path != configured
        {
            return Err(format!(
                "socket: {} cannot become {} while clients are served; restart instead",
                path.display(),
                configured.display()
            ));
        }
        Ok(Heritage { listener, made, sessions: testament.sessions })
    }

    pub(super) fn say(&self, word: &Word) -> io::Result<()> {
        send(&self.0, &encode(word)?, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Says that this process does not come up. Who has nobody to tell it to has logged it.
    pub(super) fn say_failed(&self, reason: &str) {
        let reason = reason.chars().take(MAX_REASON / 4).collect();
        let _ = self.say(&Word::Failed(reason));
    }

    /// The other's next word; none when it is gone.
    pub(super) fn hear(&self) -> io::Result<Option<Word>> {
        let mut message = [0; MAX_MESSAGE];
        let length = match recv(&self.0, &mut message, RecvFlags::empty()) {
            // Gone without having read what was said to it.
            Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => other?.1,
        };
        let heard = message.get(..length).and_then(|message| minicbor::decode(message).ok());
        heard.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn encode(message: &impl Encode<()>) -> io::Result<Vec<u8>> {
    let message = minicbor::to_vec(message).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    if message.len() > MAX_MESSAGE { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(message) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn heritage(directory: &Path, made: bool) -> Heritage {
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let lock = std::fs::File::create(directory.join("lock")).unwrap();
        Heritage { listener: listener.into(), made: made.then(|| (path, lock.into())), sessions: 5 }
    }

    #[test]
    fn what_is_left_arrives_and_listens() {
        for made in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let (here, there) = Channel::pair().unwrap();
            here.bequeath(&heritage(directory.path(), made)).unwrap();
            let path = directory.path().join("socket");
            let left = Channel(there).inherit(&path).unwrap();
            assert_eq!((left.made.is_some(), left.sessions), (made, 5));
            let _client = UnixStream::connect(&path).unwrap();
            UnixListener::from(left.listener).accept().unwrap();
        }
    }

    #[test]
    fn a_socket_at_another_place_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let (here, there) = Channel::pair().unwrap();
        here.bequeath(&heritage(directory.path(), true)).unwrap();
        let error = Channel(there).inherit(Path::new("/elsewhere")).unwrap_err();
        assert!(error.starts_with("socket: ") && error.contains("/elsewhere"), "{error}");
    }

    #[test]
    fn words_arrive_whole_nonsense_is_told_and_so_is_the_end() {
        let (here, there) = Channel::pair().unwrap();
        let there = Channel(there);
        for word in [Word::Ready, Word::TakeOver, Word::Serving] {
            here.say(&word).unwrap();
            assert_eq!(there.hear().unwrap(), Some(word));
        }
        here.say_failed(&"钥".repeat(10_000));
        assert!(matches!(there.hear().unwrap(), Some(Word::Failed(_))));
        send(&here.0, b"\xff", SendFlags::empty()).unwrap();
        assert_eq!(there.hear().unwrap_err().kind(), io::ErrorKind::InvalidData);
        there.wait_at_most(Duration::from_millis(1)).unwrap();
        assert_eq!(there.hear().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(here);
        assert_eq!(there.hear().unwrap(), None);
    }
}
