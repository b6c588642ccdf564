use std::io;
use std::time::Duration;

use minicbor::{Decode, Encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::MAX_FRAME;

/// A frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("a frame of {0} octets is larger than {MAX_FRAME}")]
    TooLarge(usize),
    #[error("an empty frame")]
    Empty,
    #[error("silent for too long")]
    Idle,
    #[error("a frame that is not complete in time")]
    Slow,
    #[error("not one CBOR item of the expected form")]
    Malformed,
}

/// Reads one item and nothing after it. Total: every input gives a value or an error.
pub fn decode<'a, T: Decode<'a, ()>>(octets: &'a [u8]) -> Result<T, FrameError> {
    let mut decoder = minicbor::Decoder::new(octets);
    let value = decoder.decode().map_err(|_| FrameError::Malformed)?;
    if decoder.position() == octets.len() { Ok(value) } else { Err(FrameError::Malformed) }
}

/// Length and content of one frame; wiped when dropped, because it may hold a session key.
pub fn encode<T: Encode<()>>(message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    // Room for every small message at once: growing would leave an unwiped copy behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(1024));
    frame.extend_from_slice(&[0; 4]);
    // Writing to a vector cannot fail.
    minicbor::encode(message, &mut *frame).map_err(|_| FrameError::Malformed)?;
    let length = frame.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME).ok_or(FrameError::TooLarge(length))?;
    frame[..4].copy_from_slice(&prefix.to_be_bytes());
    Ok(frame)
}

/// The next frame's content, wiped when dropped; none at the end of the stream, which is an error in the middle of a frame.
///
/// A peer may be silent for `idle`; once its first octet is there, the frame must be complete within `whole`.
pub async fn read_frame<R: AsyncRead + Unpin>(
    reader: &mut R,
    idle: Duration,
    whole: Duration,
) -> Result<Option<Zeroizing<Vec<u8>>>, FrameError> {
    let mut prefix = [0; 4];
    let there = timeout(idle, reader.read(&mut prefix)).await.map_err(|_| FrameError::Idle)??;
    if there == 0 {
        return Ok(None);
    }
    timeout(whole, read_rest(reader, prefix, there)).await.map_err(|_| FrameError::Slow)?.map(Some)
}

/// `there` octets of the length have been read.
async fn read_rest<R: AsyncRead + Unpin>(
    reader: &mut R,
    mut prefix: [u8; 4],
    there: usize,
) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    reader.read_exact(&mut prefix[there..]).await?;
    let length = u32::from_be_bytes(prefix) as usize;
    match length {
        0 => return Err(FrameError::Empty),
        1..=MAX_FRAME => {}
        _ => return Err(FrameError::TooLarge(length)),
    }
    let mut content = Zeroizing::new(vec![0; length]);
    reader.read_exact(&mut content).await?;
    Ok(content)
}

/// Writes one frame that [`encode`] made.
pub async fn write_frame<W: AsyncWrite + Unpin>(writer: &mut W, frame: &[u8]) -> Result<(), FrameError> {
    writer.write_all(frame).await?;
    Ok(writer.flush().await?)
}
